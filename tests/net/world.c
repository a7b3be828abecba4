/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "world.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <nmx/inspect.h>

struct net_args net_args;
static int home = -1, sides[MAX_SIDES], num_sides;

/* Said at once, for the output of a skipped test ends with the reason. */
static void __attribute__((__noreturn__, __format__(__printf__, 1, 2))) skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	printf("skipped: ");
	vprintf(format, args);
	printf("\n");
	va_end(args);
	exit(SKIP);
}

static void __attribute__((__noreturn__)) give_up(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- programs */

/* Those of iproute2 are not in everybody's $PATH. */
static void widen_path(void)
{
	char dirs[4096];
	const char *given = getenv("PATH");

	snprintf(dirs, sizeof(dirs), "%.3900s:/usr/sbin:/sbin:/usr/bin:/bin", given ? given : "");
	setenv("PATH", dirs, 1);
}

/* Where a program is; NULL: nowhere. */
static const char *find_program(const char *name)
{
	static char path[512];
	char dirs[4096], *rest = dirs, *dir;

	if (strchr(name, '/'))
		return name;
	snprintf(dirs, sizeof(dirs), "%s", getenv("PATH"));
	while ((dir = strsep(&rest, ":")) != NULL) {
		snprintf(path, sizeof(path), "%.400s/%.100s", dir, name);
		if (dir[0] && access(path, X_OK) == 0)
			return path;
	}
	return NULL;
}

void net_needs_program(const char *program, const char *package)
{
	if (!find_program(program))
		skip("%s is not installed (package %s)", program, package);
}

void net_needs_ports(void)
{
	struct nmx_report why = { 0 };
	int err;

	net_enter(0);
	err = nmx_backend_probe(NMX_XDP, run_dir, &why);
	net_leave();
	if (err < 0)
		skip("%s", why.text[0] ? why.text : nmx_strerror(err));
}

/* Before, a bind does not know the flag. */
bool net_takes_long_packets(void)
{
	struct sockaddr_xdp nowhere = { .sxdp_family = AF_XDP, .sxdp_flags = 1 << 4 /* XDP_USE_SG */ };
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	bool does = fd >= 0 && (bind(fd, (struct sockaddr *)&nowhere, sizeof(nowhere)) == 0 || errno != EINVAL);

	close(fd);
	return does;
}

/* In the child: into the namespace, and to die with the test. */
static void enter_for_good(void *arg)
{
	if (setns(*(const int *)arg, CLONE_NEWNET) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		_exit(126);
}

void net_start(int side, struct child *child, const char *const *argv)
{
	const char *all[64] = { find_program(argv[0]) };

	if (!EXPECT(all[0], "%s is not installed", argv[0]))
		all[0] = argv[0];
	for (int i = 1; i < 63 && argv[i]; i++)
		all[i] = argv[i];
	child_before_exec(enter_for_good, &sides[side]);
	child_start(child, all);
	child_before_exec(NULL, NULL);
}

int net_run(int side, struct child *child, const char *const *argv)
{
	net_start(side, child, argv);
	return child_wait(child, 20000);
}

const char *net_script(int side, const char *format, ...)
{
	static struct child child;
	char script[4096];
	va_list args;

	va_start(args, format);
	vsnprintf(script, sizeof(script), format, args);
	va_end(args);
	net_run(side, &child, ARGV("sh", "-c", script));
	EXPECT(child.code == 0, "%d from: %s\n%s%s", child.code, script, child.out, child.err);
	return child.out;
}

/* ---- namespaces */

void net_enter(int side)
{
	if (setns(sides[side], CLONE_NEWNET) < 0)
		give_up("setns");
}

void net_leave(void)
{
	if (setns(home, CLONE_NEWNET) < 0)
		give_up("setns");
}

static void read_args(int argc, char **argv)
{
	if (argc < 6) {
		fprintf(stderr, "usage: %s NMX TALK TAPFORWARD EXAMPLES CAPTURES [-n NUMBER] [--bench]\n", argv[0]);
		exit(2);
	}
	run_begin(argv[1]);
	net_args =
	    (struct net_args){ .talk = argv[2], .tapforward = argv[3], .examples = argv[4], .captures = argv[5] };
	for (int i = 6; i < argc; i++) {
		if (strcmp(argv[i], "--bench") == 0)
			net_args.bench = true;
		else if (strcmp(argv[i], "-n") == 0 && i + 1 < argc)
			net_args.number = strtol(argv[++i], NULL, 10);
	}
}

void net_begin(int argc, char **argv, int want)
{
	read_args(argc, argv);
	widen_path();
	net_needs_program("ip", "iproute2");
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0)
		skip("no network namespaces here: %s", strerror(errno));
	for (; num_sides < want; num_sides++) {
		if (unshare(CLONE_NEWNET) < 0)
			skip("a network namespace cannot be made: %s%s", strerror(errno),
			     errno == EPERM ? "; it needs root" : "");
		sides[num_sides] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
		if (sides[num_sides] < 0)
			give_up("/proc/self/ns/net");
		net_leave();
		net_script(num_sides, "ip link set lo up");
	}
}

/* For every interface that the namespace gets from now on.  Where /proc is read-only they say a little.  Addresses are
 * not asked for twice: one that is still "tentative" would not be as before a second later. */
static void set_quiet(int side, enum net_quiet quiet)
{
	net_script(side, "cd /proc/sys/net/ipv6/conf/default && echo %d >disable_ipv6 && echo 0 >accept_dad || true",
	           quiet == NET_QUIET);
}

/* The kernel says so a little later than ip. */
static void await_up(int side, const char *dev)
{
	net_script(side, "for i in $(seq 200); do ip link show %s | grep -q 'state UP' && break; sleep 0.01; done",
	           dev);
}

void net_join(int side, const char *dev, int peer_side, const char *peer_dev, int queues, int mtu,
              enum net_quiet quiet)
{
	set_quiet(side, quiet);
	set_quiet(peer_side, quiet);
	net_script(side,
	           "ip link add %s mtu %d numrxqueues %d numtxqueues %d type veth "
	           "peer name %s mtu %d numrxqueues %d numtxqueues %d netns /proc/%d/fd/%d && ip link set %s up",
	           dev, mtu, queues, queues, peer_dev, mtu, queues, queues, (int)getpid(), sides[peer_side], dev);
	net_script(peer_side, "ip link set %s up", peer_dev);
	await_up(side, dev);
	await_up(peer_side, peer_dev);
}

void net_address(int side, const char *dev, const char *address)
{
	net_script(side, "ip addr add %s dev %s%s", address, dev, strchr(address, ':') ? " nodad" : "");
}

/* ---- state of an interface */

/* Programs of tc's newer way, which its own commands do not show.  Kernels without it: -1, before and after. */
static int count_tcx(unsigned ifindex, uint32_t attach_type)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.query.target_fd = ifindex; /* the same place as target_ifindex, which older headers do not have */
	attr.query.attach_type = attach_type;
	return syscall(SYS_bpf, BPF_PROG_QUERY, &attr, sizeof(attr)) < 0 ? -1 : (int)attr.query.prog_cnt;
}

