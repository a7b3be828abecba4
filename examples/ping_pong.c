/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * ping_pong: two processes send a packet to and fro over a pipe, sleeping while they wait.
 *
 *     build/examples/ping_pong [TURNS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <nmx/nmx.h>

#include "number.h"

struct end {
	struct nmx_port *port;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
};

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "ping_pong: %s: %s\n", what, why);
	exit(1);
}

static struct end open_end(const char *name)
{
	struct nmx_report why;
	struct end end;

	if (nmx_open(&end.port, name, NULL, &why) < 0)
		fail(name, why.text);
	if (nmx_tx_ring(end.port, 0, &end.tx) < 0 || nmx_rx_ring(end.port, 0, &end.rx) < 0)
		fail(name, "no rings");
	return end;
}

static void close_end(struct end *end)
{
	nmx_tx_close(end->tx);
	nmx_rx_close(end->rx);
	nmx_close(end->port);
}

static void put(struct end *end, uint64_t turn)
{
	int err = nmx_tx_send(end->tx, &turn, sizeof(turn));

	if (err == 0)
		err = nmx_tx_sync(end->tx);
	if (err < 0)
		fail("sending", nmx_strerror(err));
}

/* False: the other end has gone. */
static bool get(struct end *end, uint64_t *turn)
{
	struct nmx_frame frame;
	int n;

	while ((n = nmx_rx_sync(end->rx)) == 0)
		if ((n = nmx_rx_wait(end->rx, -1)) < 0)
			break;
	if (n == NMX_ERR_PEER_GONE)
		return false;
	if (n < 0 || !nmx_rx_recv(end->rx, &frame) || frame.len != sizeof(*turn))
		fail("receiving", nmx_strerror(n));
	memcpy(turn, frame.data, sizeof(*turn));
	return true;
}

static int pong(void)
{
	struct end end = open_end("ping_pong}1");
	uint64_t turn;

	while (get(&end, &turn))
		put(&end, turn);
	close_end(&end);
	return 0;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	bool help = argc > 1 && strcmp(argv[1], "--help") == 0;
	uint64_t turns = argc > 1 && !help ? read_number("ping_pong: TURNS", argv[1]) : 10000, answer;
	int status = 0;
	pid_t child;

	if (help || turns == 0) {
		printf("usage: ping_pong [TURNS]     sends a packet to and fro so many times (10000)\n");
		return help ? 0 : 2;
	}
	child = fork(); /* before any port is open: ports stay with the process that opened them */
	if (child < 0)
		fail("fork", "no more processes");
	if (child == 0)
		return pong();

	struct end end = open_end("ping_pong{1");
	double start = now();

	for (uint64_t turn = 1; turn <= turns; turn++) {
		put(&end, turn);
		if (!get(&end, &answer) || answer != turn)
			fail("a turn", "the wrong answer, or none");
	}
	printf("%llu round trips, %.2f microseconds each\n", (unsigned long long)turns, (now() - start) * 1e6 / (double)turns);
	close_end(&end);
	return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
