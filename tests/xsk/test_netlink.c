/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What rtnetlink says of interfaces, what is new about them, and pairs that are made by it. */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fork.h"
#include "namespace.h"
#include "xsk/bpf.h"
#include "xsk/netlink.h"
#include "xsk/request.h"

static void links_are_described(void **state)
{
	int keep = namespace_make(), nl = nmx__nl_open(0);
	struct nmx__link link, again;
	uint8_t frame[60] = { 0 };

	(void)state;
	require(nl >= 0);
	veth("va", "vb", 3);
	run("ip link set va mtu 1400 alias 'to whom it may concern' && ip link set vb down");
	require_equal(nmx__nl_link(nl, "va", 0, &link), 0);
	require_equal(link.ifindex, ifindex_of("va"));
	require(strcmp(link.name, "va") == 0 && strcmp(link.kind, "veth") == 0);
	require(strcmp(link.alias, "to whom it may concern") == 0);
	require_equal(link.mtu, 1400);
	require_equal(link.num_rx_queues, 3);
	require_equal(link.num_tx_queues, 3);
	require((link.flags & IFF_UP) && !(link.flags & IFF_RUNNING));
	require_equal(link.xdp_mode, XDP_ATTACHED_NONE);
	require_equal(link.xdp_prog, 0);

	run("ip link set vb up");
	int sender = packet_socket("vb", 0);
	send_frame(sender, frame, sizeof(frame));
	require_equal(nmx__nl_link(nl, NULL, link.ifindex, &again), 0);
	require(strcmp(again.name, "va") == 0);
	require(again.stats.rx_packets > 0 && again.stats.rx_bytes >= sizeof(frame));

	require_equal(nmx__nl_link(nl, "lo", 0, &link), 0);
	require(!link.kind[0] && !link.alias[0] && !(link.flags & IFF_UP));
	close(sender);
	nmx__fd_close(nl);
	close(keep);
}

static void what_is_no_interface_is_no_device(void **state)
{
	int keep = namespace_make(), nl = nmx__nl_open(0);
	struct nmx__link link;

	(void)state;
	require_equal(nmx__nl_link(nl, "va", 0, &link), -ENODEV);
	require_equal(nmx__nl_link(nl, "", 0, &link), -ENODEV);
	require_equal(nmx__nl_link(nl, "a name that is too long for any", 0, &link), -ENODEV);
	require_equal(nmx__nl_link(nl, NULL, 12345, &link), -ENODEV);
	require_equal(nmx__nl_link(nl, NULL, 0, &link), -ENODEV);
	require_equal(nmx__nl_link(nl, NULL, -1, &link), -ENODEV);
	require_equal(nmx__nl_link_up(nl, 12345), -ENODEV);
	require_equal(nmx__nl_link_delete(nl, 12345), -ENODEV);
	nmx__fd_close(nl);
	close(keep);
}

static void programs_of_xdp_are_attached_and_seen(void **state)
{
	int keep = namespace_make(), nl = nmx__nl_open(0), map = nmx__bpf_xsk_map(1);
	bool frags = false;
	int prog = nmx__bpf_load_xdp(map, &frags);
	struct nmx__link link;

	(void)state;
	require(prog >= 0);
	veth("va", "vb", 1);
	require_equal(nmx__nl_xdp(nl, ifindex_of("va"), prog, XDP_FLAGS_DRV_MODE), 0);
	require_equal(nmx__nl_link(nl, "va", 0, &link), 0);
	require_equal(link.xdp_mode, XDP_ATTACHED_DRV);
	require_equal(link.xdp_prog, xdp_program_of("va"));
	require(link.xdp_prog != 0);
	require_equal(nmx__nl_xdp(nl, ifindex_of("va"), -1, XDP_FLAGS_DRV_MODE), 0);
	require_equal(nmx__nl_xdp(nl, ifindex_of("va"), prog, XDP_FLAGS_SKB_MODE), 0);
	require_equal(nmx__nl_link(nl, "va", 0, &link), 0);
	require_equal(link.xdp_mode, XDP_ATTACHED_SKB);
	nmx__fd_close(prog);
	nmx__fd_close(map);
	nmx__fd_close(nl);
	close(keep);
}