enum { TCX_INGRESS = 46, TCX_EGRESS = 47 }; /* enum bpf_attach_type, from Linux 6.6 */

void net_snapshot(int side, const char *dev, struct snapshot *snapshot)
{
	unsigned ifindex;
	int ingress, egress;

	net_enter(side);
	ifindex = if_nametoindex(dev);
	ingress = count_tcx(ifindex, TCX_INGRESS);
	egress = count_tcx(ifindex, TCX_EGRESS);
	net_leave();
	snprintf(snapshot->text, sizeof(snapshot->text), "tcx: %d ingress, %d egress\n%s", ingress, egress,
	         net_script(side,
	                    "ip -d link; ip addr; ip route show table all; tc qdisc;"
	                    "for way in ingress egress; do tc filter show dev %s $way; done;"
	                    "command -v ethtool >/dev/null && ethtool -k %s;"
	                    "command -v bpftool >/dev/null && bpftool net; true",
	                    dev, dev));
}

/* The first line that the two do not share. */
static void show_difference(const char *before, const char *after)
{
	const char *a = before, *b = after;

	for (; *a && *a == *b; a++, b++)
		;
	while (a > before && a[-1] != '\n')
		a--, b--;
	expect_failed(__FILE__, __LINE__, "as before", "\n-%.*s\n+%.*s", (int)strcspn(a, "\n"), a,
	              (int)strcspn(b, "\n"), b);
}

int net_same_within(int side, const char *dev, const struct snapshot *before, int timeout_ms)
{
	static struct snapshot now;
	int64_t begin = now_ms(), asked;

	do {
		asked = now_ms();
		net_snapshot(side, dev, &now);
		if (strcmp(now.text, before->text) == 0)
			return (int)(asked - begin);
		sleep_ms(5);
	} while (asked - begin < patience(timeout_ms));
	show_difference(before->text, now.text);
	return -1;
}

/* ---- where there is no tcx */

bool net_has_tcx(void)
{
	unsigned ifindex;
	int n;

	net_enter(0);
	ifindex = if_nametoindex("lo");
	n = count_tcx(ifindex, TCX_INGRESS);
	net_leave();
	return n >= 0;
}

/* Our filters and the qdisc around them, as tc and bpftool show them. */
static bool is_about_filters(const char *line, size_t len)
{
	return memmem(line, len, "clsact", strlen("clsact")) || memmem(line, len, "pref 28269 ", strlen("pref 28269 "));
}

