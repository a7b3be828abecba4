/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nmx/inspect.h>

#include "bridge_report.h"
#include "clock.h"
#include "pidfile.h"
#include "say.h"
#include "stop.h"
#include "summary.h"

#define COMMAND   "switch"
#define OF_XDP    "xdp:" /* for buffers that can be exchanged with the switch's */
#define BURST     1024
#define SLOTS     1024 /* as interfaces have by default, and more than other ports of switches */
#define DETACH_MS 5000

/* What is attached: the interface and its port in the switch, and the host's rings and theirs. */
enum { WIRE, WIRE_PORT, HOST, HOST_PORT };

struct attachment {
	const struct attach_options *options;
	char name[BRIDGE_PORTS][80]; /* of the ports */
	const char *interface;       /* in name[WIRE] */
	struct port ports[BRIDGE_PORTS];
	uint32_t num_ports;
	struct bridge bridge;
	struct live live;
	struct pidfile pidfile;
	int ready_fd;         /* tells who started the daemon that it has begun; -1 */
	uint64_t flood_drops; /* that were seen */
	bool floods;          /* and there were more in the last second */
};

/* ---- names and files */

static int no_segment(const struct nmx_segment_info *info, void *arg)
{
	(void)info;
	(void)arg;
	return 1;
}

/* DIRECTORY/SEGMENT.vale0:eth0.pid.  False: said. */
static bool pidfile_path(const char *name, const struct attach_options *o, char *path, size_t size)
{
	char directory[300];
	struct nmx_report why;

	if (o->segment && strchr(o->segment, '/'))
		return say(COMMAND, "\"%s\" is not the name of a segment: it has a /", o->segment), false;
	if (nmx_segment_list(o->directory, directory, sizeof(directory), no_segment, NULL, &why) < 0)
		return say(COMMAND, "%s", why.text), false;
	snprintf(path, size, "%s/%s.%s.pid", directory, o->segment ? o->segment : "default", name);
	return true;
}

/* The library has read the name: there is a switch, and one port of it. */
static const char *without_prefix(const char *name) { return strncmp(name, "netmap:", 7) == 0 ? name + 7 : name; }

static const char *interface_of(const char *name) { return strchr(name, ':') + 1; }

int attached_by(const char *name, const struct attach_options *options)
{
	char path[512];
	pid_t who = pidfile_path(without_prefix(name), options, path, sizeof(path)) ? pidfile_holder(path) : 0;

	return who > 0 ? (int)who : 0;
}

/* ---- what would go round in circles */

/* The other end of a veth pair that is in this switch, by a process that has its queues: what went out at one end would
 * come in at the other, for ever. */
static bool is_a_loop(const struct attachment *a, const char *name)
{
	struct nmx_interface_info here, there;
	char peer[IFNAMSIZ], peer_port[IFNAMSIZ + sizeof(OF_XDP)], peer_name[80], process[32];
	struct nmx_report why;
	int who;

	if (nmx_interface_inspect(a->name[WIRE], &here, &why) < 0 || !here.peer_ifindex ||
	    !if_indextoname((unsigned)here.peer_ifindex, peer))
		return false; /* opening it will tell */
	snprintf(peer_name, sizeof(peer_name), "%.*s%s", (int)(interface_of(name) - name), name, peer);
	snprintf(peer_port, sizeof(peer_port), OF_XDP "%s", peer);
	who = attached_by(peer_name, a->options);
	snprintf(process, sizeof(process), "(process %d)", who);
	if (who == 0 || nmx_interface_inspect(peer_port, &there, &why) < 0 || !strstr(there.queue_user, process))
		return false; /* attached in another network namespace, where it is another interface */
	say(COMMAND,
	    "%s: not attached: it is one end of a veth pair, and %s, the other, is attached as %s: what is for everybody "
	    "would go round and round; attach one of the two",
	    a->interface, peer, peer_name);
	return true;
}

/* Once a second.  A storm that comes from outside, through cables or bridges that we do not see. */
static void look_for_storms(void *arg)
{
	struct attachment *a = arg;
	uint64_t drops = 0;

	for (uint32_t i = WIRE_PORT; i < a->num_ports; i += 2) {
		struct nmx_stats stats;
		nmx_port_stats(a->ports[i].nm, &stats);
		drops += stats.drop_flood;
	}
	if (drops > a->flood_drops && !a->floods)
		say(COMMAND,
		    "%s: more than %llu packets a second for everybody; the rest is dropped.  If nobody sends so many, "
		    "there is a loop",
		    a->interface, (unsigned long long)a->options->flood_pps);
	a->floods = drops > a->flood_drops;
	a->flood_drops = drops;
}

