/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Who lacks a right is told which, and the line that gives it; who finds an interface taken is told by whom. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fork.h"
#include "namespace.h"
#include "xsk/bpf.h"
#include "xsk/rights.h"

#define USUAL (NMX__RIGHT_RAW | NMX__RIGHT_BPF | NMX__RIGHT_ADMIN)

static void drop_all_but(uint64_t keep)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted = (uint32_t)(keep >> 32 * i);
	require(syscall(SYS_capset, &header, data) == 0);
}

static void in_child(void (*body)(void *arg)) { support_join(support_fork(body, NULL)); }

static void without_any(void *arg)
{
	char path[300] = "";
	struct nmx_report why;
	bool frags = false;
	int link, map;

	(void)arg;
	require(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0);
	drop_all_but(0);
	require_equal(nmx__bpf_xsk_map(1), -EPERM);
	require_equal(nmx__bpf_load_xdp(-1, &frags), -EPERM);
	require_equal(nmx__bpf_join(1, 1, &link, &map), -EPERM);
	require_equal(nmx__rights_lacking(USUAL), USUAL);
	require_result(nmx__rights_fail(&why, USUAL, EPERM, "cannot open \"eth0\""), NMX_ERR_PERMISSION);
	require_equal(why.err, NMX_ERR_PERMISSION);
	require_equal(why.sys_errno, EPERM);
	require_contains(why.text,
	                 "cannot open \"eth0\": it needs CAP_NET_RAW, CAP_BPF and CAP_NET_ADMIN, and this process "
	                 "lacks CAP_NET_RAW, CAP_BPF and CAP_NET_ADMIN; as root: ");
	require_contains(why.text, "; as root: setcap cap_net_raw,cap_bpf,cap_net_admin+ep ");
	require_contains(why.text, path);
	require_result(nmx__rights_fail(NULL, USUAL, EPERM, "x"), NMX_ERR_PERMISSION);
}

static void without_one(void *arg)
{
	struct nmx_report why;

	(void)arg;
	drop_all_but(UINT64_C(1) << CAP_NET_RAW | UINT64_C(1) << CAP_NET_ADMIN);
	require_equal(nmx__rights_lacking(USUAL), NMX__RIGHT_BPF);
	require_result(nmx__rights_fail(&why, NMX__RIGHT_BPF, EPERM, "cannot attach to \"eth0\""),
	               NMX_ERR_PERMISSION);
	/* setcap replaces: the line keeps what the program has. */
	require_contains(why.text, "it needs CAP_BPF, and this process lacks CAP_BPF; as root: "
	                           "setcap cap_net_raw,cap_bpf,cap_net_admin+ep ");
	drop_all_but(UINT64_C(1) << CAP_NET_RAW);
	nmx__rights_fail(&why, NMX__RIGHT_RAW | NMX__RIGHT_SYS, EPERM, "no");
	require_contains(why.text,
	                 "no: it needs CAP_NET_RAW and CAP_SYS_ADMIN, and this process lacks CAP_SYS_ADMIN;");
}

static void with_the_great_one(void *arg)
{
	(void)arg;
	drop_all_but(UINT64_C(1) << CAP_SYS_ADMIN);
	int map = nmx__bpf_xsk_map(1);
	require(map >= 0 || map == -EPERM); /* some kernels want CAP_NET_ADMIN as well */
	require_equal(nmx__rights_lacking(NMX__RIGHT_BPF), 0);
	require_equal(nmx__rights_lacking(USUAL), NMX__RIGHT_RAW | NMX__RIGHT_ADMIN);
}

static void in_a_deprived_container(void *arg)
{
	struct nmx_report why;

	(void)arg;
	require(prctl(PR_CAPBSET_DROP, 39, 0, 0, 0) == 0);
	drop_all_but(UINT64_C(1) << CAP_NET_RAW | UINT64_C(1) << CAP_NET_ADMIN);
	nmx__rights_fail(&why, USUAL, EPERM, "cannot open \"eth0\"");
	require_contains(why.text, "lacks CAP_BPF, which the container or service that it runs in may not have");
}

static void in_a_user_namespace(void *arg)
{
	struct nmx_report why;

	(void)arg;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return; /* switched off here */
	require_equal(nmx__rights_lacking(USUAL), 0);
	require_equal(nmx__bpf_xsk_map(1), -EPERM);
	nmx__rights_fail(&why, USUAL, EPERM, "cannot open \"eth0\"");
	require_contains(why.text, "only the capabilities of the initial user namespace count");
}

