/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Packets of an interface, and of the host on it, are led to the far end and back, for one process at a time that may;
 * and what others have there stays.  All of it by tcx links and by clsact filters. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fork.h"
#include "diversion.h"
#include "xsk/bpf.h"

static char before[16384];

static void what_the_host_sends_and_gets_is_led_through_the_far_end(void **state)
{
	struct scene scene = scene_make();

	(void)state;
	look_around(before, sizeof(before));
	require(passes(scene.host_socket, scene.wire_socket, ANSWER_MS));
	struct nmx__divert d = divert(NMX__DIVERT_HOST, false);
	int far = far_socket(&scene, &d, TEST_ETHERTYPE);
	require(passes(scene.host_socket, far, ANSWER_MS));
	require(!passes(scene.host_socket, scene.wire_socket, SILENT_MS));
	require(passes(far, scene.host_socket, ANSWER_MS));
	/* What comes in on the interface itself is none of our business. */
	require(passes(scene.wire_socket, scene.host_socket, ANSWER_MS));
	nmx__divert_close(&d);
	look_around(before + sizeof(before) / 2, sizeof(before) / 2);
	require(strcmp(before, before + sizeof(before) / 2) == 0); /* at once */
	require(passes(scene.host_socket, scene.wire_socket, ANSWER_MS));
	close(far);
	scene_end(&scene);
}

static void what_comes_in_is_led_to_the_far_end(void **state)
{
	struct scene scene = scene_make();

	(void)state;
	look_around(before, sizeof(before));
	struct nmx__divert d = divert(NMX__DIVERT_WIRE, false);
	int far = far_socket(&scene, &d, TEST_ETHERTYPE);
	require(passes(scene.wire_socket, far, ANSWER_MS));
	require(!passes(scene.wire_socket, scene.host_socket, SILENT_MS));
	require(passes(scene.host_socket, scene.wire_socket, ANSWER_MS));
	nmx__divert_close(&d);
	until_as_before(before);
	require(passes(scene.wire_socket, scene.host_socket, ANSWER_MS));
	close(far);
	scene_end(&scene);
}

static void what_is_handed_to_the_host_passes_the_diversion_of_the_wire(void **state)
{
	struct scene scene = scene_make();
	struct nmx__link near;

	(void)state;
	look_around(before, sizeof(before));
	struct nmx__divert host = divert(NMX__DIVERT_HOST, true), wire = divert(NMX__DIVERT_WIRE, true);
	int host_far = far_socket(&scene, &host, TEST_ETHERTYPE), wire_far = far_socket(&scene, &wire, TEST_ETHERTYPE);
	require(passes(host_far, scene.host_socket, ANSWER_MS));
	require(passes(scene.wire_socket, wire_far, ANSWER_MS));
	require(passes(scene.host_socket, host_far, ANSWER_MS));
	usleep(SILENT_MS * 1000);
	/* Each way one frame, and not one more that goes round. */
	require_equal(nmx__nl_link(wire.nl, wire.name, 0, &near), 0);
	require_equal(near.stats.tx_packets, 1);
	require_equal(nmx__nl_link(host.nl, host.name, 0, &near), 0);
	require_equal(near.stats.tx_packets, 1);
	require_equal(near.stats.rx_packets, 1);
	nmx__divert_close(&wire);
	nmx__divert_close(&host);
	until_as_before(before);
	close(host_far);
	close(wire_far);
	scene_end(&scene);
}

static void nothing_is_diverted_before_the_start(void **state)
{
	struct scene scene = scene_make();
	struct nmx_report why;
	struct nmx__divert d;
	struct nmx__link nic;

	(void)state;
	look_around(before, sizeof(before));
	require_equal(nmx__nl_link(scene.nl, "nic", 0, &nic), 0);
	require_result(nmx__divert_open(&d, &nic, NMX__DIVERT_HOST, false, 1, NULL, 0, &why), 0);
	int far = far_socket(&scene, &d, TEST_ETHERTYPE);
	require(passes(scene.host_socket, scene.wire_socket, ANSWER_MS));
	require(!passes(far, scene.host_socket, SILENT_MS));
	nmx__divert_close(&d);
	until_as_before(before);
	close(far);
	scene_end(&scene);
}

