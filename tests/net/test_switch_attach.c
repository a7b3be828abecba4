/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Three hosts, each at the end of a veth pair, and a switch of user space between them, into which their near ends are
 * attached.  What they say to each other gets through, others do not hear it, and neither a kill nor a loop does harm.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "strict_json.h"
#include "world.h"

enum { SWITCH, A, B, C, MTU = 1500, SETTLE_MS = 5000, FLOOD_PPS = 1000 };
#define TCP_BYTES "20000000"
#define PORT      "7001"
#define FLOOD_ARG "1000"

static const char *const host[] = { [A] = "10.9.0.1", [B] = "10.9.0.2", [C] = "10.9.0.3" };
static const char *const port_of[] = { [A] = "vale0:p1", [B] = "vale0:p2", [C] = "vale0:p3" };
static struct child command, talk, forwarder;

static bool does(int code, const char *action, const char *name, const char *more)
{
	NMX_RUN_IN(SWITCH, &command, "switch", action, name, "--dir", run_dir, more);
	return EXPECT(command.code == code, "%s %s: %d: %s%s", action, name, command.code, command.out, command.err);
}

/* In a process of its own, whose output is looked at. */
static void attach_here(struct child *child, const char *name, const char *more)
{
	NMX_IN(SWITCH, child, "switch", "attach", name, "--dir", run_dir, "-q", "--json", "--flood-limit", FLOOD_ARG,
	       more);
	child_will_say(child, "packets pass by exchanging buffers", SETTLE_MS);
}

static bool ends_well(struct child *child)
{
	kill(child->pid, SIGTERM);
	return child_ends(child, 0);
}

static void talks(int from, const char *const *argv)
{
	net_start(from, &talk, argv);
	child_wait(&talk, 20000);
	EXPECT(talk.code == 0, "talk %s %s from %d: %d: %s%s", argv[1], argv[2], from, talk.code, talk.out, talk.err);
}

static void pings(int from, const char *to) { talks(from, ARGV(net_args.talk, "ping", to, "5", "1")); }

static uint64_t heard(int side)
{
	struct net_counters c;

	net_counters(side, "eth0", &c);
	return c.rx_packets;
}

/* ---- */

static void everybody_reaches_everybody(void)
{
	for (int from = A; from <= C; from++)
		for (int to = A; to <= C; to++)
			if (from != to)
				pings(from, host[to]);
}

/* A few packets are for everybody: the hosts look for each other. */
static void a_stream_gets_through_and_no_third_hears_it(void)
{
	struct child server;
	uint64_t third, second;

	net_start(B, &server, ARGV(net_args.talk, "serve", host[B], PORT));
	child_will_say(&server, "serving", SETTLE_MS);
	third = heard(C);
	second = heard(B);
	talks(A, ARGV(net_args.talk, "send", host[B], PORT, TCP_BYTES));
	third = heard(C) - third;
	second = heard(B) - second;
	EXPECT(second > 1000 && third < 20, "of a stream of %llu packets the third host heard %llu",
	       (unsigned long long)second, (unsigned long long)third);
	printf("%llu packets to B, and %llu to C\n", (unsigned long long)second, (unsigned long long)third);
	kill(server.pid, SIGKILL);
	child_wait(&server, 1000);
}

static void the_stream_was_not_copied(void)
{
	if (!ends_well(&forwarder))
		return;
	EXPECT(json_number(&forwarder, "bytes_copied") == 0 && child_says(&forwarder, "\"exchange\": true"),
	       "copied: %s", forwarder.out);
	EXPECT(json_sum(&forwarder, "switch_to_interface") > 1000, "not much was forwarded: %s", forwarder.out);
	EXPECT(!strict_json(forwarder.out), "%s", strict_json(forwarder.out));
}

static void show_tells_of_it(void)
{
	if (!does(0, "show", "vale0", "--json"))
		return;
	EXPECT(!strict_json(command.out), "%s", strict_json(command.out));
	for (int side = A; side <= C; side++)
		child_says(&command, port_of[side]);
	child_says(&command, "\"mac\": \"");
	does(0, "show", "vale0", NULL);
	child_says(&command, "vale0: 3 ports, 3 addresses");
	does(1, "show", "vale7", NULL);
	child_says(&command, "no switch \"vale7\"");
}

static void a_second_time_is_refused(void)
{
	does(1, "attach", "vale0:p1", NULL);
	child_says(&command, "vale0:p1 is attached already, by process");
	does(1, "attach", "vale1:p1", NULL);
	child_says(&command, "process"); /* who has the interface */
}

/* ---- what happens to them */

