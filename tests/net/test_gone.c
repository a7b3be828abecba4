/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* An interface that goes away, or down, while somebody waits for it: who waits is woken in time, and told. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <nmx/nmx.h>

#include "world.h"

enum { HOST, NEIGHBOUR, MTU = 1500, LIMIT_MS = 1500, FOREVER_MS = 8000 };

static struct child waiting, later;

enum event { DELETED, DOWN };
static const char *const how[] = {
	[DELETED] = "sleep 0.3; ip link del eth0", [DOWN] = "sleep 0.3; ip link set eth0 down"
};
static const char *const word[] = { [DELETED] = "deleted", [DOWN] = "down" };
static const char *const sentence[] = { [DELETED] = "the interface is gone", [DOWN] = "the interface is down" };

static void make_interface(void)
{
	net_join(HOST, "eth0", NEIGHBOUR, "eth0", 2, MTU, NET_QUIET);
	net_address(HOST, "eth0", "10.9.0.1/24");
}

static void remove_interface(void) { net_script(HOST, "ip link del eth0 2>/dev/null || true"); }

static void a_command_ends(enum event event, const char *command, const char *port)
{
	int64_t begin;

	make_interface();
	NMX_IN(HOST, &waiting, command, port, "--dir", run_dir, "-q");
	net_await_port(&waiting);
	sleep_ms(100);
	net_script(HOST, "%s", how[event]);
	begin = now_ms();
	child_will_say(&waiting, sentence[event], LIMIT_MS);
	printf("%s %s, %s: said after %lld ms", command, port, word[event], (long long)(now_ms() - begin));
	/* What is down may come up again, so a command may wait for that. */
	if (event == DELETED && EXPECT(child_wait(&waiting, LIMIT_MS) == 1, "%s %s: %d", command, port, waiting.code))
		printf(", ended with 1");
	kill(waiting.pid, SIGKILL);
	child_wait(&waiting, 1000);
	printf(": %s", waiting.err);
	remove_interface();
}

enum wait_by { BY_WAIT, BY_POLLFD, BY_PORT_FD };
static const char *const by_name[] = {
	[BY_WAIT] = "nmx_rx_wait", [BY_POLLFD] = "nmx_rx_pollfd", [BY_PORT_FD] = "nmx_port_fd"
};

/* Ready (1), time is up (0), or what a sync said, which is told only once. */
static int wait_by(enum wait_by by, struct nmx_port *port, struct nmx_rx *rx)
{
	struct pollfd pfd =
	    by == BY_PORT_FD ? (struct pollfd){ .fd = nmx_port_fd(port), .events = POLLIN } : nmx_rx_pollfd(rx);
	int64_t deadline = now_ms() + FOREVER_MS;
	int n = 0;

	if (by == BY_WAIT)
		return nmx_rx_wait(rx, FOREVER_MS);
	/* A descriptor may become ready for nothing: a sync that finds nothing arms it again. */
	while (n == 0 && now_ms() < deadline) {
		n = nmx_rx_sync(rx);
		if (n == 0 && poll(&pfd, 1, FOREVER_MS) < 0)
			break;
	}
	return n;
}

static void goes_on_when_it_is_up_again(struct nmx_rx *rx)
{
	static struct child gen;
	int64_t deadline = now_ms() + FOREVER_MS;
	uint32_t packets = 0;

	net_script(HOST, "ip link set eth0 up");
	NMX_IN(NEIGHBOUR, &gen, "gen", "eth0", "--dir", run_dir, "-q", "-n", "100", "-r", "1k");
	while (packets < 100 && now_ms() < deadline) {
		int n = nmx_rx_sync(rx);

		nmx_rx_for_each (rx, frame)
			packets += frame.len == 60;
		if (n <= 0 && nmx_rx_wait(rx, 100) < 0)
			sleep_ms(1);
	}
	child_ends(&gen, 0);
	EXPECT(packets == 100, "%u of 100 packets after it came up again", packets);
}

static void a_program_is_woken(enum event event, enum wait_by by)
{
	struct nmx_options options = { .directory = run_dir };
	struct nmx_report why = { 0 };
	NMX_AUTO(port) port = NULL;
	NMX_AUTO(rx) rx = NULL;
	int64_t begin;
	int err, n;

	make_interface();
	net_enter(HOST);
	err = nmx_open(&port, "eth0@conf:rings=1", &options, &why);
	net_leave();
	if (!EXPECT(err == 0, "%s", why.text) || !EXPECT(nmx_rx_ring(port, 0, &rx) == 0, "no ring"))
		return;
	n = nmx_rx_sync(rx);
	EXPECT(n == 0, "a sync before: %d", n);
	begin = now_ms();
	net_start(HOST, &later, ARGV("sh", "-c", how[event]));
	n = wait_by(by, port, rx);
	EXPECT(n != 0 && now_ms() - begin <= 300 + LIMIT_MS, "%s, %s: %d after %lld ms", by_name[by], word[event], n,
	       (long long)(now_ms() - begin));
	if (n > 0)
		n = nmx_rx_sync(rx);
	/* What is deleted goes down first, and who is quick hears that too. */
	while (event == DELETED && n == NMX_ERR_LINK_DOWN && (n = wait_by(by, port, rx)) > 0)
		n = nmx_rx_sync(rx);
	EXPECT(n < 0, "%s, %s: a sync then: %d", by_name[by], word[event], n);
	printf("%s, %s: woken after %lld ms, and the sync says %s\n", by_name[by], word[event],
	       (long long)(now_ms() - begin - 300), nmx_error_name(n));
	EXPECT(event != DELETED || n == NMX_ERR_GONE, "%s, not NMX_ERR_GONE", nmx_error_name(n));
	child_wait(&later, 5000);
	if (event == DOWN)
		goes_on_when_it_is_up_again(rx);
	remove_interface();
}

int main(int argc, char **argv)
{
	net_begin(argc, argv, 2);
	net_needs_ports();
	for (enum event event = DELETED; event <= DOWN; event++) {
		a_command_ends(event, "sink", "eth0");
		a_command_ends(event, "pong", "eth0");
		a_command_ends(event, "bridge", "eth0");
		for (enum wait_by by = BY_WAIT; by <= BY_PORT_FD; by++)
			a_program_is_woken(event, by);
	}
	return expect_result();
}