/* ---- the ports */

static void close_ports(struct attachment *a)
{
	for (uint32_t i = 0; i < a->num_ports; i++)
		port_close(&a->ports[i]);
}

/* The interface takes what is for others too: they may be in the switch. */
static bool open_ports(struct attachment *a)
{
	static const uint32_t flags[] = { [WIRE] = NMX_CHAINS | NMX_PROMISC,
		                          [WIRE_PORT] = NMX_CHAINS,
		                          [HOST] = NMX_CHAINS,
		                          [HOST_PORT] = NMX_CHAINS };
	const struct attach_options *o = a->options;
	uint32_t wanted = o->host ? 4 : 2;

	for (; a->num_ports < wanted; a->num_ports++) {
		struct port_options port = { .name = a->name[a->num_ports],
			                     .directory = o->directory,
			                     .segment = o->segment,
			                     .slots = o->slots ? o->slots : SLOTS };
		if (a->num_ports % 2 && o->flood_pps != OPT_RATE_MAX)
			port.flood_pps = o->flood_pps;
		if (port_open_any(&a->ports[a->num_ports], COMMAND, &port, flags[a->num_ports]) != EXIT_OK) {
			close_ports(a);
			return false;
		}
		if (a->num_ports % 2 == 0)
			a->ports[a->num_ports].name += strlen(OF_XDP); /* people know it without */
	}
	if (o->host)
		link_start(&a->ports[HOST].link, COMMAND, ""); /* the same one: once is enough to tell of it */
	return true;
}

/* ---- what it says */

static void say_summary(const struct attachment *a, enum bridge_end end, double seconds, bool ok)
{
	static const char *const ports[] = { "interface", "switch_port", "host", "host_port" };
	static const char *const ways[] = { "interface_to_switch", "switch_to_interface", "host_to_switch",
		                            "switch_to_host" };
	struct json json;

	if (!a->options->json) {
		bridge_say_summary(&a->bridge, seconds);
		return;
	}
	json_begin(&json, stdout);
	json_bool(&json, "exchange", a->bridge.ways[WIRE].exchange);
	json_text(&json, "end", bridge_end_name(end));
	for (uint32_t i = 0; i < a->num_ports; i++) {
		bridge_json_port(&json, ports[i], &a->ports[i]);
		bridge_json_way(&json, ways[i], &a->bridge.ways[i], seconds);
	}
	json_u64(&json, "bytes_copied", bridge_copied(&a->bridge));
	json_bool(&json, "ok", ok);
	json_end(&json);
}

static void say_begun(const struct attachment *a)
{
	unsigned number = a->ports[WIRE_PORT].info.switch_port;
	struct json json;

	if (!a->options->json) {
		printf("attach %s: port %u, process %d\n", a->name[WIRE_PORT], number, (int)getpid());
		return;
	}
	json_begin(&json, stdout);
	json_text(&json, "action", "attach");
	json_text(&json, "name", a->name[WIRE_PORT]);
	json_u64(&json, "port", number);
	json_u64(&json, "process", (uint64_t)getpid());
	json_bool(&json, "ok", true);
	json_end(&json);
}

/* From here on the daemon writes into its log, or nowhere. */
static void leave_the_terminal(struct attachment *a, int log)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char byte = 1;

	say_begun(a);
	fflush(stdout);
	dup2(null, STDIN_FILENO);
	dup2(log >= 0 ? log : null, STDOUT_FILENO);
	dup2(log >= 0 ? log : null, STDERR_FILENO);
	if (write(a->ready_fd, &byte, 1) != 1)
		say(COMMAND, "who started this has gone: %s", strerror(errno));
	close(a->ready_fd);
	close(null);
}

/* ---- the life of it */

