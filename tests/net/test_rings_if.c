/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Rings of interfaces keep the same promises as those of pipes: order and content over many laps of rings of any size, one
 * reservation at a time, frames that live until the next sync, buffers exchanged between interfaces and pipes without a
 * copy, or with one where the device does not know them, and none lost.
 *
 *   LEFT eth0 ==veth== eth0 MIDDLE eth1 ==veth== eth0 RIGHT          all ports in this process, in one segment
 *
 * -n LAPS: instead of 20.
 */
#include "rings.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEFT, MIDDLE, RIGHT, MTU = 1500, QUEUES = 4, MANY = 33000 /* more buffers than a device registers */ };

static struct nmx_port *keeper; /* keeps the segment, so that it can be looked at after the others */
static struct nmx_audit idle;
static long laps;

struct end {
	struct nmx_port *port;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
};

static struct end open_end(int side, const char *name, uint32_t slots, uint32_t flags)
{
	struct nmx_options options = { .tx_slots = slots, .rx_slots = slots, .flags = flags, .extra_bufs = 8 };
	struct end end = { .port = rings_open(side, name, &options) };

	if (!end.port)
		exit(expect_result());
	end.tx = rings_tx(end.port, 0);
	end.rx = rings_rx(end.port, 0);
	return end;
}

static void close_end(struct end *end)
{
	nmx_tx_close(end->tx);
	nmx_rx_close(end->rx);
	nmx_close(end->port);
}

/* ---- laps */

static void one_reservation_at_a_time(struct nmx_tx *tx)
{
	static const uint8_t data[MIN_LEN];
	struct nmx_batch batch = { 0 }, other;
	int got = nmx_tx_reserve(tx, 1, &batch);

	EXPECT(got == 1, "room for one: %d", got);
	EXPECT(nmx_tx_reserve(tx, 1, &other) == NMX_ERR_BUSY && nmx_tx_send(tx, data, MIN_LEN) == NMX_ERR_BUSY, "two at a time");
	nmx_batch_cancel(&batch);
	EXPECT(nmx_tx_sync(tx) >= 0, "sync");
}

/* Whatever else happens, what was received stays until its ring is synced. */
static void a_frame_stays(struct end *from, struct end *to, struct flow *flow)
{
	struct nmx_frame frame = { 0 };

	if (!EXPECT(rings_send(from->tx, flow, 1) && nmx_rx_wait(to->rx, PATIENCE_MS) == 1 && nmx_rx_sync(to->rx) == 1 &&
	                nmx_rx_recv(to->rx, &frame),
	            "nothing to keep"))
		return;
	rings_send(from->tx, flow, 1);
	EXPECT(nmx_tx_sync(to->tx) >= 0 && nmx_rx_sync(from->rx) == 0 && nmx_rx_wait(to->rx, 10) == 1, "other rings");
	sleep_ms(5);
	EXPECT(frame.len == rings_len(flow->received) && rings_is_right(frame.data, frame.len, flow->received), "the frame has changed");
	flow->received++;
	rings_receive(to->rx, flow, 1);
}

static void many_laps(uint32_t slots)
{
	struct end ends[2] = { open_end(LEFT, "eth0-0", slots, 0), open_end(MIDDLE, "eth0-0", slots, 0) };
	struct flow flows[2] = { 0 };
	uint64_t random = slots;
	bool good = true;

	for (long sent = 0; good && (sent < laps * (long)slots || sent < laps * 100);) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		uint32_t burst = 1 + (uint32_t)(random >> 33) % (slots - 1), way = random >> 63;

		good = rings_send(ends[way].tx, &flows[way], burst) && rings_receive(ends[!way].rx, &flows[way], burst);
		sent += burst;
	}
	for (int way = 0; way < 2 && good; way++) {
		EXPECT(nmx_tx_drain(ends[way].tx, PATIENCE_MS) == 0, "drain");
		one_reservation_at_a_time(ends[way].tx);
		if (slots > 2)
			a_frame_stays(&ends[way], &ends[!way], &flows[way]);
	}
	printf("%u slots: %" PRIu64 " and %" PRIu64 " packets\n", slots, flows[0].received, flows[1].received);
	close_end(&ends[0]);
	close_end(&ends[1]);
	rings_audit_same(&idle, "laps");
}

/* ---- exchange */

static uint64_t copied(const struct nmx_port *port)
{
	struct nmx_stats stats = rings_stats(port);

	return stats.rx_copied_bytes + stats.tx_copied_bytes;
}

