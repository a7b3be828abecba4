/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What diverted packets are like: complete, as they would be on a wire, and spread over the queues of the pair. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fork.h"
#include "diversion.h"
#include "xsk/bpf.h"

#define TRANSFER_BYTES (3 << 20)
#define PORT           7777

/* --- a transfer --- */

static void read_all(int fd, size_t expected)
{
	static char buffer[65536];
	size_t got = 0;

	for (ssize_t n; (n = read(fd, buffer, sizeof(buffer))) != 0; got += (size_t)n)
		require(n > 0);
	require_equal(got, expected);
}

static void write_all(int fd)
{
	static char buffer[65536];

	for (size_t sent = 0; sent < TRANSFER_BYTES;) {
		size_t left = TRANSFER_BYTES - sent;
		ssize_t n = write(fd, buffer, left < sizeof(buffer) ? left : sizeof(buffer));

		require(n > 0);
		sent += (size_t)n;
	}
	require(shutdown(fd, SHUT_WR) == 0);
}

static int tcp_socket(void)
{
	struct timeval limit = { .tv_sec = 20 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	require(fd >= 0);
	require(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0);
	require(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) == 0);
	return fd;
}

static struct sockaddr_in server_address(void)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = inet_addr("10.1.1.2") };
}

static void serve(void *arg)
{
	int fd = accept(*(int *)arg, NULL, NULL);

	require(fd >= 0);
	read_all(fd, TRANSFER_BYTES);
	write_all(fd);
}

static void ask(void *arg)
{
	struct sockaddr_in address = server_address();
	int fd = tcp_socket();

	(void)arg;
	require(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	write_all(fd);
	read_all(fd, TRANSFER_BYTES);
}

/* --- the bridge between the diversions and the wire --- */

struct seen {
	uint32_t frames, tcp, longest, wrong_checksum, unfinished;
};

static uint32_t sum(const uint8_t *data, size_t len, uint32_t start)
{
	for (size_t i = 0; i < len; i++)
		start += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return start;
}

static void look_at(const uint8_t *frame, size_t len, struct seen *seen)
{
	size_t header = (frame[14] & 15u) * 4u, total = (size_t)frame[16] << 8 | frame[17];

	seen->frames++;
	seen->longest = len > seen->longest ? (uint32_t)len : seen->longest;
	if (len < 34 || frame[12] != 8 || frame[13] != 0 || frame[23] != IPPROTO_TCP)
		return;
	require(total + 14 <= len);
	seen->tcp++;
	uint32_t pseudo = sum(frame + 26, 8, IPPROTO_TCP + (uint32_t)(total - header));
	if (sum(frame + 14 + header, total - header, pseudo) != 0xffff)
		seen->wrong_checksum++;
}

/* One frame from `in` to `out`, if there is one. */
static void forward(int in, int out, struct seen *seen)
{
	static uint8_t frame[70000];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	struct iovec iov = { frame, sizeof(frame) };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(in, &message, MSG_DONTWAIT);
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);

	if (n <= 0)
		return;
	if (c && c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
		struct tpacket_auxdata about;

		memcpy(&about, CMSG_DATA(c), sizeof(about));
		seen->unfinished += (about.tp_status & TP_STATUS_CSUMNOTREADY) != 0;
	}
	look_at(frame, (size_t)n, seen);
	(void)!send(out, frame, (size_t)n, 0); /* what does not fit is lost, as on a wire */
}

static int bridge_socket(const char *name, uint16_t protocol)
{
	int fd = packet_socket(name, protocol), one = 1, bytes = 4 << 20;

	/* Past the qdisc, and so past what is diverted there. */
	require(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) == 0);
	require(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) == 0);
	require(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) == 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	return fd;
}

static int far_bridge_socket(const struct scene *scene, const struct nmx__divert *d)
{
	namespace_go(d->netns);
	int fd = bridge_socket("nmx0", ETH_P_ALL);
	namespace_go(scene->host);
	return fd;
}

static void require_as_on_a_wire(const struct seen *seen, const char *what)
{
	printf("%s: %u frames, %u of TCP, the longest of %u bytes; %u checksums wrong, %u unfinished\n", what, seen->frames,
	       seen->tcp, seen->longest, seen->wrong_checksum, seen->unfinished);
	require(seen->tcp > TRANSFER_BYTES / 1500);
	require(seen->longest <= 1514);
	require_equal(seen->wrong_checksum, 0);
	require_equal(seen->unfinished, 0);
}

static void tcp_goes_through_both_diversions_as_on_a_wire(void **state)
{
	struct scene scene = scene_make();
	struct sockaddr_in address = server_address();
	struct seen out = { 0 }, in = { 0 };
	int done[2] = { 0 };

	(void)state;
	namespace_go(scene.other);
	int listener = tcp_socket();
	require(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(listener, 1) == 0);
	namespace_go(scene.host);
	struct nmx__divert host = divert(NMX__DIVERT_HOST, true), wire = divert(NMX__DIVERT_WIRE, false);
	int host_far = far_bridge_socket(&scene, &host), wire_far = far_bridge_socket(&scene, &wire);
	int nic = bridge_socket("nic", 0); /* sends only */
	pid_t children[2] = { support_fork(serve, &listener), support_fork(ask, NULL) };

	for (int64_t start = support_now_ms(); !done[0] || !done[1];) {
		struct pollfd fds[2] = { { .fd = host_far, .events = POLLIN }, { .fd = wire_far, .events = POLLIN } };
		int status;

		require(support_now_ms() - start < 40000);
		(void)poll(fds, 2, 10);
		for (int i = 0; i < 64; i++) {
			forward(host_far, nic, &out);
			forward(wire_far, host_far, &in);
		}
		for (int i = 0; i < 2; i++)
			if (!done[i] && waitpid(children[i], &status, WNOHANG) == children[i]) {
				require_equal(status, 0);
				done[i] = 1;
			}
	}
	require_as_on_a_wire(&out, "from the host");
	require_as_on_a_wire(&in, "from the wire");
	nmx__divert_close(&wire);
	nmx__divert_close(&host);
	close(nic);
	close(host_far);
	close(wire_far);
	close(listener);
	scene_end(&scene);
}

