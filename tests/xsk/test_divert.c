/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Packets of an interface, and of the host on it, are led to the far end and back; and when the process that wants them
 * is gone, however it went, the interface is as it was.  All of it by tcx links and by clsact filters. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_xdp.h>
#include <linux/sockios.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fork.h"
#include "diversion.h"
#include "xsk/bpf.h"

static int by_tcx(void **state)
{
	(void)state;
	nmx__divert_by_clsact = false;
	return 0;
}

static int by_clsact(void **state)
{
	(void)state;
	nmx__divert_by_clsact = true;
	return 0;
}

#define BOTH_WAYS(test) { #test " [tcx]", test, by_tcx, NULL, NULL }, { #test " [clsact]", test, by_clsact, NULL, NULL }

static char before[16384];

/* A requirement that fails there ends the child. */
static void in_a_child(void (*body)(void *arg), void *arg)
{
	support_join(support_fork(body, arg));
}

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
	char expected[64];

	snprintf(expected, sizeof(expected), "\"nic\" are in use by test_divert (process %d)", (int)getppid());
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

/* --- death --- */

static void own_both(void *arg)
{
	(void)arg;
	(void)divert(NMX__DIVERT_HOST, true);
	(void)divert(NMX__DIVERT_WIRE, true);
}

static void a_killed_process_leaves_nothing(void **state)
{
	struct scene scene = scene_make();
	int64_t longest = 0;

	(void)state;
	look_around(before, sizeof(before));
	for (int i = 0; i < 20; i++) {
		pid_t owner = owner_start(own_both, NULL);
		require(!passes(scene.wire_socket, scene.host_socket, 10));
		owner_kill(owner);
		if (nmx__divert_by_clsact) { /* the filters are there, and do nothing */
			require(passes_soon(scene.wire_socket, scene.host_socket));
			require(passes_soon(scene.host_socket, scene.wire_socket));
			continue;
		}
		int64_t ms = until_as_before(before);
		longest = ms > longest ? ms : longest;
		require(passes(scene.wire_socket, scene.host_socket, ANSWER_MS));
		require(passes(scene.host_socket, scene.wire_socket, ANSWER_MS));
	}
	if (nmx__divert_by_clsact) { /* and the next removes them */
		struct nmx__divert host = divert(NMX__DIVERT_HOST, true);
		struct nmx__divert wire = divert(NMX__DIVERT_WIRE, true);
		nmx__divert_close(&wire);
		nmx__divert_close(&host);
		until_as_before(before);
	}
	printf("at most %d ms after a kill\n", (int)longest);
	require(longest < 1000);
	scene_end(&scene);
}

/* The kernel takes the pair away in the background: whoever comes next waits for that. */
static void the_successor_of_a_killed_process_gets_it(void **state)
{
	struct scene scene = scene_make();

	(void)state;
	look_around(before, sizeof(before));
	for (int i = 0; i < 5; i++) {
		pid_t owner = owner_start(own_both, NULL);
		require(kill(owner, SIGKILL) == 0);
		siginfo_t info;
		require(waitid(P_PID, (id_t)owner, &info, WEXITED | WNOWAIT) == 0); /* it stays a zombie */
		struct nmx__divert host = divert(NMX__DIVERT_HOST, true);
		struct nmx__divert wire = divert(NMX__DIVERT_WIRE, true);
		int far = far_socket(&scene, &wire, TEST_ETHERTYPE);
		require(passes(scene.wire_socket, far, ANSWER_MS));
		require(waitpid(owner, NULL, 0) == owner);
		nmx__divert_close(&wire);
		nmx__divert_close(&host);
		close(far);
	}
	until_as_before(before);
	scene_end(&scene);
}

static volatile pid_t *grandchild;

static void own_and_fork(void *arg)
{
	own_both(arg);
	pid_t pid = fork();
	if (pid == 0) {
		for (;;)
			pause();
	}
	*grandchild = pid;
}

