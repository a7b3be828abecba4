/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * tour: every call of <nmx/ring.h> once, in an order that can be read.
 *
 *     build/examples/tour
 *
 * It runs on "loop:", a port whose receive ring gets what its transmit ring sends.  Everything here is the same on a
 * pipe.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <nmx/nmx.h>

/* Ends the program on an error, so that the tour can be read without them.  Counts pass through. */
static int ok(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "tour: %s: %s (%s)\n", what, nmx_strerror(result), nmx_error_name(result));
		exit(1);
	}
	return result;
}
#define OK(call) ok(call, #call)

static void expect(int condition, const char *what)
{
	if (!condition) {
		fprintf(stderr, "tour: not as expected: %s\n", what);
		exit(1);
	}
}
#define EXPECT(condition) expect(condition, #condition)

/* ---- sending, four ways */

/* In place: reserve slots, write into their buffers, commit.  Nothing is sent before commit and sync. */
static void send_batch(struct nmx_tx *tx)
{
	struct nmx_batch batch;
	uint8_t *data;

	OK(nmx_tx_reserve(tx, 4, &batch)); /* returns how many it got; here there is room for all */
	while ((data = nmx_batch_packet(&batch, nmx_tx_max_len(tx)))) {
		memset(data, 'b', 100);
		nmx_batch_trim(&batch, 100); /* the length is known only now */
	}
	nmx_batch_commit(&batch);

	OK(nmx_tx_reserve(tx, 1, &batch));
	data = nmx_batch_packet(&batch, 60);
	if (data)
		nmx_batch_slot(&batch)->flags |= NS_NO_LEARN; /* what netmap(4) says to switches is in the slot */
	nmx_batch_cancel(&batch); /* on second thoughts */
	OK(nmx_tx_sync(tx));
	puts("sent 4 packets in one batch");
}

/* A packet longer than a slot is a chain: all parts but the last have NMX_MORE. */
static void send_chain(struct nmx_tx *tx)
{
	struct nmx_batch batch;
	uint8_t *first, *second;

	OK(nmx_tx_reserve(tx, 2, &batch));
	first = nmx_batch_fragment(&batch, 2000);
	second = nmx_batch_packet(&batch, 500);
	EXPECT(first && second);
	memset(first, '1', 2000);
	memset(second, '2', 500);
	nmx_batch_commit(&batch);
	OK(nmx_tx_sync(tx));
	puts("sent a packet of 2500 bytes in two fragments");
}

/* By copying: one call a packet. */
static void send_copies(struct nmx_tx *tx)
{
	static const char large[5000];

	EXPECT(nmx_tx_space(tx) > 3);
	OK(nmx_tx_send(tx, "short", 6));
	OK(nmx_tx_send_long(tx, large, sizeof(large))); /* as many fragments as it takes, all or none */
	OK(nmx_tx_sync(tx));
	puts("sent 2 packets by copying");
}

/* From a buffer in the hand: it is exchanged with the slot's. */
static void send_buffer(struct nmx_port *port, struct nmx_tx *tx)
{
	struct nmx_buf buf;

	EXPECT(nmx_buf_get(port, &buf, 1) == 1); /* a spare: options.extra_bufs */
	memcpy(buf.data, "part", 5);
	buf.len = 5;
	buf.flags = NMX_MORE;
	OK(nmx_tx_put(tx, &buf)); /* begins a chain; buf is an empty spare again */
	nmx_tx_abandon(tx);       /* that will not be finished: forgets it */

	memcpy(buf.data, "whole", 6);
	buf.len = 6;
	OK(nmx_tx_put(tx, &buf));
	OK(nmx_tx_sync(tx));
	nmx_buf_put(port, &buf, 1);
	puts("sent a packet without copying it");
}

/* ---- receiving, and the one rule: a frame lives until the next nmx_rx_sync() of its ring */

static void receive_one(struct nmx_rx *rx)
{
	struct nmx_frame frame;

	OK(nmx_rx_wait(rx, 1000));
	OK(nmx_rx_sync(rx));
	EXPECT(nmx_rx_peek(rx, &frame) && frame.data[0] == 'b'); /* looks, and leaves it there */
	nmx_rx_next(rx);                                         /* steps over it */
	EXPECT(nmx_rx_recv(rx, &frame) && frame.len == 100);     /* both in one */
	printf("received 2 packets one by one, %u are waiting\n", nmx_rx_waiting(rx));
}

static void receive_many(struct nmx_rx *rx)
{
	struct nmx_frame frames[8];
	uint32_t n = nmx_rx_recv_batch(rx, frames, 8);

	EXPECT(n == 2 && frames[1].len == 100);
	printf("received %u packets into an array\n", n);
}

/* The usual form.  Leaving the loop by break leaves the frame at hand in the ring. */
static void receive_loop(struct nmx_rx *rx)
{
	unsigned frames = 0, packets = 0, bytes = 0;

	OK(nmx_rx_sync(rx));
	nmx_rx_for_each (rx, frame) {
		frames++;
		packets += !(frame.flags & NMX_MORE);
		bytes += frame.len;
	}
	printf("received %u packet of %u bytes in %u frames\n", packets, bytes, frames);
}