/* By forwarding, and by taking into the hand and putting. */
static void exchange_goes_on_without_a_copy(void)
{
	struct end left = open_end(LEFT, "eth0-0", 64, 0), right = open_end(RIGHT, "eth0-0", 64, 0);
	struct end in = open_end(MIDDLE, "eth0-0", 64, 0), out = open_end(MIDDLE, "eth1-0", 64, 0);
	struct nmx_port *ends[2] = { rings_open(MIDDLE, "p{1", NULL), rings_open(MIDDLE, "p}1", NULL) };
	struct nmx_tx *to_pipe = rings_tx(ends[0], 0);
	struct nmx_rx *from_pipe = rings_rx(ends[1], 0);
	struct flow flow = { 0 };
	struct nmx_buf buf;

	for (int i = 0; i < 50 && !flow.broken; i++) {
		rings_send(left.tx, &flow, 30);
		rings_forward(in.rx, out.tx, 30);
		rings_receive(right.rx, &flow, 30);
		rings_send(left.tx, &flow, 30);
		rings_forward(in.rx, to_pipe, 30);
		rings_forward(from_pipe, out.tx, 30);
		rings_receive(right.rx, &flow, 30);
	}
	EXPECT(nmx_buf_get(in.port, &buf, 1) == 1, "a spare");
	for (int i = 0; i < 200 && !flow.broken; i++) {
		struct nmx_frame frame = { 0 };

		rings_send(left.tx, &flow, 1);
		EXPECT(nmx_rx_wait(in.rx, PATIENCE_MS) == 1 && nmx_rx_sync(in.rx) == 1 && nmx_rx_recv(in.rx, &frame) &&
		           nmx_frame_take(&frame, &buf) == 0 && nmx_rx_sync(in.rx) == 0 && nmx_tx_put(out.tx, &buf) == 0 && nmx_tx_sync(out.tx) >= 0,
		       "by hand");
		rings_receive(right.rx, &flow, 1);
	}
	nmx_buf_put(in.port, &buf, 1);
	EXPECT(copied(in.port) + copied(out.port) + copied(ends[0]) + copied(ends[1]) == 0, "something was copied");
	close_end(&left);
	close_end(&right);
	close_end(&in);
	close_end(&out);
	nmx_tx_close(to_pipe);
	nmx_rx_close(from_pipe);
	nmx_close(ends[0]);
	nmx_close(ends[1]);
	rings_audit_same(&idle, "exchange");
}

/* ---- buffers that the device does not know */

struct foreigners {
	struct end left, right, in, out;
	struct nmx_port *filler, *ends[2];
	struct nmx_tx *to_pipe;
	struct nmx_rx *from_pipe;
};

/* The pipe comes when all that devices register is taken. */
static struct foreigners open_foreigners(uint32_t slots)
{
	struct foreigners f = { .left = open_end(LEFT, "eth0-0", slots, 0), .right = open_end(RIGHT, "eth0-0", slots, 0),
		                .in = open_end(MIDDLE, "eth0-0", slots, 0), .out = open_end(MIDDLE, "eth1-0", slots, 0) };

	f.filler = rings_open(MIDDLE, "filler{1", &(struct nmx_options){ .extra_bufs = MANY });
	f.ends[0] = rings_open(MIDDLE, "p{1", NULL);
	f.ends[1] = rings_open(MIDDLE, "p}1", NULL);
	f.to_pipe = rings_tx(f.ends[0], 0);
	f.from_pipe = rings_rx(f.ends[1], 0);
	return f;
}

static void close_foreigners(struct foreigners *f)
{
	nmx_tx_close(f->to_pipe);
	nmx_rx_close(f->from_pipe);
	nmx_close(f->filler);
	nmx_close(f->ends[0]);
	nmx_close(f->ends[1]);
	close_end(&f->left);
	close_end(&f->right);
	close_end(&f->in);
	close_end(&f->out);
}

