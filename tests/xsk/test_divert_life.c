/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* When the process that has a diversion is gone, however it went, the interface is as it was; and the process may be as
 * it likes: fork, have signals, be short of descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fork.h"
#include "diversion.h"

static char before[16384];

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
		if (by_filters()) { /* the filters are there, and do nothing */
			require(passes_soon(scene.wire_socket, scene.host_socket));
			require(passes_soon(scene.host_socket, scene.wire_socket));
			continue;
		}
		int64_t ms = until_as_before(before);
		longest = ms > longest ? ms : longest;
		require(passes(scene.wire_socket, scene.host_socket, ANSWER_MS));
		require(passes(scene.host_socket, scene.wire_socket, ANSWER_MS));
	}
	if (by_filters()) { /* and the next removes them */
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
	int64_t alone = by_filters() ? 0 : until_as_before(before);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_WAYS(a_killed_process_leaves_nothing),
		BOTH_WAYS(the_successor_of_a_killed_process_gets_it),
		BOTH_WAYS(a_forked_child_does_not_keep_it),
		BOTH_WAYS(a_forked_child_that_closes_does_no_harm),
		cmocka_unit_test(signals_of_the_program_are_its_own),
		BOTH_WAYS(no_descriptor_is_left_and_none_is_inherited),
		BOTH_WAYS(too_few_descriptors_are_no_leak),
	};

	return cmocka_run_group_tests(tests, namespace_required, NULL);
}
