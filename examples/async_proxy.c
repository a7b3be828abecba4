/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * async_proxy: hands on what comes in at one port to another, both ways, in a loop of libuv.  It drops nothing while it runs: what
 * the other side has no room for stays where it came in.  That holds up who sends by a pipe; on the way to an interface, or to a
 * port of a switch without @block at the end of its sender's name (vale0:a@block), what finds no room is lost, and counted there.
 *
 *     build/examples/async_proxy PORT PORT       for instance 'a}1' 'b{1'; kill -USR1 shows its counters, -TERM ends it
 *     build/examples/pipe_receiver 'b}1'
 *     build/examples/pipe_sender 'a{1' 100000
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <nmx/event.h>

struct proxy;

struct lane { /* one way */
	const char *from, *to;
	struct nmx_port *out;
	struct nmx_tx *tx;
	struct nmx_uv_rx *receiver;
	struct nmx_uv_tx *sender;
	unsigned long long held_up;
	struct proxy *proxy;
};

struct proxy {
	struct lane lanes[2];
	uv_signal_t signals[3];
	int code;
};

static void show(const struct proxy *proxy)
{
	struct nmx_stats stats;

	for (int i = 0; i < 2; i++) {
		const struct lane *lane = &proxy->lanes[i];

		nmx_port_stats(lane->out, &stats);
		printf("%s to %s: %llu packets, %llu bytes, held up %llu times\n", lane->from, lane->to,
		       (unsigned long long)stats.tx_packets, (unsigned long long)stats.tx_bytes, lane->held_up);
	}
	fflush(stdout);
}

/* Closes everything that is in the loop: then uv_run() returns. */
static void shut(struct proxy *proxy, int code)
{
	if (uv_is_closing((uv_handle_t *)&proxy->signals[0]))
		return;
	proxy->code = code;
	for (int i = 0; i < 2; i++) {
		nmx_uv_rx_close(proxy->lanes[i].receiver, NULL);
		nmx_uv_tx_close(proxy->lanes[i].sender, NULL);
	}
	for (int i = 0; i < 3; i++)
		uv_close((uv_handle_t *)&proxy->signals[i], NULL);
}

/* These are told once, and it goes on: another end may come, the interface may be up again. */
static bool passes(int err) { return err == NMX_ERR_PEER_GONE || err == NMX_ERR_LINK_DOWN || err == NMX_ERR_RESET; }

static void on_packets(struct nmx_rx *rx, int err, void *arg)
{
	struct lane *lane = arg;

	if (passes(err)) {
		nmx_uv_rx_start(lane->receiver);
	} else if (err < 0) {
		fprintf(stderr, "async_proxy: %s: %s\n", lane->from, nmx_strerror(err));
		shut(lane->proxy, 1);
	} else {
		nmx_forward(rx, lane->tx, UINT32_MAX);
		nmx_uv_tx_flush(lane->sender);
		if (nmx_rx_waiting(rx) == 0)
			return;
		lane->held_up++; /* full: no more of it until there is room */
		nmx_uv_rx_stop(lane->receiver);
		nmx_uv_tx_want(lane->sender, 64);
	}
}

static void on_room(struct nmx_tx *tx, int err, void *arg)
{
	struct lane *lane = arg;

	(void)tx;
	if (err < 0 && !passes(err)) {
		fprintf(stderr, "async_proxy: %s: %s\n", lane->to, nmx_strerror(err));
		shut(lane->proxy, 1);
		return;
	}
	nmx_uv_rx_start(lane->receiver); /* which asks again if there is no room after all */
}

static void on_signal(uv_signal_t *handle, int signum)
{
	struct proxy *proxy = handle->data;

	if (signum == SIGUSR1)
		show(proxy);
	else
		shut(proxy, 0);
}

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "async_proxy: %s: %s\n", what, why);
	exit(1);
}

static void open_lane(struct lane *lane, uv_loop_t *loop, struct nmx_port *in)
{
	struct nmx_rx *rx;
	int err;

	if ((err = nmx_tx_ring(lane->out, 0, &lane->tx)) < 0 || (err = nmx_rx_ring(in, 0, &rx)) < 0 ||
	    (err = nmx_uv_tx_open(&lane->sender, loop, lane->tx, on_room, lane)) < 0 ||
	    (err = nmx_uv_rx_open(&lane->receiver, loop, rx, on_packets, lane)) < 0)
		fail(lane->from, nmx_strerror(err));
}

int main(int argc, char **argv)
{
	static const int signals[3] = { SIGUSR1, SIGINT, SIGTERM };
	const struct nmx_options one_ring = { .tx_rings = 1, .rx_rings = 1, .flags = NMX_CHAINS };
	struct nmx_port *ports[2];
	struct nmx_report why;
	struct proxy proxy = { 0 };
	uv_loop_t *loop = uv_default_loop();

	if (argc != 3) {
		printf("usage: async_proxy PORT PORT     hands on packets both ways; SIGUSR1 shows counters\n");
		return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
	}
	for (int i = 0; i < 2; i++)
		if (nmx_open(&ports[i], argv[i + 1], &one_ring, &why) < 0)
			fail(argv[i + 1], why.text);
	for (int i = 0; i < 3; i++) {
		uv_signal_init(loop, &proxy.signals[i]);
		proxy.signals[i].data = &proxy;
		uv_signal_start(&proxy.signals[i], on_signal, signals[i]);
	}
	for (int i = 0; i < 2; i++) {
		proxy.lanes[i] = (struct lane){ .from = argv[i + 1], .to = argv[2 - i], .out = ports[!i], .proxy = &proxy };
		open_lane(&proxy.lanes[i], loop, ports[i]);
	}
	uv_run(loop, UV_RUN_DEFAULT);
	show(&proxy);
	for (int i = 0; i < 2; i++)
		nmx_close(ports[i]);
	uv_loop_close(loop);
	return proxy.code;
}
