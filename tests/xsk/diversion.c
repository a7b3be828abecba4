/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fork.h"
#include "diversion.h"

static const uint8_t frame[64] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, TEST_ETHERTYPE >> 8,
	                           TEST_ETHERTYPE & 0xff };

int by_tcx(void **state)
{
	(void)state;
	nmx__divert_by_clsact = false;
	return 0;
}

int by_clsact(void **state)
{
	(void)state;
	nmx__divert_by_clsact = true;
	return 0;
}

/* The kernel notes in the background that it has a carrier now; what a socket sends before is dropped. */
static void until_running(int nl, const char *name, int ifindex)
{
	struct nmx__link link;

	do
		require_equal(nmx__nl_link(nl, name, ifindex, &link), 0);
	while (!(link.flags & IFF_RUNNING) && usleep(1000) == 0);
}

struct scene scene_make(void)
{
	struct scene scene;

	scene.other = namespace_make();
	scene.host = namespace_make();
	veth("nic", "wire", 4);
	run("ip link set wire netns /proc/%d/fd/%d", (int)getpid(), scene.other);
	run("ip address add 10.1.1.1/24 dev nic");
	scene.nl = nmx__nl_open(0);
	scene.host_socket = packet_socket("nic", TEST_ETHERTYPE);
	namespace_go(scene.other);
	run("ip link set wire addrgenmode none; ip link set wire up && ip address add 10.1.1.2/24 dev wire");
	scene.wire_socket = packet_socket("wire", TEST_ETHERTYPE);
	namespace_go(scene.host);
	until_running(scene.nl, "nic", 0);
	return scene;
}

void scene_end(struct scene *scene)
{
	nmx__fd_close(scene->nl);
	close(scene->host_socket);
	close(scene->wire_socket);
	close(scene->host);
	close(scene->other);
}

struct nmx__divert divert(enum nmx__divert_kind kind, bool marks)
{
	struct nmx_report why = { 0 };
	struct nmx__divert d;
	struct nmx__link nic;
	int nl = nmx__nl_open(0); /* the scene's is not a forked child's */

	require_equal(nmx__nl_link(nl, "nic", 0, &nic), 0);
	nmx__fd_close(nl);
	if (nmx__divert_open(&d, &nic, kind, marks, 4, NULL, 0, &why) != 0 || nmx__divert_start(&d, &why) != 0)
		support_fail(__FILE__, __LINE__, "no diversion: %s", why.text);
	return d;
}

int far_socket(const struct scene *scene, const struct nmx__divert *d, uint16_t ethertype)
{
	namespace_go(d->netns);
	int fd = packet_socket("nmx0", ethertype);
	namespace_go(scene->host);
	until_running(d->far_nl, NULL, d->far);
	return fd;
}

bool passes(int sender, int receiver, int wait_ms)
{
	uint8_t got[2048];

	send_frame(sender, frame, sizeof(frame));
	return receive_frame(receiver, got, sizeof(got), wait_ms) == sizeof(frame);
}

bool passes_soon(int sender, int receiver)
{
	for (int i = 0; i < ANSWER_MS / 10; i++)
		if (passes(sender, receiver, 10))
			return true;
	return false;
}

void xsk_rings(struct xsk *xsk, int fd, int ifindex, uint32_t queue)
{
	struct xdp_umem_reg umem = { .len = 1 << 16, .chunk_size = 4096 };
	struct sockaddr_xdp address = { .sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY, .sxdp_queue_id = queue };
	int entries = 64;

	xsk->fd = fd;
	xsk->memory = mmap(NULL, umem.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require(xsk->memory != MAP_FAILED);
	umem.addr = (uintptr_t)xsk->memory;
	require(setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof(umem)) == 0);
	require(setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &entries, sizeof(entries)) == 0);
	require(setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &entries, sizeof(entries)) == 0);
	require(setsockopt(fd, SOL_XDP, XDP_RX_RING, &entries, sizeof(entries)) == 0);
	address.sxdp_ifindex = (uint32_t)ifindex;
	require(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
}

uint64_t xsk_count(const struct xsk *xsk)
{
	struct xdp_statistics counts;
	socklen_t size = sizeof(counts);

	require(getsockopt(xsk->fd, SOL_XDP, XDP_STATISTICS, &counts, &size) == 0);
	return counts.rx_dropped;
}

void xsk_end(struct xsk *xsk)
{
	nmx__fd_close(xsk->fd);
	munmap(xsk->memory, 1 << 16);
}

enum { TCX_INGRESS = 46, TCX_EGRESS = 47 }; /* enum bpf_attach_type, from Linux 6.6 */

/* How many programs of tcx there are; -1 where the kernel knows none. */
static int tcx_programs(const char *name, unsigned attach_type)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = (uint32_t)ifindex_of(name); /* a union with target_ifindex */
	attr.query.attach_type = attach_type;
	return syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) < 0 ? -1 : (int)attr.query.prog_cnt;
}

bool by_filters(void) { return nmx__divert_by_clsact || tcx_programs("lo", TCX_INGRESS) < 0; }

void look_around(char *out, size_t size)
{
	FILE *seen = popen("ip -o -d link; tc qdisc show dev nic; tc filter show dev nic ingress 2>&1; "
	                   "tc filter show dev nic egress 2>&1",
	                   "re");

	require(seen != NULL);
	size_t used = fread(out, 1, size - 64, seen);
	out[used] = 0;
	require(pclose(seen) >= 0 && used > 0 && used < size - 64);
	snprintf(out + used, 64, "tcx: %d %d\n", tcx_programs("nic", TCX_INGRESS), tcx_programs("nic", TCX_EGRESS));
}

int64_t until_as_before(const char *before)
{
	static char now[16384];
	int64_t start = support_now_ms();

	do {
		look_around(now, sizeof(now));
		if (strcmp(now, before) == 0)
			return support_now_ms() - start;
		usleep(1000);
	} while (support_now_ms() - start < ANSWER_MS);
	support_fail(__FILE__, __LINE__, "it was\n%s\nand is\n%s", before, now);
}

void in_a_child(void (*body)(void *arg), void *arg) { support_join(support_fork(body, arg)); }

struct owner {
	void (*body)(void *arg);
	void *arg;
	int ready;
};

static void own(void *arg)
{
	const struct owner *owner = arg;

	owner->body(owner->arg);
	require(write(owner->ready, "+", 1) == 1);
	for (;;)
		pause();
}

pid_t owner_start(void (*body)(void *arg), void *arg)
{
	int ready[2];
	char byte = 0;

	require(pipe2(ready, O_CLOEXEC) == 0);
	struct owner owner = { body, arg, ready[1] };
	pid_t pid = support_fork(own, &owner);
	close(ready[1]);
	require(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	return pid;
}

void owner_kill(pid_t pid)
{
	require(kill(pid, SIGKILL) == 0);
	require(waitpid(pid, NULL, 0) == pid);
}