static void without_filters(const struct snapshot *from, struct snapshot *to)
{
	char *out = to->text;

	for (const char *at = from->text; *at;) {
		size_t len = strcspn(at, "\n");

		len += at[len] == '\n';
		if (!is_about_filters(at, len)) {
			memcpy(out, at, len);
			out += len;
		}
		at += len;
	}
	*out = '\0';
}

int net_same_after_kill(int side, const char *dev, const struct snapshot *before, int timeout_ms)
{
	static struct snapshot now, rest;
	int64_t begin = now_ms(), asked;

	if (net_has_tcx())
		return net_same_within(side, dev, before, timeout_ms);
	do {
		asked = now_ms();
		net_snapshot(side, dev, &now);
		without_filters(&now, &rest);
		if (strcmp(rest.text, before->text) == 0)
			return (int)(asked - begin);
	} while (asked - begin < patience(timeout_ms));
	show_difference(before->text, rest.text);
	return -1;
}

bool net_next_tidies(int side, const char *dev, const struct snapshot *before)
{
	static struct snapshot now;
	static struct child next;
	char port[64];

	if (net_has_tcx())
		return true;
	net_snapshot(side, dev, &now);
	if (strstr(now.text, "nmx+clsact")) { /* one packet of the host is enough for it, if there is one */
		snprintf(port, sizeof(port), "%s^", dev);
		net_run(side, &next, ARGV(nmx_path, "sink", port, "--dir", run_dir, "-q", "--timeout", "1", "-n", "1"));
		EXPECT(next.code == 0 || strstr(next.err, "time is up"), "the next host rings: %d: %s", next.code, next.err);
	} else if (strcmp(now.text, before->text) != 0) { /* killed between the two: it is not told from one of an administrator */
		net_script(side, "tc qdisc del dev %s clsact", dev);
		printf("an empty clsact qdisc was left\n");
	}
	return net_same_within(side, dev, before, 1000) >= 0;
}

void net_counters(int side, const char *dev, struct net_counters *c)
{
	char line[512], name[64];
	FILE *file;
	bool found = false;

	net_enter(side);
	file = fopen("/proc/thread-self/net/dev", "r");
	net_leave();
	*c = (struct net_counters){ 0 };
	while (file && !found && fgets(line, sizeof(line), file))
		found =
		    sscanf(line, " %63[^:]: %*u %lu %lu %lu %*u %*u %*u %*u %*u %lu %lu %lu", name, &c->rx_packets,
		           &c->rx_errors, &c->rx_dropped, &c->tx_packets, &c->tx_errors, &c->tx_dropped) == 7 &&
		    strcmp(name, dev) == 0;
	if (file)
		fclose(file);
	EXPECT(found, "no counters of %s", dev);
}

/* Sockets of AF_XDP are the only ones that are mapped. */
static bool has_mapped_sockets(const struct child *child)
{
	char path[64], line[512];
	bool found = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)child->pid);
	maps = fopen(path, "r");
	while (maps && !found && fgets(line, sizeof(line), maps))
		found = strstr(line, "socket:[");
	if (maps)
		fclose(maps);
	return found;
}

/* Which system call it sleeps in; -1: none, or it cannot be told. */
static long sleeps_in(const struct child *child)
{
	char path[64];
	long number = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/syscall", (int)child->pid);
	file = fopen(path, "r");
	if (file && fscanf(file, "%ld", &number) != 1)
		number = -1;
	if (file)
		fclose(file);
	return number;
}

static bool waits_for_packets(const struct child *child)
{
	long call = sleeps_in(child);

#ifdef SYS_poll
	if (call == SYS_poll || call == SYS_epoll_wait)
		return true;
#endif
	return call == SYS_ppoll || call == SYS_epoll_pwait;
}

bool net_await_port(struct child *child)
{
	for (int64_t deadline = now_ms() + patience(10000); now_ms() < deadline && child_is_running(child); sleep_ms(2))
		if (has_mapped_sockets(child) && waits_for_packets(child))
			return true;
	child_wait(child, 0);
	return EXPECT(false, "%s did not come to wait for packets: %s%s", child->what, child->out, child->err);
}

/* ---- JSON */

uint64_t json_sum(const struct child *child, const char *object)
{
	char word[64];
	const char *at, *end;
	uint64_t sum = 0;

	snprintf(word, sizeof(word), "\"%s\": {", object);
	at = strstr(child->out, word);
	if (!at)
		return 0;
	at += strlen(word);
	end = at + strcspn(at, "}");
	while ((at = strstr(at, "\": ")) != NULL && at < end) {
		at += strlen("\": ");
		sum += strtoull(at, NULL, 10);
	}
	return sum;
}

double json_double_of(const struct child *child, const char *key)
{
	char word[64];
	const char *at;

	snprintf(word, sizeof(word), "\"%s\": ", key);
	at = strstr(child->out, word);
	return EXPECT(at, "%s: no \"%s\" in:\n%s%s", child->what, key, child->out, child->err)
	           ? strtod(at + strlen(word), NULL)
	           : 0;
}