/* No packets but those of others, also of IPv6 and also after a while. */
static void the_pair_is_silent_by_itself(void **state)
{
	struct scene scene = scene_make();
	struct nmx__link link;

	(void)state;
	struct nmx__divert d = divert(NMX__DIVERT_HOST, false);
	usleep(3000000);
	require_equal(nmx__nl_link(d.far_nl, NULL, d.far, &link), 0);
	require_equal(link.stats.tx_packets, 0);
	require_equal(link.stats.rx_packets, 0);
	nmx__divert_close(&d);
	scene_end(&scene);
}

/* --- claims --- */

static void cannot_have_it(void *arg)
{
	const struct nmx__link *nic = arg;
	int64_t start = support_now_ms();
	struct nmx_report why;
	struct nmx__divert d;
	char expected[64], command[64];
	FILE *comm = fopen("/proc/self/comm", "re");

	require(comm && fscanf(comm, "%15[^\n]", command) == 1);
	fclose(comm);
	snprintf(expected, sizeof(expected), "\"nic\" are in use by %.15s (process %d)", command, (int)getppid());
	require_result(nmx__divert_open(&d, nic, NMX__DIVERT_HOST, false, 1, NULL, 0, &why), NMX_ERR_BUSY);
	require_contains(why.text, expected);
	require(support_now_ms() - start < 500);
	/* What is of another kind is another's. */
	require_result(nmx__divert_open(&d, nic, NMX__DIVERT_WIRE, false, 1, NULL, 0, &why), 0);
	nmx__divert_close(&d);
}

static void a_second_is_busy_and_told_who_has_it(void **state)
{
	struct scene scene = scene_make();
	struct nmx_report why;
	struct nmx__divert d;
	struct nmx__link nic;

	(void)state;
	require_equal(nmx__nl_link(scene.nl, "nic", 0, &nic), 0);
	struct nmx__divert first = divert(NMX__DIVERT_HOST, false);
	require_result(nmx__divert_open(&d, &nic, NMX__DIVERT_HOST, false, 1, NULL, 0, &why), NMX_ERR_BUSY);
	require_contains(why.text, "this process has the host rings of \"nic\" already");
	in_a_child(cannot_have_it, &nic);
	nmx__divert_close(&first);
	struct nmx__divert again = divert(NMX__DIVERT_HOST, false);
	nmx__divert_close(&again);
	scene_end(&scene);
}

static void a_name_that_a_stranger_has_is_not_taken_from_him(void **state)
{
	struct scene scene = scene_make();
	struct nmx_report why;
	struct nmx__divert d;
	struct nmx__link nic;

	(void)state;
	require_equal(nmx__nl_link(scene.nl, "nic", 0, &nic), 0);
	run("ip link add nmxh%d type veth peer name stranger", nic.ifindex);
	require_result(nmx__divert_open(&d, &nic, NMX__DIVERT_HOST, false, 1, NULL, 0, &why), NMX_ERR_BUSY);
	require_contains(why.text, "it does not say whose");
	require_contains(why.text, "ip link delete nmxh");
	run("ip link set nmxh%d alias 'host rings of nic: gone (process 99999999)'", nic.ifindex);
	require_result(nmx__divert_open(&d, &nic, NMX__DIVERT_HOST, false, 1, NULL, 0, &why), NMX_ERR_BUSY);
	require_contains(why.text, "gone (process 99999999), or by what it left behind");
	ifindex_of("stranger");
	scene_end(&scene);
}