static void unknown_buffers_are_copied(uint32_t slots)
{
	struct foreigners f = open_foreigners(slots);
	uint32_t burst = slots - 1;
	struct flow flow = { 0 };
	uint64_t rx, tx;

	/* Into the pipe: what comes back for it, the device does not know.  A lap later there is nothing else. */
	for (int i = 0; i < 12 && !flow.broken; i++) {
		rings_send(f.left.tx, &flow, burst);
		rings_forward(f.in.rx, f.to_pipe, burst);
		rings_receive(f.from_pipe, &flow, burst);
	}
	rx = rings_stats(f.in.port).rx_copied_bytes;
	EXPECT(rx > 0, "%u slots: nothing was copied on the way in", slots);
	/* Out of the pipe, a ring full of them at a time: more than there are buffers to copy into. */
	for (int i = 0; i < 5 && !flow.broken; i++) {
		rings_send(f.to_pipe, &flow, burst);
		rings_forward(f.from_pipe, f.out.tx, burst);
		EXPECT(nmx_tx_drain(f.out.tx, PATIENCE_MS) == 0, "%u slots: not drained", slots);
		rings_receive(f.right.rx, &flow, burst);
	}
	/* From one interface to the other, with what has come to be in them. */
	for (int i = 0; i < 3 && !flow.broken; i++) {
		rings_send(f.left.tx, &flow, burst);
		rings_forward(f.in.rx, f.out.tx, burst);
		rings_receive(f.right.rx, &flow, burst);
	}
	tx = rings_stats(f.out.port).tx_copied_bytes;
	EXPECT(tx > 0, "%u slots: nothing was copied on the way out", slots);
	printf("%u slots: %" PRIu64 " bytes copied in, %" PRIu64 " out, %" PRIu64 " packets\n", slots, rx, tx, flow.received);
	close_foreigners(&f);
	rings_audit_same(&idle, "buffers that the device does not know");
}

/* ---- fewer rings than queues */

static void one_queue_does_not_starve_the_others(const struct end *all, struct nmx_tx *tx[QUEUES])
{
	struct nmx_frame frame = { 0 };
	bool come = false;

	/* The first queue has always more than the ring can show. */
	for (int i = 0; i < 100 && !come; i++) {
		struct flow flood = { 0 }, last = { .sent = 1000000 };

		rings_send(tx[0], &flood, 60);
		if (i == 10)
			rings_send(tx[QUEUES - 1], &last, 1);
		for (int turn = 0; turn < 2; turn++)
			if (nmx_rx_sync(all->rx) > 0)
				while (nmx_rx_recv(all->rx, &frame))
					come |= rings_is_right(frame.data, frame.len, 1000000);
	}
	EXPECT(come, "a flooded queue keeps another one out");
}

static void rings_share_queues(uint32_t rings)
{
	struct nmx_options options = { .rx_rings = rings, .rx_slots = 64, .tx_slots = 64 };
	struct nmx_port *port = rings_open(MIDDLE, "eth0", &options), *sender = rings_open(LEFT, "eth0", NULL);
	struct nmx_rx *rx[QUEUES] = { 0 };
	struct nmx_tx *tx[QUEUES] = { 0 };
	struct flow flows[QUEUES] = { 0 };

	for (uint32_t i = 0; i < rings; i++)
		rx[i] = rings_rx(port, i);
	for (uint32_t q = 0; q < QUEUES; q++)
		tx[q] = rings_tx(sender, q);
	for (int round = 0; round < 30; round++)
		for (uint32_t q = 0; q < QUEUES && !flows[q].broken; q++) {
			rings_send(tx[q], &flows[q], 30);
			rings_receive(rx[q % rings], &flows[q], 30);
		}
	if (rings == 1)
		one_queue_does_not_starve_the_others(&(struct end){ .rx = rx[0] }, tx);
	for (uint32_t q = 0; q < QUEUES; q++) {
		nmx_tx_close(tx[q]);
		nmx_rx_close(rx[q]);
	}
	nmx_close(port);
	nmx_close(sender);
	rings_audit_same(&idle, "shared queues");
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = { 2, 3, 5, 64, 1023 };

	net_begin(argc, argv, 3);
	net_needs_ports();
	laps = net_args.number ? net_args.number : 20;
	net_join(MIDDLE, "eth0", LEFT, "eth0", QUEUES, MTU, NET_QUIET);
	net_join(MIDDLE, "eth1", RIGHT, "eth0", QUEUES, MTU, NET_QUIET);
	keeper = rings_open(LEFT, "keeper{1", NULL);
	idle = rings_audit();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		many_laps(sizes[i]);
	exchange_goes_on_without_a_copy();
	unknown_buffers_are_copied(64);
	unknown_buffers_are_copied(1024);
	rings_share_queues(1);
	rings_share_queues(3);
	nmx_close(keeper);
	run_dir_is_empty();
	return expect_result();
}
