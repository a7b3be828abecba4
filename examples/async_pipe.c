/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * async_pipe: both ends of a pipe in one loop of libuv; one sends numbered packets whenever there is room, the other one
 * checks them.
 *
 *     build/examples/async_pipe [PACKETS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include <nmx/event.h>

#include "number.h"

struct end {
	struct nmx_port *port;
	struct nmx_uv_tx *sender;     /* of the one */
	struct nmx_uv_rx *receiver;   /* of the other */
	uint64_t next, packets, wrong;
};

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "async_pipe: %s: %s\n", what, why);
	exit(1);
}

/* There is room: fill it.  Then want more, or, at the end, all of it: that is when everything was taken. */
static void on_room(struct nmx_tx *tx, int err, void *arg)
{
	struct end *end = arg;
	struct nmx_batch batch;
	uint64_t left = end->packets - end->next;
	uint8_t *data;

	if (err < 0)
		fail("sending", nmx_strerror(err));
	if (left == 0) {
		nmx_uv_tx_close(end->sender, NULL);
		return;
	}
	if (nmx_tx_reserve(tx, left < 256 ? (uint32_t)left : 256, &batch) < 0)
		fail("sending", "a batch is open");
	while ((data = nmx_batch_packet(&batch, sizeof(end->next)))) {
		memcpy(data, &end->next, sizeof(end->next));
		end->next++;
	}
	nmx_batch_commit(&batch);
	nmx_uv_tx_want(end->sender, end->next < end->packets ? 256 : UINT32_MAX);
}

static void on_packets(struct nmx_rx *rx, int err, void *arg)
{
	struct end *end = arg;
	uint64_t number;

	if (err < 0 && err != NMX_ERR_PEER_GONE) /* all has been sent, and it may have closed */
		fail("receiving", nmx_strerror(err));
	nmx_rx_for_each (rx, frame) {
		memcpy(&number, frame.data, sizeof(number));
		end->wrong += frame.len != sizeof(number) || number != end->next;
		end->next++;
	}
	if (end->next == end->packets)
		nmx_uv_rx_close(end->receiver, NULL);
}

static void open_port(struct end *end, const char *name)
{
	struct nmx_report why;

	if (nmx_open(&end->port, name, NULL, &why) < 0)
		fail(name, why.text);
}

int main(int argc, char **argv)
{
	bool help = argc > 1 && strcmp(argv[1], "--help") == 0;
	struct end from = { .packets = argc > 1 && !help ? read_number("async_pipe: PACKETS", argv[1]) : 1000000 };
	struct end to = { .packets = from.packets };
	uv_loop_t *loop = uv_default_loop();
	struct nmx_tx *tx;
	struct nmx_rx *rx;
	int err;

	if (help || from.packets == 0) {
		printf("usage: async_pipe [PACKETS]      sends so many (1000000) through a pipe, in a loop of libuv\n");
		return help ? 0 : 2;
	}
	open_port(&from, "async_pipe{1");
	open_port(&to, "async_pipe}1");
	if ((err = nmx_tx_ring(from.port, 0, &tx)) < 0 || (err = nmx_rx_ring(to.port, 0, &rx)) < 0 ||
	    (err = nmx_uv_tx_open(&from.sender, loop, tx, on_room, &from)) < 0 ||
	    (err = nmx_uv_rx_open(&to.receiver, loop, rx, on_packets, &to)) < 0)
		fail("rings", nmx_strerror(err));
	nmx_uv_tx_want(from.sender, 1);
	uv_run(loop, UV_RUN_DEFAULT); /* until both have been closed, and their rings with them */
	nmx_close(from.port);
	nmx_close(to.port);
	uv_loop_close(loop);
	printf("%llu packets, %llu wrong\n", (unsigned long long)to.next, (unsigned long long)to.wrong);
	return to.next == to.packets && to.wrong == 0 ? 0 : 1;
}