static void news_are_of_the_interface_alone(void **state)
{
	int keep = namespace_make(), news;

	(void)state;
	veth("va", "vb", 1);
	veth("vc", "vd", 1);
	int va = ifindex_of("va"), vc = ifindex_of("vc");
	news = nmx__nl_open(RTMGRP_LINK);
	require(news >= 0);
	while (nmx__nl_news(news, va) != NMX__NL_NOTHING)
		usleep(20000); /* the carrier is told of a moment after */
	require_equal(nmx__nl_news(news, va), NMX__NL_NOTHING);
	run("ip link set va down");
	require_equal(nmx__nl_news(news, va), NMX__NL_CHANGED);
	require_equal(nmx__nl_news(news, va), NMX__NL_NOTHING);
	run("ip link set vc mtu 1400");
	require_equal(nmx__nl_news(news, va), NMX__NL_NOTHING);
	run("ip link set va up");
	require_equal(nmx__nl_news(news, va), NMX__NL_CHANGED);
	run("ip link delete vb");
	require_equal(nmx__nl_news(news, va), NMX__NL_GONE);
	require_equal(nmx__nl_news(news, va), NMX__NL_NOTHING);
	run("ip link set vc down && ip link set vc name ve");
	require_equal(nmx__nl_news(news, vc), NMX__NL_CHANGED);
	nmx__fd_close(news);
	close(keep);
}

static void an_interface_that_moves_away_is_gone(void **state)
{
	int other = namespace_make(), keep = namespace_make(), news;

	(void)state;
	veth("va", "vb", 1);
	int va = ifindex_of("va");
	news = nmx__nl_open(RTMGRP_LINK);
	run("ip link set va netns /proc/%d/fd/%d", (int)getpid(), other);
	require_equal(nmx__nl_news(news, va), NMX__NL_GONE);
	nmx__fd_close(news);
	close(other);
	close(keep);
}

static void a_port_that_leaves_its_bridge_is_not_gone(void **state)
{
	int keep = namespace_make(), news;

	(void)state;
	if (system("ip link add name br0 type bridge 2>/dev/null") != 0) {
		printf("skipped: this kernel has no bridges (CONFIG_BRIDGE)\n");
		close(keep);
		skip();
	}
	veth("va", "vb", 1);
	run("ip link set va master br0");
	news = nmx__nl_open(RTMGRP_LINK);
	run("ip link set va nomaster");
	require_equal(nmx__nl_news(news, ifindex_of("va")), NMX__NL_CHANGED);
	nmx__fd_close(news);
	close(keep);
}

static void lost_news_are_a_change(void **state)
{
	int keep = namespace_make(), news, bytes = 1;

	(void)state;
	veth("va", "vb", 1);
	veth("vc", "vd", 1);
	news = nmx__nl_open(RTMGRP_LINK);
	require(setsockopt(news, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) == 0);
	for (int i = 0; i < 10; i++)
		run("ip link set vc mtu %d", 1400 + i);
	require_equal(nmx__nl_news(news, ifindex_of("va")), NMX__NL_CHANGED);
	require_equal(nmx__nl_news(news, ifindex_of("va")), NMX__NL_NOTHING);
	nmx__fd_close(news);
	close(keep);
}

static void pairs_are_made_and_deleted(void **state)
{
	int there = namespace_make(), peer_nl = nmx__nl_open(0), here = namespace_make(), nl = nmx__nl_open(0);
	struct nmx__link near, far;

	(void)state;
	require(nl >= 0 && peer_nl >= 0);
	require_equal(nmx__nl_veth_make(nl, "near0", "what it is for", "far0", peer_nl, 4, 1600), 0);
	require_equal(nmx__nl_link(nl, "near0", 0, &near), 0);
	require_equal(nmx__nl_link(peer_nl, "far0", 0, &far), 0);
	require(strcmp(near.alias, "what it is for") == 0);
	require(!(near.flags & IFF_UP) && !(far.flags & IFF_UP) && (near.flags & IFF_NOARP) && (far.flags & IFF_NOARP));
	require(near.mtu == 1600 && far.mtu == 1600);
	require_equal(near.num_rx_queues, 4);
	require_equal(near.num_tx_queues, 4);
	require_equal(far.num_rx_queues, 4);
	require_equal(far.num_tx_queues, 4);
	if (access("/proc/net/if_inet6", F_OK) == 0) {
		run("ip -d link show near0 | grep -q 'addrgenmode none'");
		namespace_go(there);
		run("ip -d link show far0 | grep -q 'addrgenmode none'");
		namespace_go(here);
	}

	require_equal(nmx__nl_veth_make(nl, "near0", "another", "far1", peer_nl, 1, 1500), -EEXIST);
	require_equal(nmx__nl_link(peer_nl, "far1", 0, &far), -ENODEV);
	require_equal(nmx__nl_veth_make(nl, "near1", "another", "far0", peer_nl, 1, 1500), -EEXIST);
	require_equal(nmx__nl_link(nl, "near1", 0, &far), -ENODEV);

	require_equal(nmx__nl_link_up(nl, near.ifindex), 0);
	require_equal(nmx__nl_link(nl, "near0", 0, &near), 0);
	require(near.flags & IFF_UP);
	require_equal(nmx__nl_link_delete(nl, near.ifindex), 0);
	require_equal(nmx__nl_link(nl, "near0", 0, &near), -ENODEV);
	require_equal(nmx__nl_link(peer_nl, "far0", 0, &far), -ENODEV);
	/* The MTU of a loopback is more than a pair can have. */
	require_equal(nmx__nl_veth_make(nl, "near0", "it", "far0", peer_nl, 1, 65536), 0);
	nmx__fd_close(nl);
	nmx__fd_close(peer_nl);
	close(there);
	close(here);
}