static void an_interface_that_is_gone_is_said_to_be(void **state)
{
	struct scene scene = scene_make();
	struct nmx_report why = { 0 };
	struct nmx__divert d;
	struct nmx__link nic;

	(void)state;
	require_equal(nmx__nl_link(scene.nl, "nic", 0, &nic), 0);
	require_result(nmx__divert_open(&d, &nic, NMX__DIVERT_HOST, false, 1, NULL, 0, &why), 0);
	run("ip link delete nic");
	require(nmx__divert_start(&d, &why) < 0);
	printf("%s: %s\n", nmx_error_name(why.err), why.text);
	nmx__divert_close(&d);
	require(system("ip link | grep -q nmxh") != 0);
	close(scene.wire_socket);
	scene.wire_socket = -1;
	scene_end(&scene);
}

/* --- rights --- */

#define THREE_RIGHTS (1ull << CAP_NET_ADMIN | 1ull << CAP_NET_RAW | 1ull << 39 /* CAP_BPF */)

static void keep_capabilities(uint64_t which)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)which, .permitted = (uint32_t)which },
		{ .effective = (uint32_t)(which >> 32), .permitted = (uint32_t)(which >> 32) },
	};

	require(syscall(SYS_capset, &header, data) == 0);
}

static void lack_all(void *arg)
{
	struct nmx_report why;
	struct nmx__divert d;

	keep_capabilities(0);
	require_result(nmx__divert_open(&d, arg, NMX__DIVERT_HOST, false, 1, NULL, 0, &why), NMX_ERR_PERMISSION);
	printf("%s\n", why.text);
	require_contains(why.text, "CAP_NET_ADMIN");
	require_contains(why.text, "setcap");
}

static void without_rights_the_lacking_ones_are_named(void **state)
{
	struct scene scene = scene_make();
	struct nmx__link nic;

	(void)state;
	look_around(before, sizeof(before));
	require_equal(nmx__nl_link(scene.nl, "nic", 0, &nic), 0);
	in_a_child(lack_all, &nic);
	until_as_before(before);
	scene_end(&scene);
}

/* What a user has whose program got these three by setcap. */
static void have_three(void *arg)
{
	const struct nmx__link *nic = arg;
	struct nmx_report why = { 0 };
	struct xsk xsk[2];
	struct nmx__divert d;
	struct nmx__link near;
	int sockets[2], map, prog;
	bool frags = false;

	require(prctl(PR_SET_KEEPCAPS, 1) == 0);
	require(setresuid(12345, 12345, 12345) == 0);
	keep_capabilities(THREE_RIGHTS);
	if (nmx__divert_open(&d, nic, NMX__DIVERT_HOST, false, 2, sockets, 2, &why) == NMX_ERR_PERMISSION) {
		printf("skipped: there are no user namespaces: %s\n", why.text);
		return;
	}
	require_equal(why.err, 0);
	map = nmx__bpf_xsk_map(2);
	prog = nmx__bpf_load_xdp(map, &frags);
	require(prog >= 0);
	require_equal(nmx__nl_xdp(d.far_nl, d.far, prog, XDP_FLAGS_DRV_MODE), 0);
	for (uint32_t i = 0; i < 2; i++) {
		xsk_rings(&xsk[i], sockets[i], d.far, i);
		require_equal(nmx__bpf_xsk_map_set(map, i, sockets[i]), 0);
	}
	require_result(nmx__divert_start(&d, &why), 0);
	int sender = packet_socket("nic", 0);
	send_frame(sender, before, 60);
	for (int i = 0; xsk_count(&xsk[0]) + xsk_count(&xsk[1]) == 0 && i < 100; i++)
		usleep(10000);
	require_equal(xsk_count(&xsk[0]) + xsk_count(&xsk[1]), 1);
	require_equal(nmx__nl_link(d.nl, d.name, 0, &near), 0);
	require_equal(near.stats.tx_packets, 1);
	nmx__divert_close(&d);
	for (uint32_t i = 0; i < 2; i++)
		xsk_end(&xsk[i]);
}

static void no_right_over_the_system_is_needed(void **state)
{
	struct scene scene = scene_make();
	struct nmx__link nic;

	(void)state;
	look_around(before, sizeof(before));
	require_equal(nmx__nl_link(scene.nl, "nic", 0, &nic), 0);
	in_a_child(have_three, &nic);
	until_as_before(before);
	scene_end(&scene);
}