static void a_program_in_the_switch_is_killed(void)
{
	struct child sink;

	NMX_IN(SWITCH, &sink, "sink", "vale0:s", "--dir", run_dir, "-q");
	run_await_processes(4);
	pings(A, host[C]);
	kill(sink.pid, SIGKILL);
	child_wait(&sink, 1000);
	pings(A, host[C]);
}

static void down_and_up_again(void)
{
	net_script(SWITCH, "ip link set p2 down");
	child_will_say(&forwarder, "the interface is down", SETTLE_MS);
	net_script(SWITCH, "ip link set p2 up");
	child_will_say(&forwarder, "the link is up", SETTLE_MS);
	pings(A, host[B]);
}

static void one_that_is_killed_leaves_the_interface(const struct snapshot *before)
{
	EXPECT(child_is_running(&forwarder), "it has ended by itself: %s", forwarder.err);
	kill(forwarder.pid, SIGKILL);
	child_wait(&forwarder, 1000);
	net_same_after_kill(SWITCH, "p2", before, SETTLE_MS);
	does(1, "detach", "vale0:p2", NULL);
	child_says(&command, "is not attached");
	attach_here(&forwarder, "vale0:p2", NULL);
	pings(A, host[B]);
}

static void one_that_loses_its_interface_ends(void)
{
	net_script(SWITCH, "ip link del p2");
	child_wait(&forwarder, SETTLE_MS);
	EXPECT(forwarder.code == 1 && child_says(&forwarder, "the interface is gone"), "%d: %s", forwarder.code,
	       forwarder.err);
	pings(A, host[C]);
}

static void detached_they_are_apart(const struct snapshot *before)
{
	for (int side = A; side <= C; side += C - A)
		does(0, "detach", port_of[side], NULL);
	net_same_within(SWITCH, "p1", before, SETTLE_MS);
	net_start(A, &talk, ARGV(net_args.talk, "ping", host[C], "1", "1"));
	child_wait(&talk, 20000);
	EXPECT(talk.code != 0, "a ping got through: %s", talk.out);
	does(1, "detach", "vale0:p1", NULL);
	child_says(&command, "is not attached");
	run_dir_is_empty();
}

/* ---- daemons */

static int start_daemon(const char *log)
{
	NMX_RUN_IN(SWITCH, &command, "switch", "attach", "vale0:p1", "--dir", run_dir, "-d", "--json", "--log", log);
	EXPECT(command.code == 0, "%d: %s%s", command.code, command.out, command.err);
	return command.code == 0 ? (int)json_number(&command, "process") : 0;
}

static void await_end_of(const char *file)
{
	for (int64_t end = now_ms() + patience(SETTLE_MS); access(file, F_OK) == 0 && now_ms() < end;)
		sleep_ms(10);
	EXPECT(access(file, F_OK) < 0, "%s is left", file);
}

/* The pid file of one that was killed is no obstacle; that of one that lives is; and SIGTERM leaves nothing but the log. */
static void a_daemon_begins_where_another_was_killed(const struct snapshot *before)
{
	char file[200], log[200], words[100];
	int killed, daemon;

	snprintf(file, sizeof(file), "%s/default.vale0:p1.pid", run_dir);
	snprintf(log, sizeof(log), "%s/log", run_dir);
	killed = start_daemon(log);
	if (killed <= 0)
		return;
	kill(killed, SIGKILL);
	net_same_after_kill(SWITCH, "p1", before, SETTLE_MS);
	EXPECT(access(file, F_OK) == 0, "there is no %s", file);
	daemon = start_daemon(log);
	EXPECT(daemon > 0 && daemon != killed, "process %d", daemon);
	does(1, "attach", "vale0:p1", "-d");
	snprintf(words, sizeof(words), "is attached already, by process %d; nmx switch detach vale0:p1", daemon);
	child_says(&command, words);
	if (daemon > 0)
		kill(daemon, SIGTERM);
	await_end_of(file);
	net_same_within(SWITCH, "p1", before, SETTLE_MS);
	const char *said = net_script(SWITCH, "cat %s", log);
	EXPECT(strstr(said, "\"end\": "), "no summary in the log: %s", said);
	unlink(log);
	run_dir_is_empty();
}

/* ---- the host of the interface */