/* --- tags and queues --- */

static void vlan_tags_come_in_the_frame(void **state)
{
	struct scene scene = scene_make();
	static const uint8_t tagged[64] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 7,
		                            TEST_ETHERTYPE >> 8, TEST_ETHERTYPE & 0xff, 0xaa };
	struct nmx_report why;
	struct nmx__divert d;
	struct nmx__link nic, far;

	(void)state;
	require_equal(nmx__nl_link(scene.nl, "nic", 0, &nic), 0);
	require_result(nmx__divert_open(&d, &nic, NMX__DIVERT_WIRE, false, 1, NULL, 0, &why), 0);
	require_result(nmx__divert_start(&d, &why), 0);
	/* The host takes it out of the frame before anybody sees it, and it must be in there again. */
	send_frame(scene.wire_socket, tagged, sizeof(tagged));
	require_equal(nmx__nl_link(d.far_nl, NULL, d.far, &far), 0);
	require_equal(far.stats.rx_packets, 1);
	require_equal(far.stats.rx_bytes, sizeof(tagged));
	nmx__divert_close(&d);
	scene_end(&scene);
}

enum { QUEUES = 4, FLOWS = 64 };

/* How the kernel spreads so many flows over the queues of the far end. */
static void spread_of(enum nmx__divert_kind kind, const char *what)
{
	struct scene scene = scene_make();
	struct xsk xsk[QUEUES];
	struct nmx_report why;
	struct nmx__divert d;
	struct nmx__link nic;
	int sockets[QUEUES], used = 0, map, prog;
	uint64_t counts[QUEUES], sum_of_counts = 0;
	bool frags = false;

	require_equal(nmx__nl_link(scene.nl, "nic", 0, &nic), 0);
	require_result(nmx__divert_open(&d, &nic, kind, false, QUEUES, sockets, QUEUES, &why), 0);
	map = nmx__bpf_xsk_map(QUEUES);
	prog = nmx__bpf_load_xdp(map, &frags);
	require(prog >= 0);
	require_equal(nmx__nl_xdp(d.far_nl, d.far, prog, XDP_FLAGS_DRV_MODE), 0);
	for (uint32_t i = 0; i < QUEUES; i++) {
		xsk_rings(&xsk[i], sockets[i], d.far, i);
		require_equal(nmx__bpf_xsk_map_set(map, i, sockets[i]), 0);
	}
	/* Who sends knows the other's address already. */
	run("ip neighbour replace 10.1.1.2 lladdr 02:00:00:00:00:02 dev nic");
	namespace_go(scene.other);
	run("ip neighbour replace 10.1.1.1 lladdr 02:00:00:00:00:01 dev wire");
	if (kind == NMX__DIVERT_HOST)
		namespace_go(scene.host);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	to.sin_addr.s_addr = inet_addr(kind == NMX__DIVERT_HOST ? "10.1.1.2" : "10.1.1.1");
	int flows[FLOWS];
	for (int i = 0; i < FLOWS; i++) {
		flows[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		require(flows[i] >= 0 && connect(flows[i], (struct sockaddr *)&to, sizeof(to)) == 0);
	}
	namespace_go(scene.host);
	require_result(nmx__divert_start(&d, &why), 0);
	for (int i = 0; i < FLOWS; i++)
		require_equal(send(flows[i], "it", 2, 0), 2);
	for (int64_t start = support_now_ms(); sum_of_counts < FLOWS && support_now_ms() - start < ANSWER_MS;) {
		sum_of_counts = 0;
		for (int i = 0; i < QUEUES; i++)
			sum_of_counts += counts[i] = xsk_count(&xsk[i]);
	}
	require_equal(sum_of_counts, FLOWS);
	printf("%s: %d flows over the queues:", what, FLOWS);
	for (int i = 0; i < QUEUES; i++) {
		printf(" %d", (int)counts[i]);
		used += counts[i] > 0;
	}
	printf("\n");
	require(used >= 2);
	for (int i = 0; i < FLOWS; i++)
		close(flows[i]);
	nmx__divert_close(&d);
	for (int i = 0; i < QUEUES; i++)
		xsk_end(&xsk[i]);
	nmx__fd_close(prog);
	nmx__fd_close(map);
	scene_end(&scene);
}

static void flows_of_the_host_are_spread_over_the_queues(void **state)
{
	(void)state;
	spread_of(NMX__DIVERT_HOST, "from the host");
}

static void flows_of_the_wire_are_spread_over_the_queues(void **state)
{
	(void)state;
	spread_of(NMX__DIVERT_WIRE, "from the wire");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_goes_through_both_diversions_as_on_a_wire),
		cmocka_unit_test(vlan_tags_come_in_the_frame),
		cmocka_unit_test(flows_of_the_host_are_spread_over_the_queues),
		cmocka_unit_test(flows_of_the_wire_are_spread_over_the_queues),
	};

	return cmocka_run_group_tests(tests, namespace_required, NULL);
}