/* --- filters of others --- */

static void filters_and_qdiscs_of_others_stay(void **state)
{
	struct scene scene = scene_make();

	(void)state;
	run("tc qdisc add dev nic clsact && tc filter add dev nic ingress pref 7 protocol 0x1234 bpf bytecode '1,6 0 0 0'");
	look_around(before, sizeof(before));
	struct nmx__divert d = divert(NMX__DIVERT_WIRE, false);
	int far = far_socket(&scene, &d, TEST_ETHERTYPE);
	require(passes(scene.wire_socket, far, ANSWER_MS));
	nmx__divert_close(&d);
	until_as_before(before);

	/* A qdisc that we made, and somebody uses by now. */
	run("tc qdisc del dev nic clsact");
	d = divert(NMX__DIVERT_WIRE, false);
	run("tc qdisc add dev nic clsact 2>/dev/null; tc filter add dev nic egress pref 7 protocol 0x1234 bpf bytecode '1,6 0 0 0'");
	nmx__divert_close(&d);
	run("tc filter show dev nic egress | grep -q bytecode");
	require(passes(scene.wire_socket, scene.host_socket, ANSWER_MS));
	close(far);
	scene_end(&scene);
}

static void a_place_that_is_taken_is_not_taken_over(void **state)
{
	struct scene scene = scene_make();
	struct nmx_report why = { 0 };
	struct nmx__divert d;
	struct nmx__link nic;

	(void)state;
	run("tc qdisc add dev nic ingress");
	look_around(before, sizeof(before));
	require_equal(nmx__nl_link(scene.nl, "nic", 0, &nic), 0);
	require_result(nmx__divert_open(&d, &nic, NMX__DIVERT_HOST, false, 1, NULL, 0, &why), 0);
	int err = nmx__divert_start(&d, &why);
	if (by_filters()) { /* an older ingress qdisc has no egress */
		require_result(err, NMX_ERR_BUSY);
		require_contains(why.text, "tc filter show dev nic egress");
	}
	nmx__divert_close(&d);
	until_as_before(before);

	/* But for what comes in, it will do. */
	d = divert(NMX__DIVERT_WIRE, false);
	int far = far_socket(&scene, &d, TEST_ETHERTYPE);
	require(passes(scene.wire_socket, far, ANSWER_MS));
	nmx__divert_close(&d);
	until_as_before(before);

	run("tc filter add dev nic ingress pref 28269 protocol 0x1234 bpf bytecode '1,6 0 0 0'");
	look_around(before, sizeof(before));
	require_result(nmx__divert_open(&d, &nic, NMX__DIVERT_WIRE, false, 1, NULL, 0, &why), 0);
	err = nmx__divert_start(&d, &why);
	require_result(err, by_filters() ? NMX_ERR_BUSY : 0);
	nmx__divert_close(&d);
	until_as_before(before);
	close(far);
	scene_end(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_WAYS(what_the_host_sends_and_gets_is_led_through_the_far_end),
		BOTH_WAYS(what_comes_in_is_led_to_the_far_end),
		BOTH_WAYS(what_is_handed_to_the_host_passes_the_diversion_of_the_wire),
		cmocka_unit_test(nothing_is_diverted_before_the_start),
		cmocka_unit_test(the_pair_is_silent_by_itself),
		cmocka_unit_test(a_second_is_busy_and_told_who_has_it),
		cmocka_unit_test(a_name_that_a_stranger_has_is_not_taken_from_him),
		BOTH_WAYS(an_interface_that_is_gone_is_said_to_be),
		cmocka_unit_test(without_rights_the_lacking_ones_are_named),
		BOTH_WAYS(no_right_over_the_system_is_needed),
		BOTH_WAYS(filters_and_qdiscs_of_others_stay),
		BOTH_WAYS(a_place_that_is_taken_is_not_taken_over),
	};

	return cmocka_run_group_tests(tests, namespace_required, NULL);
}