static void a_forked_child_does_not_keep_it(void **state)
{
	struct scene scene = scene_make();

	(void)state;
	grandchild = mmap(NULL, sizeof(*grandchild), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	require(grandchild != MAP_FAILED);
	look_around(before, sizeof(before));
	require(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	pid_t owner = owner_start(own_both, NULL);
	owner_kill(owner);
	int64_t alone = nmx__divert_by_clsact ? 0 : until_as_before(before);
	owner = owner_start(own_and_fork, NULL);
	owner_kill(owner);
	require(passes_soon(scene.wire_socket, scene.host_socket));
	for (int i = 0; i < 100 && system("ip link | grep -q nmx") == 0; i++)
		usleep(10000);
	require(system("ip link | grep -q nmx") != 0);
	require(alone < 1000);
	owner_kill(*grandchild);
	munmap((void *)grandchild, sizeof(*grandchild));
	scene_end(&scene);
}

static void close_it(void *arg) { nmx__divert_close(arg); }

static void a_forked_child_that_closes_does_no_harm(void **state)
{
	struct scene scene = scene_make();

	(void)state;
	struct nmx__divert d = divert(NMX__DIVERT_WIRE, false);
	int far = far_socket(&scene, &d, TEST_ETHERTYPE);
	in_a_child(close_it, &d);
	require(passes(scene.wire_socket, far, ANSWER_MS));
	nmx__divert_close(&d);
	close(far);
	scene_end(&scene);
}

/* --- whatever the program is like --- */

static volatile sig_atomic_t alarms, ends;
static void on_alarm(int signal) { alarms += signal == SIGALRM; }
static void on_end(int signal) { ends += signal == SIGCHLD; }

static void signals_of_the_program_are_its_own(void **state)
{
	struct scene scene = scene_make();
	struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = { { 0, 0 }, { 0, 0 } };

	(void)state;
	signal(SIGALRM, on_alarm);
	signal(SIGCHLD, on_end);
	require(setitimer(ITIMER_REAL, &often, NULL) == 0);
	for (int i = 0; i < 5; i++) {
		struct nmx__divert d = divert(NMX__DIVERT_WIRE, false);
		nmx__divert_close(&d);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	require(alarms > 0);
	require_equal(ends, 0); /* our child is not the program's to hear of */
	require(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
	signal(SIGCHLD, SIG_IGN);
	struct nmx__divert d = divert(NMX__DIVERT_WIRE, false);
	nmx__divert_close(&d);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGALRM, SIG_DFL);
	scene_end(&scene);
}

static int open_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void no_descriptor_is_left_and_none_is_inherited(void **state)
{
	struct scene scene = scene_make();
	struct nmx_report why;
	struct nmx__divert d, second;
	struct nmx__link nic;
	int sockets[NMX__NETNS_SOCKETS], others[NMX__NETNS_SOCKETS + 1];

	(void)state;
	require_equal(nmx__nl_link(scene.nl, "nic", 0, &nic), 0);
	bool were_open[256];
	int open_before = open_descriptors();
	for (int fd = 0; fd < 256; fd++)
		were_open[fd] = fcntl(fd, F_GETFD) >= 0;
	require_result(nmx__divert_open(&d, &nic, NMX__DIVERT_HOST, false, 4, sockets, NMX__NETNS_SOCKETS, &why), 0);
	require_result(nmx__divert_start(&d, &why), 0);
	int open_with = open_descriptors();
	require(open_with >= open_before + NMX__NETNS_SOCKETS + 5);
	require_result(nmx__divert_open(&second, &nic, NMX__DIVERT_HOST, false, 4, others, 2, &why), NMX_ERR_BUSY);
	require_equal(open_descriptors(), open_with);
	for (int fd = 0; fd < 256; fd++) {
		int flags = fcntl(fd, F_GETFD);
		require(were_open[fd] || flags < 0 || (flags & FD_CLOEXEC));
	}
	require_result(nmx__divert_open(&second, &nic, NMX__DIVERT_WIRE, false, 4, others, NMX__NETNS_SOCKETS + 1, &why),
	               NMX_ERR_BAD_OPTION);
	nmx__divert_close(&d);
	for (int i = 0; i < NMX__NETNS_SOCKETS; i++)
		nmx__fd_close(sockets[i]);
	require_equal(open_descriptors(), open_before);
	scene_end(&scene);
}

static void too_few_descriptors_are_no_leak(void **state)
{
	struct scene scene = scene_make();
	int sockets[8], open_before = open_descriptors();
	struct rlimit limit, less;
	struct nmx_report why;
	struct nmx__divert d;
	struct nmx__link nic;
	int err = NMX_ERR_IO;

	(void)state;
	look_around(before, sizeof(before));
	require_equal(nmx__nl_link(scene.nl, "nic", 0, &nic), 0);
	require(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	for (rlim_t n = 0; err != 0; n++) {
		less = (struct rlimit){ n, limit.rlim_max };
		require(setrlimit(RLIMIT_NOFILE, &less) == 0);
		err = nmx__divert_open(&d, &nic, NMX__DIVERT_HOST, false, 2, sockets, 8, &why);
		if (err == 0) {
			err = nmx__divert_start(&d, &why);
			nmx__divert_close(&d);
			for (int i = 0; i < 8; i++)
				nmx__fd_close(sockets[i]);
		}
		require(setrlimit(RLIMIT_NOFILE, &limit) == 0);
		if (err)
			require_result(err, NMX_ERR_NO_MEMORY);
		require_equal(open_descriptors(), open_before);
		require(n < 100);
	}
	until_as_before(before);
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
	if (nmx__divert_by_clsact) { /* an older ingress qdisc has no egress */
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
	require_result(err, nmx__divert_by_clsact ? NMX_ERR_BUSY : 0);
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
		BOTH_WAYS(a_killed_process_leaves_nothing),
		BOTH_WAYS(the_successor_of_a_killed_process_gets_it),
		BOTH_WAYS(a_forked_child_does_not_keep_it),
		BOTH_WAYS(a_forked_child_that_closes_does_no_harm),
		cmocka_unit_test(signals_of_the_program_are_its_own),
		BOTH_WAYS(no_descriptor_is_left_and_none_is_inherited),
		BOTH_WAYS(too_few_descriptors_are_no_leak),
		cmocka_unit_test(without_rights_the_lacking_ones_are_named),
		BOTH_WAYS(no_right_over_the_system_is_needed),
		BOTH_WAYS(filters_and_qdiscs_of_others_stay),
		BOTH_WAYS(a_place_that_is_taken_is_not_taken_over),
	};

	return cmocka_run_group_tests(tests, namespace_required, NULL);
}