static int forward(struct attachment *a, int log)
{
	struct port *ports[BRIDGE_PORTS] = { &a->ports[WIRE], &a->ports[WIRE_PORT], &a->ports[HOST],
		                             &a->ports[HOST_PORT] };

	if (bridge_start(&a->bridge, ports, a->num_ports, BURST, false) != EXIT_OK)
		return EXIT_FAILED;
	a->bridge.each_second = look_for_storms;
	a->bridge.each_second_arg = a;
	bridge_say_begin(&a->bridge);
	if (a->ready_fd >= 0)
		leave_the_terminal(a, log);
	live_start(&a->live, a->options->quiet || a->options->daemon);
	uint64_t begin = clock_ns();
	enum bridge_end end = bridge_run(&a->bridge, &a->live);
	double seconds = (double)(clock_ns() - begin) / (double)CLOCK_S;
	live_end(&a->live);
	say_summary(a, end, seconds, end != BRIDGE_FAILED);
	bridge_free(&a->bridge);
	return summary_exit(COMMAND, stdout, end != BRIDGE_FAILED);
}

static bool take_pidfile(struct attachment *a, const char *name)
{
	char path[512];

	if (!pidfile_path(name, a->options, path, sizeof(path)))
		return false;
	pid_t who = pidfile_take(&a->pidfile, path);
	if (who > 0)
		say(COMMAND, "%s is attached already, by process %d; nmx switch detach %s ends that", name, (int)who,
		    name);
	else if (who < 0)
		say(COMMAND, "the file \"%s\" cannot be made or locked: %s", path, strerror(errno));
	return who == 0;
}

static int run(const char *name, const struct attach_options *options, int ready_fd, int log)
{
	static struct attachment a; /* static: it is large */
	int code = EXIT_FAILED;

	a = (struct attachment){ .options = options, .ready_fd = ready_fd, .interface = interface_of(name) };
	snprintf(a.name[WIRE], sizeof(a.name[0]), OF_XDP "%.70s", a.interface);
	snprintf(a.name[WIRE_PORT], sizeof(a.name[0]), "%.70s", name);
	snprintf(a.name[HOST], sizeof(a.name[0]), OF_XDP "%.70s^", a.interface);
	snprintf(a.name[HOST_PORT], sizeof(a.name[0]), "%.70s-host", name);
	if (!take_pidfile(&a, name))
		return EXIT_FAILED;
	if (!is_a_loop(&a, name) && open_ports(&a)) {
		code = forward(&a, log);
		close_ports(&a);
	}
	pidfile_leave(&a.pidfile);
	return code;
}

/* In the daemon: away from the terminal, and from what ends with it. */
static int run_as_daemon(const char *name, const struct attach_options *options, int ready_fd)
{
	int log = options->log ? open(options->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

	if (options->log && log < 0)
		return say(COMMAND, "the log \"%s\" cannot be written: %s", options->log, strerror(errno));
	setsid();
	return run(name, options, ready_fd, log);
}

/* Returns when the other process has begun, or ended. */
static int start_daemon(const char *name, const struct attach_options *options)
{
	int ready[2], status;
	char byte;

	if (pipe(ready) < 0)
		return say(COMMAND, "no pipe: %s", strerror(errno));
	fflush(NULL);
	pid_t pid = fork();
	if (pid < 0)
		return say(COMMAND, "no process: %s", strerror(errno));
	if (pid == 0) {
		close(ready[0]);
		fcntl(ready[1], F_SETFD, FD_CLOEXEC);
		int code = run_as_daemon(name, options, ready[1]);
		fflush(NULL);
		_exit(code);
	}
	close(ready[1]);
	ssize_t got = read(ready[0], &byte, 1);
	while (got < 0 && errno == EINTR && !stop_asked())
		got = read(ready[0], &byte, 1);
	close(ready[0]);
	if (got == 1)
		return EXIT_OK;
	if (got < 0)
		kill(pid, SIGTERM); /* it is still ours: its end has not been waited for */
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return EXIT_FAILED; /* it has said why */
}

int attach(const char *name, const struct attach_options *options)
{
	name = without_prefix(name);
	return options->daemon ? start_daemon(name, options) : run(name, options, -1, -1);
}

int detach(const char *name, const struct attach_options *options, char *why, unsigned why_size)
{
	char path[512];

	name = without_prefix(name);
	if (!pidfile_path(name, options, path, sizeof(path)))
		return EXIT_FAILED;
	if (pidfile_stop(path, DETACH_MS) == 0)
		return EXIT_OK;
	if (errno == ESRCH)
		snprintf(why, why_size, "%s is not attached: no process forwards for it", name);
	else if (errno == ETIMEDOUT)
		snprintf(why, why_size,
		         "the process that forwards for %s was asked to end and has not yet; its number is in \"%s\"",
		         name, path);
	else
		snprintf(why, why_size, "the process that forwards for %s cannot be ended: %s", name,
		         strerror(errno));
	return EXIT_FAILED;
}
