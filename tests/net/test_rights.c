/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What opening an interface says to a process that may not: which capability it lacks, and the line that gives it; and that
 * with these, and no others, anybody can. */
#include <dirent.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "world.h"

enum { HOST, NEIGHBOUR, MTU = 1500, NOBODY = 65534, LAST_CAP = 40 };
#define BIT(cap) (UINT64_C(1) << (cap))

#ifndef CAP_BPF
#define CAP_BPF 39
#endif

static struct child child;
static uint64_t granted; /* what the next child has */
static bool as_nobody;

/* In the child: another user, who keeps what is granted as the file of a program would grant it. */
static void become_nobody(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	bool good = prctl(PR_SET_KEEPCAPS, 1) == 0 && setgroups(0, NULL) == 0 &&
	            setresgid(NOBODY, NOBODY, NOBODY) == 0 && setresuid(NOBODY, NOBODY, NOBODY) == 0;

	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted = data[i].inheritable = (uint32_t)(granted >> 32 * i);
	good = syscall(SYS_capset, &head, data) == 0 && good;
	for (int cap = 0; cap <= LAST_CAP; cap++)
		if (granted & BIT(cap))
			good = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) == 0 && good;
	if (!good || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(125);
}

/* In the child: what the bounding set lacks, as a container's does, no program gets. */
static void bound_rights(void)
{
	bool good = true;

	for (int cap = 0; cap <= LAST_CAP; cap++)
		if (!(granted & BIT(cap)) && prctl(PR_CAPBSET_READ, cap) == 1)
			good = prctl(PR_CAPBSET_DROP, cap) == 0 && good;
	if (!good || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(125);
}

static void drop_rights(void *arg)
{
	(void)arg;
	if (as_nobody)
		become_nobody();
	else
		bound_rights();
}

/* The namespace is entered by the test, for the child may not. */
static void start_command(uint64_t rights, bool nobody, const char *const *argv)
{
	granted = rights;
	as_nobody = nobody;
	net_enter(HOST);
	child_before_exec(drop_rights, NULL);
	child_start(&child, argv);
	child_before_exec(NULL, NULL);
	net_leave();
}

/* To the end, or as far as the port's being open. */
static void start_with(uint64_t rights, bool nobody, const char *port)
{
	start_command(rights, nobody, NMX("sink", port, "-q", "--timeout", "1"));
}

/* names: what the sentence must name beside the interface. */
static void ends_refused(const char *const *names)
{
	child_ends(&child, 1);
	for (; *names; names++)
		child_says(&child, *names);
	child_says(&child, "eth0");
}

static void is_refused(uint64_t rights, bool nobody, const char *port, const char *const *names)
{
	start_with(rights, nobody, port);
	ends_refused(names);
}

#define NAMES(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NEEDED     (BIT(CAP_NET_RAW) | BIT(CAP_BPF) | BIT(CAP_NET_ADMIN))
#define ALL        (BIT(LAST_CAP + 1) - 1)

/* In a container setcap would not help.  CAP_SYS_ADMIN stands for two of the others, so it goes with them. */
static void a_container_lacks_one(const char *port)
{
	is_refused(ALL & ~BIT(CAP_NET_RAW), false, port, NAMES("CAP_NET_RAW", "container"));
	is_refused(ALL & ~(BIT(CAP_BPF) | BIT(CAP_SYS_ADMIN)), false, port, NAMES("CAP_BPF", "container"));
	is_refused(ALL & ~(BIT(CAP_NET_ADMIN) | BIT(CAP_SYS_ADMIN)), false, port,
	           NAMES("CAP_NET_ADMIN", "container"));
	is_refused(0, false, port, NAMES("CAP_NET_RAW", "CAP_BPF", "CAP_NET_ADMIN", "container"));
}

static void somebody_lacks_one(const char *port)
{
	is_refused(NEEDED & ~BIT(CAP_NET_RAW), true, port, NAMES("CAP_NET_RAW", "setcap", "/nmx"));
	is_refused(NEEDED & ~BIT(CAP_BPF), true, port, NAMES("CAP_BPF", "setcap", "/nmx"));
	is_refused(NEEDED & ~BIT(CAP_NET_ADMIN), true, port, NAMES("CAP_NET_ADMIN", "setcap", "/nmx"));
	is_refused(0, true, port, NAMES("CAP_NET_RAW", "CAP_BPF", "CAP_NET_ADMIN", "setcap", "/nmx"));
}

/* As the setcap line would give them.  A port that ends by its time being up was open. */
static void what_is_named_is_enough(void)
{
	start_with(NEEDED, true, "eth0");
	child_wait(&child, 10000);
	EXPECT(strstr(child.err, "time is up"), "nobody with these capabilities: %d: %s%s", child.code, child.out,
	       child.err);
}

static void run_dir_has_nothing(void)
{
	struct dirent *entry;
	DIR *dir = opendir(run_dir);

	while (EXPECT(dir, "%s: %s", run_dir, strerror(errno)) && (entry = readdir(dir)))
		EXPECT(entry->d_name[0] == '.', "%s is left behind", entry->d_name);
	if (dir)
		closedir(dir);
}

/* In the foreground, and as a daemon, which says it where it was started. */
static void nobody_attaches(const char *how)
{
	start_command(0, true, NMX("switch", "attach", "vale0:eth0", how));
	ends_refused(NAMES("CAP_NET_RAW", "CAP_BPF", "CAP_NET_ADMIN", "setcap", "/nmx"));
	run_dir_has_nothing();
}

/* And with what the line gives, anybody can, and take it out again without. */
static void with_what_is_named_nobody_attaches(void)
{
	start_command(NEEDED, true, NMX("switch", "attach", "vale0:eth0", "-d"));
	child_ends(&child, 0);
	child_says(&child, "attach vale0:eth0: port 1");
	start_command(0, true, NMX("switch", "detach", "vale0:eth0"));
	child_ends(&child, 0);
	run_dir_has_nothing();
}

static bool nobody_can_run_nmx(void)
{
	start_with(0, true, "?"); /* no port: it ends at once */
	return child_wait(&child, 10000) != 127 && child.code != 126;
}

int main(int argc, char **argv)
{
	static struct snapshot before;

	net_begin(argc, argv, 2);
	net_needs_ports();
	setenv("NMX_DIR", run_dir, 1);
	net_join(HOST, "eth0", NEIGHBOUR, "eth0", 1, MTU, NET_QUIET);
	net_snapshot(HOST, "eth0", &before);
	a_container_lacks_one("eth0");
	a_container_lacks_one("eth0^");
	net_same_within(HOST, "eth0", &before, 1000);
	if (nobody_can_run_nmx()) {
		EXPECT(chown(run_dir, NOBODY, NOBODY) == 0, "chown: %s", strerror(errno));
		somebody_lacks_one("eth0");
		what_is_named_is_enough();
		nobody_attaches("-q");
		nobody_attaches("--host");
		nobody_attaches("-d");
		with_what_is_named_nobody_attaches();
		net_same_within(HOST, "eth0", &before, 1000);
	} else {
		printf("not tried as another user: %s is in a place where others may not look\n", nmx_path);
	}
	return expect_result();
}