static void the_host_is_a_port_too(void)
{
	net_address(SWITCH, "p1", "10.9.0.9/24");
	does(0, "attach", "vale0:p3", "-d");
	attach_here(&forwarder, "vale0:p1", "--host");
	pings(SWITCH, host[A]);
	pings(SWITCH, host[C]);
	pings(C, "10.9.0.9");
	pings(A, host[C]);
	does(0, "show", "vale0", NULL);
	child_says(&command, "vale0:p1-host");
	if (ends_well(&forwarder))
		EXPECT(json_number(&forwarder, "bytes_copied") == 0 && json_sum(&forwarder, "host_to_switch") > 0,
		       "%s", forwarder.out);
	pings(SWITCH, host[A]); /* without a switch again */
	does(0, "detach", "vale0:p3", NULL);
}

/* ---- loops */

static void both_ends_of_a_pair_are_not_attached(void)
{
	net_join(SWITCH, "x1", SWITCH, "x2", 1, MTU, NET_QUIET);
	does(0, "attach", "vale0:x1", "-d");
	does(1, "attach", "vale0:x2", NULL);
	child_says(&command, "x1, the other, is attached as vale0:x1");
	does(0, "attach", "vale1:x2", "-d"); /* another switch */
	does(0, "detach", "vale1:x2", NULL);
	does(0, "detach", "vale0:x1", NULL);
	net_script(SWITCH, "ip link del x1");
}

/* Two pairs to a host that bridges them: what floods comes round, and a program there sends more of it.  At each
 * interface the switch lets so many a second in, so that no more than these come out of the other. */
static void a_storm_is_limited(void)
{
	static struct child one, two, storm;
	struct net_counters before, after;
	int64_t begin, ms;

	net_join(SWITCH, "s1", C, "t1", 1, MTU, NET_QUIET);
	net_join(SWITCH, "s2", C, "t2", 1, MTU, NET_QUIET);
	net_script(C, "ip link add br0 type bridge && ip link set t1 master br0 && ip link set t2 master br0 && ip "
	              "link set br0 up && "
	              "ip addr add 10.10.0.1/24 dev br0 && ip neigh add 10.10.0.9 lladdr 02:00:00:00:00:99 dev br0");
	attach_here(&one, "vale0:s1", NULL);
	attach_here(&two, "vale0:s2", NULL);
	net_start(C, &storm, ARGV(net_args.talk, "flood", "10.10.0.9", PORT));
	child_will_say(&one, "there is a loop", SETTLE_MS);
	net_counters(C, "t1", &before);
	begin = now_ms();
	sleep_ms(500);
	net_counters(C, "t1", &after);
	ms = now_ms() - begin;
	kill(storm.pid, SIGKILL);
	child_wait(&storm, 1000);
	ends_well(&one);
	ends_well(&two);
	uint64_t came = after.rx_packets - before.rx_packets, most = (uint64_t)(ms + 200) * FLOOD_PPS / 1000 + 1;
	EXPECT(came > 0 && came <= most, "%llu packets in %lld ms, with a limit of %d a second", (unsigned long long)came,
	       (long long)ms, FLOOD_PPS);
	EXPECT(strstr(one.out, "\"flood\": ") && strstr(two.out, "\"flood\": "), "drops are not counted: %s%s",
	       one.out, two.out);
	printf("storm: %llu packets in %lld ms\n", (unsigned long long)came, (long long)ms);
}

int main(int argc, char **argv)
{
	static struct snapshot before_a, before_b;

	net_begin(argc, argv, 4);
	net_needs_ports();
	net_join(SWITCH, "p1", A, "eth0", 2, MTU, NET_QUIET);
	net_join(SWITCH, "p3", C, "eth0", 1, MTU, NET_QUIET);
	net_snapshot(SWITCH, "p1", &before_a);
	net_join(SWITCH, "p2", B, "eth0", 1, MTU, NET_QUIET);
	for (int side = A; side <= C; side++)
		net_script(side, "ip addr add %s/24 dev eth0", host[side]);
	does(0, "attach", "vale0:p1", "-d");
	does(0, "attach", "vale0:p3", "-d");
	net_snapshot(SWITCH, "p2", &before_b);
	attach_here(&forwarder, "vale0:p2", NULL);
	everybody_reaches_everybody();
	show_tells_of_it();
	a_second_time_is_refused();
	a_stream_gets_through_and_no_third_hears_it();
	the_stream_was_not_copied();
	attach_here(&forwarder, "vale0:p2", NULL);
	a_program_in_the_switch_is_killed();
	down_and_up_again();
	one_that_is_killed_leaves_the_interface(&before_b);
	one_that_loses_its_interface_ends();
	detached_they_are_apart(&before_a);
	a_daemon_begins_where_another_was_killed(&before_a);
	the_host_is_a_port_too();
	both_ends_of_a_pair_are_not_attached();
	a_storm_is_limited();
	run_dir_is_empty();
	return expect_result();
}