static void receive_copies(struct nmx_rx *rx)
{
	char data[8192];

	OK(nmx_rx_sync(rx));
	EXPECT(OK(nmx_rx_recv_copy(rx, data, sizeof(data))) == 6);
	EXPECT(nmx_rx_recv_copy(rx, data, 100) == NMX_ERR_PACKET_TOO_LARGE); /* stays waiting */
	EXPECT(OK(nmx_rx_recv_copy(rx, data, sizeof(data))) == 5000);        /* joined */
	puts("received 2 packets by copying");
}

/* Keeps a packet beyond the next sync: its buffer for a spare one. */
static void receive_and_keep(struct nmx_port *port, struct nmx_rx *rx)
{
	struct nmx_frame frame;
	struct nmx_buf kept;

	EXPECT(nmx_buf_get(port, &kept, 1) == 1);
	OK(nmx_rx_sync(rx));
	EXPECT(nmx_rx_recv(rx, &frame));
	OK(nmx_frame_take(&frame, &kept));
	OK(nmx_rx_sync(rx)); /* the frame is dead, the packet is ours */
	printf("kept a packet: \"%s\"\n", (char *)kept.data);
	nmx_buf_put(port, &kept, 1);
}

/* ---- forwarding: buffers are exchanged when both rings are of one region, and copied otherwise */

static void forward(struct nmx_rx *rx, struct nmx_tx *tx)
{
	struct nmx_frame frame;

	for (int i = 0; i < 3; i++)
		OK(nmx_tx_send(tx, "forward me", 11));
	OK(nmx_tx_sync(tx));
	OK(nmx_rx_sync(rx));
	EXPECT(nmx_rx_peek(rx, &frame));
	OK(nmx_tx_forward(tx, &frame)); /* had it not fitted, it would still be first in line */
	nmx_rx_next(rx);
	EXPECT(nmx_forward(rx, tx, UINT32_MAX) == 2); /* the rest, in one call */
	OK(nmx_tx_sync(tx));
	OK(nmx_rx_sync(rx));
	printf("forwarded 3 packets by %s, %u came round\n", nmx_same_region(rx, tx) ? "exchange" : "copy",
	       nmx_rx_waiting(rx));
	nmx_rx_for_each (rx, again)
		EXPECT(again.len == 11);
}

/* ---- waiting */

/* The rule: drain until a sync returns 0, then wait. */
static void wait_for_things(struct nmx_rx *rx, struct nmx_tx *tx)
{
	struct nmx_wait_entry entries[] = { { .rx = rx }, { .tx = tx, .slots = 8 } };
	struct pollfd fds[] = { nmx_rx_pollfd(rx), nmx_tx_pollfd(tx) }; /* for poll, epoll and other people's loops */

	EXPECT(OK(nmx_rx_sync(rx)) == 0);
	EXPECT(OK(nmx_wait(entries, 2, 1000)) == 1 && entries[1].ready); /* nothing to receive, room to send */
	EXPECT(OK(nmx_tx_wait(tx, 1, 1000)) == 1);
	OK(nmx_tx_send(tx, "ready?", 7));
	OK(nmx_tx_sync(tx));
	EXPECT(poll(fds, 1, 1000) == 1);
	EXPECT(OK(nmx_rx_sync(rx)) == 1);
	nmx_rx_for_each (rx, frame)
		printf("was woken: \"%s\"\n", (char *)frame.data);
	OK(nmx_rx_sync(rx));             /* gives it back */
	OK(nmx_tx_drain(tx, 1000)); /* everything that was sent has been taken */
}

int main(int argc, char **argv)
{
	struct nmx_options options = { .tx_slots = 64, .rx_slots = 64, .extra_bufs = 1, .flags = NMX_CHAINS };
	struct nmx_report why;
	struct nmx_stats stats;
	NMX_AUTO(port) port = NULL;
	NMX_AUTO(tx) tx = NULL;
	NMX_AUTO(rx) rx = NULL;

	if (argc > 1) {
		printf("usage: tour     every call of <nmx/ring.h> once\n");
		return argc == 2 && strcmp(argv[1], "--help") == 0 ? 0 : 2;
	}
	if (nmx_open(&port, "loop:", &options, &why) < 0) {
		fprintf(stderr, "tour: %s\n", why.text);
		return 1;
	}
	OK(nmx_tx_ring(port, 0, &tx)); /* checked out: a second time would be NMX_ERR_BUSY */
	OK(nmx_rx_ring(port, 0, &rx));

	send_batch(tx);
	receive_one(rx);
	receive_many(rx);
	send_chain(tx);
	receive_loop(rx);
	send_copies(tx);
	receive_copies(rx);
	send_buffer(port, tx);
	receive_and_keep(port, rx);
	forward(rx, tx);
	wait_for_things(rx, tx);

	nmx_tx_unbind(tx); /* another thread may use them from here on */
	nmx_rx_unbind(rx);
	nmx_port_stats(port, &stats);
	printf("in all: %llu packets sent, %llu received\n", (unsigned long long)stats.tx_packets,
	       (unsigned long long)stats.rx_packets);
	return 0;
}
