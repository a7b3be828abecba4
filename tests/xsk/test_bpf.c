/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The BPF programs do what they are named for, are found by a second process, and go with whoever holds them. */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fork.h"
#include "namespace.h"
#include "xsk/bpf.h"

#define MARK      0xfedcba98u /* also one that is negative as an int */
#define ANSWER_MS 2000        /* for what must come */
#define SILENT_MS 100         /* for what must not */

static const uint8_t frame[64] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, TEST_ETHERTYPE >> 8, TEST_ETHERTYPE & 0xff };

/* One packet goes in at `sender`: does it come out at `receiver`? */
static bool passes(int sender, int receiver, int wait_ms)
{
	uint8_t got[2048];

	send_frame(sender, frame, sizeof(frame));
	return receive_frame(receiver, got, sizeof(got), wait_ms) == sizeof(frame);
}

/* What takes a moment to come into force. */
static bool passes_soon(int sender, int receiver)
{
	for (int i = 0; i < ANSWER_MS / 10; i++)
		if (passes(sender, receiver, 10))
			return true;
	return false;
}

/* An AF_XDP socket on a queue, with nowhere to put a packet: it counts what is led to it. */
static int counting_socket(const char *name, uint32_t queue, void **memory)
{
	const struct xdp_umem_reg umem = { .len = 1 << 16, .chunk_size = 4096 };
	struct sockaddr_xdp address = { .sxdp_family = AF_XDP, .sxdp_flags = XDP_COPY, .sxdp_queue_id = queue };
	struct xdp_umem_reg registration = umem;
	int size = 64, fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	require(fd >= 0);
	*memory = mmap(NULL, umem.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require(*memory != MAP_FAILED);
	registration.addr = (uintptr_t)*memory;
	require(setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &registration, sizeof(registration)) == 0);
	require(setsockopt(fd, SOL_XDP, XDP_UMEM_FILL_RING, &size, sizeof(size)) == 0);
	require(setsockopt(fd, SOL_XDP, XDP_UMEM_COMPLETION_RING, &size, sizeof(size)) == 0);
	require(setsockopt(fd, SOL_XDP, XDP_RX_RING, &size, sizeof(size)) == 0);
	address.sxdp_ifindex = (uint32_t)ifindex_of(name);
	require(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

static uint64_t led_to(int xsk)
{
	struct xdp_statistics counts;
	socklen_t size = sizeof(counts);

	require(getsockopt(xsk, SOL_XDP, XDP_STATISTICS, &counts, &size) == 0);
	return counts.rx_dropped;
}

struct attached {
	int map, prog, link;
};

static struct attached attach(const char *name, uint32_t queues, uint32_t flags)
{
	bool frags = false;
	struct attached a = { .map = nmx__bpf_xsk_map(queues) };

	require(a.map >= 0);
	a.prog = nmx__bpf_load_xdp(a.map, &frags);
	require(a.prog >= 0);
	a.link = nmx__bpf_link_xdp(a.prog, ifindex_of(name), flags);
	require(a.link >= 0);
	return a;
}

static void detach(const struct attached *a)
{
	nmx__fd_close(a->link);
	nmx__fd_close(a->prog);
	nmx__fd_close(a->map);
}

static void packets_go_to_the_socket_of_their_queue_or_to_the_host(void **state)
{
	int keep = namespace_make(), xsk[2];
	void *memory[2];

	(void)state;
	veth("va", "vb", 2);
	int sender = packet_socket("vb", 0), host = packet_socket("va", TEST_ETHERTYPE);
	struct attached a = attach("va", 2, XDP_FLAGS_DRV_MODE);
	require(passes(sender, host, ANSWER_MS));
	for (uint32_t q = 0; q < 2; q++) {
		xsk[q] = counting_socket("va", q, &memory[q]);
		require_equal(nmx__bpf_xsk_map_set(a.map, q, xsk[q]), 0);
	}
	require_equal(nmx__bpf_xsk_map_set(a.map, 2, xsk[0]), -E2BIG);
	require(!passes(sender, host, SILENT_MS));
	/* The kernel chooses the queue, the same for all packets like this. */
	int chosen = led_to(xsk[0]) == 1 ? 0 : 1;
	require_equal(led_to(xsk[chosen]), 1);
	require_equal(led_to(xsk[!chosen]), 0);
	close(xsk[chosen]); /* and with that it is out of the map */
	require(passes_soon(sender, host));
	close(xsk[!chosen]);
	for (int q = 0; q < 2; q++)
		munmap(memory[q], 1 << 16);
	detach(&a);
	require_equal(xdp_program_of("va"), 0);
	close(sender);
	close(host);
	close(keep);
}

static void an_interface_takes_one_program(void **state)
{
	int keep = namespace_make();
	bool frags = true;

	(void)state;
	veth("va", "vb", 1);
	run("ip link set va mtu 9000 && ip link set vb mtu 9000");
	int map = nmx__bpf_xsk_map(1), prog = nmx__bpf_load_xdp(map, &frags);
	require(prog >= 0);
	int link = nmx__bpf_link_xdp(prog, ifindex_of("va"), XDP_FLAGS_DRV_MODE);
	if (frags) /* else the driver does not want it at this MTU */
		require(link >= 0);
	int second = nmx__bpf_link_xdp(prog, ifindex_of("va"), XDP_FLAGS_DRV_MODE);
	if (link >= 0)
		require_equal(second, -EBUSY);
	require_equal(nmx__bpf_link_xdp(prog, 12345, XDP_FLAGS_DRV_MODE), -EINVAL);
	nmx__fd_close(link);
	nmx__fd_close(prog);
	nmx__fd_close(map);
	close(keep);
}

/* A process with a program on "va", in the namespace that the caller is in. */
static pid_t start_owner(void)
{
	int ready[2];
	char byte = 0;

	require(pipe(ready) == 0);
	pid_t pid = fork();
	require(pid >= 0);
	if (pid == 0) {
		attach("va", 4, XDP_FLAGS_DRV_MODE);
		if (write(ready[1], "+", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	require(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	return pid;
}

static void stop_owner(pid_t pid)
{
	require(kill(pid, SIGKILL) == 0);
	require(waitpid(pid, NULL, 0) == pid);
}

static void a_joined_program_outlives_its_maker(void **state)
{
	int keep = namespace_make(), link = -1, map = -1;
	void *memory;

	(void)state;
	veth("va", "vb", 1);
	require_equal(nmx__bpf_join(ifindex_of("va"), xdp_program_of("va"), &link, &map), -ENOENT);
	pid_t owner = start_owner();
	uint32_t id = xdp_program_of("va");
	require_equal(nmx__bpf_join(ifindex_of("vb"), id, &link, &map), -ENOENT);
	require_equal(nmx__bpf_join(ifindex_of("va"), id, &link, &map), 0);
	stop_owner(owner);
	require_equal(xdp_program_of("va"), id);

	int sender = packet_socket("vb", 0), xsk = counting_socket("va", 0, &memory);
	require_equal(nmx__bpf_xsk_map_set(map, 0, xsk), 0);
	send_frame(sender, frame, sizeof(frame));
	for (int i = 0; led_to(xsk) == 0 && i < 100; i++)
		usleep(10000);
	require_equal(led_to(xsk), 1);
	nmx__fd_close(link);
	nmx__fd_close(map);
	require_equal(xdp_program_of("va"), 0);
	require_equal(nmx__bpf_join(ifindex_of("va"), id, &link, &map), -ENOENT);
	close(xsk);
	munmap(memory, 1 << 16);
	close(sender);
	close(keep);
}

static void an_interface_of_another_namespace_is_not_taken_for_ours(void **state)
{
	int one = namespace_make(), link = -1, map = -1;

	(void)state;
	run("ip link add va index 1000 type veth peer name vb && ip link set va up && ip link set vb up");
	pid_t first = start_owner();
	uint32_t first_id = xdp_program_of("va");
	int two = namespace_make();
	run("ip link add va index 1000 type veth peer name vb && ip link set va up && ip link set vb up");
	require_equal(ifindex_of("va"), 1000);
	require_equal(nmx__bpf_join(1000, xdp_program_of("va"), &link, &map), -ENOENT);
	pid_t second = start_owner();
	uint32_t second_id = xdp_program_of("va");
	require(first_id != second_id);
	require_equal(nmx__bpf_join(1000, second_id, &link, &map), 0);
	/* It is the link of the second: it keeps that one's program, and not the first's. */
	stop_owner(first);
	stop_owner(second);
	require_equal(xdp_program_of("va"), second_id);
	namespace_go(one);
	require_equal(xdp_program_of("va"), 0);
	nmx__fd_close(link);
	nmx__fd_close(map);
	close(one);
	close(two);
}

/* An XDP program that is not ours. */
static int load_stranger(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_XDP;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = 2;
	attr.license = (uintptr_t) "GPL";
	memcpy(attr.prog_name, "stranger", sizeof("stranger"));
	return (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static void a_strange_program_is_not_joined(void **state)
{
	int keep = namespace_make(), joined = -1, map = -1;

	(void)state;
	veth("va", "vb", 1);
	int prog = load_stranger();
	require(prog >= 0);
	int link = nmx__bpf_link_xdp(prog, ifindex_of("va"), XDP_FLAGS_DRV_MODE);
	require(link >= 0);
	require(xdp_program_of("va") != 0);
	require_equal(nmx__bpf_join(ifindex_of("va"), xdp_program_of("va"), &joined, &map), -ENOENT);
	require_equal(joined, -1);
	nmx__fd_close(link);
	close(prog);
	close(keep);
}

static void a_forked_child_does_not_keep_the_program(void **state)
{
	int keep = namespace_make();

	(void)state;
	veth("va", "vb", 1);
	struct attached a = attach("va", 1, XDP_FLAGS_DRV_MODE);
	require(xdp_program_of("va") != 0);
	int ready[2];
	char byte;
	require(pipe(ready) == 0);
	pid_t child = fork();
	require(child >= 0);
	if (child == 0) {
		if (write(ready[1], "+", 1) == 1)
			pause();
		_exit(1);
	}
	require(read(ready[0], &byte, 1) == 1);
	detach(&a);
	require_equal(xdp_program_of("va"), 0);
	stop_owner(child);
	close(ready[0]);
	close(ready[1]);
	close(keep);
}

/* Accepts packets whose mark is zero. */
static void only_unmarked(int socket)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_MARK)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { 4, code };

	require(setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0);
}

/* Whether the kernel has tcx; else says so and skips the test. */
static int tcx(int prog, const char *name, bool egress)
{
	int link = nmx__bpf_link_tcx(prog, ifindex_of(name), egress);

	if (link == -EINVAL) {
		printf("skipped: this kernel has no tcx (from Linux 6.6)\n");
		skip();
	}
	require(link >= 0);
	return link;
}

/* wire -- nic, and near -- far.  What comes in on nic goes to far, what far sends comes in on nic as from the wire,
 * and that does not go round in circles. */
static void divert_and_inject(uint32_t mark)
{
	int keep = namespace_make();

	veth("nic", "wire", 1);
	veth("near", "far", 1);
	int wire = packet_socket("wire", TEST_ETHERTYPE), far = packet_socket("far", TEST_ETHERTYPE);
	int host = packet_socket("nic", TEST_ETHERTYPE);
	only_unmarked(host);
	int divert = nmx__bpf_load_divert(ifindex_of("near"), mark),
	    inject = nmx__bpf_load_inject(ifindex_of("nic"), mark);
	require(divert >= 0 && inject >= 0);
	require(passes(wire, host, ANSWER_MS));

	int out = tcx(divert, "nic", false), in = tcx(inject, "near", false);
	require(passes_soon(wire, far));
	if (mark)
		require(passes(far, host, ANSWER_MS));
	else /* what comes in is diverted, wherever from */
		require(!passes(far, host, SILENT_MS));
	nmx__fd_close(out);
	if (!mark)
		require(passes(far, host, ANSWER_MS));
	else /* it comes marked, for nobody took the mark off */
		require(!passes(far, host, SILENT_MS));
	nmx__fd_close(in);
	require(!passes(far, host, SILENT_MS));

	/* And what the host sends. */
	out = tcx(divert, "nic", true);
	uint8_t got[2048];
	while (receive_frame(far, got, sizeof(got), 0) > 0)
		;
	require(passes(host, far, ANSWER_MS));
	nmx__fd_close(out);
	require(passes(host, wire, ANSWER_MS));
	nmx__fd_close(divert);
	nmx__fd_close(inject);
	close(wire);
	close(far);
	close(host);
	close(keep);
}

static void packets_are_diverted_and_injected(void **state)
{
	(void)state;
	divert_and_inject(0);
}

static void injected_packets_pass_the_diversion_by_their_mark(void **state)
{
	(void)state;
	divert_and_inject(MARK);
	divert_and_inject(NMX__HOST_MARK);
}

static void a_guarded_program_acts_only_while_its_array_is_open(void **state)
{
	int keep = namespace_make(), array = -1;

	(void)state;
	veth("nic", "wire", 1);
	int wire = packet_socket("wire", 0), host = packet_socket("nic", TEST_ETHERTYPE);
	int drop = nmx__bpf_load_drop(), guarded = nmx__bpf_load_guarded(drop, &array);
	require(guarded >= 0);
	int link = tcx(guarded, "nic", false);
	require(!passes(wire, host, SILENT_MS));
	nmx__fd_close(array);
	require(passes_soon(wire, host));
	nmx__fd_close(link);

	link = tcx(drop, "nic", false);
	require(!passes(wire, host, SILENT_MS));
	nmx__fd_close(link);
	nmx__fd_close(guarded);
	nmx__fd_close(drop);
	close(wire);
	close(host);
	close(keep);
}

static void what_fails_is_told_apart(void **state)
{
	bool frags = true;

	(void)state;
	require_equal(nmx__bpf_load_xdp(12345, &frags), -EBADF); /* no such map */
	require_equal(nmx__bpf_xsk_map(0), -EINVAL);
	int map = nmx__bpf_xsk_map(1), prog = nmx__bpf_load_drop();
	require(map >= 0 && prog >= 0);
	require_equal(nmx__bpf_xsk_map_set(map, 0, prog), -ENOTSOCK); /* not an AF_XDP socket */
	require_equal(nmx__bpf_link_xdp(prog, 1, XDP_FLAGS_SKB_MODE), -EINVAL);
	nmx__fd_close(prog);
	nmx__fd_close(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packets_go_to_the_socket_of_their_queue_or_to_the_host),
		cmocka_unit_test(an_interface_takes_one_program),
		cmocka_unit_test(a_joined_program_outlives_its_maker),
		cmocka_unit_test(an_interface_of_another_namespace_is_not_taken_for_ours),
		cmocka_unit_test(a_strange_program_is_not_joined),
		cmocka_unit_test(a_forked_child_does_not_keep_the_program),
		cmocka_unit_test(packets_are_diverted_and_injected),
		cmocka_unit_test(injected_packets_pass_the_diversion_by_their_mark),
		cmocka_unit_test(a_guarded_program_acts_only_while_its_array_is_open),
		cmocka_unit_test(what_fails_is_told_apart),
	};

	return cmocka_run_group_tests(tests, namespace_required, NULL);
}
