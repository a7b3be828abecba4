/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a port leaves when its program ends, of itself, by a signal, by SIGKILL, or because the open failed: nothing.  No
 * setting of the interface or its peer, no program, no helper interface, no file, no socket.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "world.h"

enum { HOST, NEIGHBOUR, MTU = 1500, QUEUES = 2, LIMIT_MS = 1000 };

static struct child child, busy, ip;
static struct snapshot host, neighbour;

/* The id of the interface's XDP program, as ip shows it; 0: it has none. */
static uint32_t xdp_program(void)
{
	const char *at;

	net_run(HOST, &ip, ARGV("ip", "-d", "link", "show", "dev", "eth0"));
	at = strstr(ip.out, "prog/xdp id ");
	return at ? (uint32_t)strtoul(at + strlen("prog/xdp id "), NULL, 10) : 0;
}

static bool program_exists(uint32_t id)
{
	union bpf_attr attr;
	long fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_id = id;
	fd = syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &attr, sizeof(attr));
	if (fd >= 0)
		close((int)fd);
	return fd >= 0 || errno != ENOENT;
}

static void nothing_is_left(const char *what, uint32_t program, bool killed)
{
	int64_t deadline = now_ms() + patience(LIMIT_MS);
	const char *sockets;
	int took = (killed ? net_same_after_kill : net_same_within)(HOST, "eth0", &host, LIMIT_MS);

	if (took < 0 || net_same_within(NEIGHBOUR, "eth0", &neighbour, LIMIT_MS) < 0)
		fprintf(stderr, "    after %s\n", what);
	while (program && program_exists(program) && now_ms() < deadline)
		sleep_ms(5);
	EXPECT(!program || !program_exists(program), "%s: its program, %u, is still there", what, program);
	sockets = net_script(HOST, "tail -n +2 /proc/net/unix");
	EXPECT(sockets[0] == '\0', "%s: sockets are left: %s", what, sockets);
	if (killed)
		net_next_tidies(HOST, "eth0", &host);
	printf("%s: as before after %d ms\n", what, took);
}

static void ends_by(int sig, const char *name, const char *command, const char *port)
{
	char what[128];
	uint32_t program;

	snprintf(what, sizeof(what), "%s %s ended by %s", command, port, name);
	NMX_IN(HOST, &child, command, port, "--dir", run_dir, "-q");
	if (!net_await_port(&child))
		return;
	program = xdp_program();
	kill(child.pid, sig);
	child_wait(&child, 2000);
	EXPECT(child.code < RUN_TIMED_OUT || child.code == RUN_SIGNAL + SIGKILL, "%s: %d", what, child.code);
	nothing_is_left(what, program, sig == SIGKILL);
	if (sig != SIGKILL)
		run_dir_is_empty();
	run_dir_clear();
}

static void ends_of_itself(void)
{
	NMX_RUN_IN(HOST, &child, "sink", "eth0", "--dir", run_dir, "-q", "--timeout", "1");
	nothing_is_left("a sink whose time is up", 0, false);
	NMX_RUN_IN(HOST, &child, "gen", "eth0", "--dir", run_dir, "-q", "-n", "1000");
	EXPECT(child.code == 0, "gen: %d: %s", child.code, child.err);
	nothing_is_left("a gen that has sent", 0, false);
	run_dir_is_empty();
}

static void an_open_that_fails(void)
{
	static const char *const ports[] = { "eth0@conf:rings=64", "eth0-9", "eth0^9", "eth1" };
	uint32_t program;

	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
		NMX_RUN_IN(HOST, &child, "sink", ports[i], "--dir", run_dir, "-q", "--timeout", "1");
		EXPECT(child.code == 1, "%s: %d: %s", ports[i], child.code, child.err);
		nothing_is_left(ports[i], 0, false);
		run_dir_is_empty();
	}
	/* Refused half way: another has the last queue. */
	NMX_IN(HOST, &busy, "sink", "eth0-1", "--dir", run_dir, "-q");
	net_await_port(&busy);
	NMX_RUN_IN(HOST, &child, "sink", "eth0", "--dir", run_dir, "-q", "--timeout", "1");
	EXPECT(child.code == 1, "a taken queue: %d: %s", child.code, child.err);
	program = xdp_program();
	EXPECT(child_is_running(&busy) && program, "the refused one took the first one's program along");
	kill(busy.pid, SIGTERM);
	child_wait(&busy, 2000);
	nothing_is_left("a busy queue", program, false);
}

int main(int argc, char **argv)
{
	static const char *const commands[][2] = {
		{ "sink", "eth0" }, { "pong", "eth0" }, { "sink", "eth0^" }, { "bridge", "eth0" }
	};

	net_begin(argc, argv, 2);
	net_needs_ports();
	net_join(HOST, "eth0", NEIGHBOUR, "eth0", QUEUES, MTU, NET_TALKS);
	net_address(HOST, "eth0", "10.9.0.1/24");
	net_snapshot(HOST, "eth0", &host);
	net_snapshot(NEIGHBOUR, "eth0", &neighbour);
	ends_of_itself();
	an_open_that_fails();
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		ends_by(SIGTERM, "SIGTERM", commands[i][0], commands[i][1]);
		ends_by(SIGKILL, "SIGKILL", commands[i][0], commands[i][1]);
	}
	return expect_result();
}
