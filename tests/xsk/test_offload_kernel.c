/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the kernel itself sends over a veth pair, its checksums left to the device, is right after completion; and what
 * it completes itself is what we make of it. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frames.h"
#include "namespace.h"
#include "xsk/offload.h"

struct tally {
	int right, partial, wrong, none, inner_partial;
};

static void judge(const uint8_t *bytes, size_t len, struct tally *tally)
{
	switch (frame_judge(bytes, len)) {
	case NO_CHECKSUM:
		tally->none++;
		break;
	case CHECKSUM_RIGHT:
		tally->right++;
		break;
	case CHECKSUM_OF_PSEUDO_HEADER:
		tally->partial++;
		break;
	case CHECKSUM_WRONG:
		tally->wrong++;
		break;
	}
}

/* Completes what is captured, and judges it before and after, outside and, if it is VXLAN, inside. */
static void capture(int fd, struct tally *before, struct tally *after)
{
	static uint8_t bytes[65536];
	size_t len, inner_len;

	while ((len = receive_frame(fd, bytes, sizeof(bytes), 300)) > 0) {
		const uint8_t *inner = frame_within(bytes, len, &inner_len);
		judge(bytes, len, before);
		if (inner && frame_judge(inner, inner_len) == CHECKSUM_OF_PSEUDO_HEADER)
			before->inner_partial++;
		nmx__complete_checksum(bytes, (uint32_t)len);
		judge(bytes, len, after);
		if (inner && frame_judge(inner, inner_len) == CHECKSUM_OF_PSEUDO_HEADER)
			after->inner_partial++;
		if (inner && frame_judge(inner, inner_len) == CHECKSUM_WRONG)
			after->wrong++;
	}
}

/* Payloads of many lengths, to a port where nobody answers. */
static void send_datagrams(int family, const char *destination)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	uint8_t payload[1400];
	uint32_t seed = 3;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	require(fd >= 0);
	require(inet_pton(family, destination, family == AF_INET ? (void *)&v4.sin_addr : (void *)&v6.sin6_addr) ==
	        1);
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)support_random(&seed, 256);
	for (size_t len = 0; len <= sizeof(payload); len += 50 + len % 3) {
		const struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
		require(sendto(fd, payload, len, 0, address, family == AF_INET ? sizeof(v4) : sizeof(v6)) ==
		        (ssize_t)len);
	}
	close(fd);
}

/* A SYN, to where nobody listens. */
static void knock(const char *destination)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct timeval patience = { .tv_usec = 50000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	require(fd >= 0 && inet_pton(AF_INET, destination, &address.sin_addr) == 1);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	require(connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0);
	close(fd);
}

/* The neighbour is written down, so that no answer is needed and the far end may be silent. */
static int wire_up(void)
{
	int keep = namespace_make();

	veth("va", "vb", 1);
	run("ip link set vb address 02:00:00:00:00:02 && ip addr add 10.77.0.1/24 dev va");
	run("ip neigh add 10.77.0.2 lladdr 02:00:00:00:00:02 dev va");
	return keep;
}

static void what_the_kernel_leaves_is_completed(void **state)
{
	struct tally before = { 0 }, after = { 0 };
	int keep = wire_up();

	(void)state;
	int fd = packet_socket("vb", ETH_P_ALL);
	send_datagrams(AF_INET, "10.77.0.2");
	knock("10.77.0.2");
	capture(fd, &before, &after);
	require(before.partial >= 25);
	require_equal(after.partial + after.wrong, 0);
	require_equal(after.right, before.right + before.partial);
	close(fd);
	close(keep);
}

static void also_over_ipv6(void **state)
{
	struct tally before = { 0 }, after = { 0 };
	int keep = wire_up();

	(void)state;
	if (system("ip addr add fd00:77::1/64 dev va nodad 2>/dev/null") != 0) {
		printf("skipped: this kernel has no IPv6\n");
		skip();
	}
	run("ip neigh add fd00:77::2 lladdr 02:00:00:00:00:02 dev va");
	int fd = packet_socket("vb", ETH_P_ALL);
	send_datagrams(AF_INET6, "fd00:77::2");
	capture(fd, &before, &after);
	require(before.partial >= 25);
	require_equal(after.partial + after.wrong, 0);
	require_equal(after.right, before.right + before.partial);
	close(fd);
	close(keep);
}

static void also_within_vxlan(const char *outer)
{
	struct tally before = { 0 }, after = { 0 };
	int keep = wire_up();

	if (system("ip link add vx type vxlan id 1 dstport 0 2>/dev/null && ip link del vx") != 0) {
		printf("skipped: this kernel has no VXLAN\n");
		skip();
	}
	run("ip link add vx type vxlan id 7 remote 10.77.0.2 local 10.77.0.1 dstport 4789 dev va %s", outer);
	run("ip addr add 10.78.0.1/24 dev vx && ip link set vx up && ip neigh add 10.78.0.2 lladdr 02:00:00:00:00:03 "
	    "dev vx");
	int fd = packet_socket("vb", ETH_P_ALL);
	send_datagrams(AF_INET, "10.78.0.2");
	knock("10.78.0.2");
	capture(fd, &before, &after);
	require(before.inner_partial >= 25);
	require_equal(after.inner_partial + after.partial + after.wrong, 0);
	close(fd);
	close(keep);
}

static void also_within_vxlan_without_outer_checksums(void **state)
{
	(void)state;
	also_within_vxlan("noudpcsum");
}

static void also_within_vxlan_with_outer_checksums(void **state)
{
	(void)state;
	also_within_vxlan("udpcsum");
}

static void what_the_kernel_completes_is_left_alone(void **state)
{
	struct tally before = { 0 }, after = { 0 };
	int keep = wire_up();

	(void)state;
	if (system("ethtool -K va tx off >/dev/null 2>&1") != 0) {
		printf("skipped: needs the command ethtool\n");
		skip();
	}
	int fd = packet_socket("vb", ETH_P_ALL);
	send_datagrams(AF_INET, "10.77.0.2");
	knock("10.77.0.2");
	capture(fd, &before, &after);
	require(before.right >= 25);
	require_equal(before.partial + before.wrong, 0);
	require_equal(after.right, before.right);
	close(fd);
	close(keep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_kernel_leaves_is_completed),
		cmocka_unit_test(also_over_ipv6),
		cmocka_unit_test(also_within_vxlan_without_outer_checksums),
		cmocka_unit_test(also_within_vxlan_with_outer_checksums),
		cmocka_unit_test(what_the_kernel_completes_is_left_alone),
	};

	return cmocka_run_group_tests(tests, namespace_required, NULL);
}