static void what_is_lacking_is_named(void **state)
{
	struct nmx_report why;

	(void)state;
	in_child(without_any);
	in_child(without_one);
	in_child(with_the_great_one);
	in_child(in_a_deprived_container);
	in_child(in_a_user_namespace);
	require_equal(nmx__rights_lacking(USUAL | NMX__RIGHT_SYS), 0);
	nmx__rights_fail(&why, USUAL, EPERM, "cannot open \"eth0\"");
	require_contains(why.text, "refused all the same: only the capabilities of the initial user namespace count");
	require(strlen(why.text) < sizeof(why.text) - 1); /* not cut */
}

static void the_longest_report_is_not_cut(void **state)
{
	struct nmx_report why;

	(void)state;
	nmx__rights_fail(&why, USUAL | NMX__RIGHT_SYS, EPERM,
	                 "cannot lead packets of the host stack of \"abcdefghijklmno\" to this process");
	require(strlen(why.text) < sizeof(why.text) - 1);
}

static void a_claim_is_for_one_at_a_time(void **state)
{
	char holder[64], expected[96], name[64] = "";
	int keep = namespace_make();

	(void)state;
	nmx__claim_holder("xdp 3 0", holder, sizeof(holder));
	require(holder[0] == '\0');
	int claim = nmx__claim("xdp 3 0");
	require(claim >= 0);
	require(fcntl(claim, F_GETFD) == FD_CLOEXEC);
	require_equal(nmx__claim("xdp 3 0"), -EADDRINUSE);
	int other = nmx__claim("xdp 3 01"); /* a name is compared whole */
	require(other >= 0);
	prctl(PR_GET_NAME, name);
	snprintf(expected, sizeof(expected), "%s (process %d)", name, (int)getpid());
	for (int i = 0; i < 100; i++) { /* nobody has to answer */
		nmx__claim_holder("xdp 3 0", holder, sizeof(holder));
		require(strcmp(holder, expected) == 0);
	}
	nmx__claim_holder("xdp 3 0", holder, 4); /* cut, not overrun */
	require(strlen(holder) == 3);
	namespace_make(); /* another has names of its own */
	int there = nmx__claim("xdp 3 0");
	require(there >= 0);
	nmx__fd_close(there);
	namespace_go(keep);
	nmx__fd_close(claim);
	claim = nmx__claim("xdp 3 0");
	require(claim >= 0);
	nmx__fd_close(claim);
	nmx__fd_close(other);
	close(keep);
}

static void forked(void *arg)
{
	(void)arg;
	pause();
}

static void a_claim_stays_with_the_parent(void **state)
{
	int claim = nmx__claim("t"), again;

	(void)state;
	require(claim >= 0);
	pid_t child = support_fork(forked, NULL);
	nmx__fd_close(claim);
	/* The child is on its way: it closes what it inherited as its first act. */
	for (int i = 0; (again = nmx__claim("t")) == -EADDRINUSE && i < 200; i++)
		usleep(10000);
	require(again >= 0);
	nmx__fd_close(again);
	require(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
}

static void strange_names(void **state)
{
	char holder[64], mine[16] = "", long_name[200];

	(void)state;
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	require_equal(nmx__claim(long_name), -ENAMETOOLONG);
	nmx__claim_holder(long_name, holder, sizeof(holder));
	require(holder[0] == '\0');

	/* What a program calls itself is shown, but does not reach the terminal as it is. */
	prctl(PR_GET_NAME, mine);
	prctl(PR_SET_NAME, "a\033[2J\nb\377");
	int claim = nmx__claim("strange");
	nmx__claim_holder("strange", holder, sizeof(holder));
	prctl(PR_SET_NAME, mine);
	require_contains(holder, "(process ");
	require(strncmp(holder, "a?[2J", 5) == 0);
	for (const char *c = holder; *c; c++)
		require(*c >= ' ' && *c <= '~');
	nmx__fd_close(claim);
}

/* Bound, but nobody listens; and a full queue. */
static void squatters_change_no_more_than_the_message(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char name[] = "nmx squat";
	char holder[64] = "?";

	(void)state;
	memcpy(address.sun_path + 1, name, sizeof(name) - 1);
	const socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + sizeof(name));
	int squatter = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	require(bind(squatter, (struct sockaddr *)&address, len) == 0);
	require_equal(nmx__claim("squat"), -EADDRINUSE);
	nmx__claim_holder("squat", holder, sizeof(holder));
	require(holder[0] == '\0');
	require(listen(squatter, 0) == 0);
	for (int i = 0; i < 5; i++)
		nmx__claim_holder("squat", holder, sizeof(holder));
	require(holder[0] == '\0'); /* and it did not block */
	close(squatter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_lacking_is_named),
		cmocka_unit_test(the_longest_report_is_not_cut),
		cmocka_unit_test(a_claim_is_for_one_at_a_time),
		cmocka_unit_test(a_claim_stays_with_the_parent),
		cmocka_unit_test(strange_names),
		cmocka_unit_test(squatters_change_no_more_than_the_message),
	};

	return cmocka_run_group_tests(tests, namespace_required, NULL);
}