static void a_request_that_does_not_fit_is_not_sent(void **state)
{
	static const char text[300];
	struct nmx__request request;
	struct ifinfomsg about = { 0 };
	int nl = nmx__nl_open(0);

	(void)state;
	nmx__request_begin(&request, RTM_NEWLINK, 0, &about, sizeof(about));
	size_t nest = nmx__request_open(&request, IFLA_LINKINFO, NULL, 0);
	for (int i = 0; i < 5; i++)
		nmx__request_put(&request, IFLA_IFALIAS, text, sizeof(text));
	nmx__request_close(&request, nest);
	require(request.overflow && request.header.nlmsg_len <= NMX__REQUEST_BYTES);
	require_equal(nmx__request_send(nl, &request, NULL, NULL), -EMSGSIZE);
	nmx__fd_close(nl);
}

/* What the kernel never says, and a reader must survive. */
static void broken_attributes_are_passed_over(void **state)
{
	struct {
		struct nlmsghdr header;
		struct rtattr first;
		uint32_t value;
		struct rtattr second;
		char text[4];
	} message = { .header = { .nlmsg_len = sizeof(message) },
		      .first = { .rta_len = 8, .rta_type = 1 },
		      .value = 7,
		      .second = { .rta_len = 8, .rta_type = 2 | NLA_F_NESTED },
		      .text = "abcd" };
	const struct rtattr *a[3];
	char text[3];

	(void)state;
	nmx__attributes(&message.header, 0, a, 3);
	require(a[1] == &message.first && a[2] == &message.second && !a[0]);
	require_equal(nmx__attribute_u32(a[1]), 7);
	nmx__attribute_text(a[2], text, sizeof(text));
	require(strcmp(text, "ab") == 0);
	require_equal(nmx__attribute_u32(NULL), 0);
	nmx__attribute_text(NULL, text, sizeof(text));
	require(!text[0]);

	static const uint16_t lengths[] = { 0, 3, 9, 100, 65535 };
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		message.second.rta_len = lengths[i];
		nmx__attributes(&message.header, 0, a, 3);
		require(a[1] && !a[2]);
	}
	message.first.rta_len = 5;
	nmx__attributes(&message.header, 0, a, 3);
	require_equal(nmx__attribute_u32(a[1]), 0);
	message.header.nlmsg_len = 2;
	nmx__attributes(&message.header, 100, a, 3);
	require(!a[1] && !a[2]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_are_described),
		cmocka_unit_test(what_is_no_interface_is_no_device),
		cmocka_unit_test(programs_of_xdp_are_attached_and_seen),
		cmocka_unit_test(news_are_of_the_interface_alone),
		cmocka_unit_test(an_interface_that_moves_away_is_gone),
		cmocka_unit_test(a_port_that_leaves_its_bridge_is_not_gone),
		cmocka_unit_test(lost_news_are_a_change),
		cmocka_unit_test(pairs_are_made_and_deleted),
		cmocka_unit_test(a_request_that_does_not_fit_is_not_sent),
		cmocka_unit_test(broken_attributes_are_passed_over),
	};

	return cmocka_run_group_tests(tests, namespace_required, NULL);
}
