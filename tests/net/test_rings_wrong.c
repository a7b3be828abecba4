/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Rings of interfaces: packets longer than a slot; programs that write what they must not, which get NMX_ERR_RESET and go on
 * when they have put it right; and waits, which neither hang nor spin.
 */
#include "rings.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { LEFT, RIGHT, MTU = 9000, SLOTS = 64 };

static struct end {
	struct nmx_port *port;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
} left, right;

static struct end open_end(int side, const char *name, uint32_t slots, uint32_t flags)
{
	struct nmx_options options = { .tx_slots = slots, .rx_slots = slots, .flags = flags };
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

/* ---- long packets */

static uint8_t sent[9014], received[9014];

static bool send_long(struct nmx_tx *tx, uint64_t id, uint32_t len)
{
	rings_write(sent, len, id);
	return EXPECT(nmx_tx_send_long(tx, sent, len) == 0 && nmx_tx_sync(tx) >= 0, "%u bytes are not sent", len);
}

static void long_packets(void)
{
	static const uint32_t lens[] = { 60, 2047, 2048, 2049, 4096, 4097, 6144, 8999, 9014 };
	uint64_t id = 0;

	for (int lap = 0; lap < 100; lap++)
		for (size_t i = 0; i < sizeof(lens) / sizeof(*lens) && expect_result() == 0; i++, id++) {
			struct end *from = id % 2 ? &left : &right, *to = id % 2 ? &right : &left;
			int got = 0;

			if (!send_long(from->tx, id, lens[i]))
				return;
			EXPECT(nmx_rx_wait(to->rx, PATIENCE_MS) == 1 && nmx_rx_sync(to->rx) > 0, "nothing comes");
			EXPECT(nmx_rx_recv_copy(to->rx, received, 59) == NMX_ERR_PACKET_TOO_LARGE, "59 bytes of room");
			got = nmx_rx_recv_copy(to->rx, received, sizeof(received));
			EXPECT(got == (int)lens[i] && rings_is_right(received, lens[i], id), "%d bytes of %u", got, lens[i]);
			EXPECT(nmx_rx_sync(to->rx) == 0, "more than one came");
		}
	printf("%" PRIu64 " packets of up to %u bytes\n", id, lens[8]);
}

/* A wait may end for what a sync then drops. */
static bool something_comes(struct nmx_rx *rx)
{
	int64_t deadline = now_ms() + PATIENCE_MS;
	int n = nmx_rx_sync(rx);

	for (; n == 0 && now_ms() < deadline; n = nmx_rx_sync(rx))
		if (nmx_rx_wait(rx, 100) < 0)
			return false;
	return n == 1;
}

/* Longer than the ring: dropped as a whole, at once, and what is shorter goes by. */
static void longer_than_the_ring(void)
{
	struct end few = open_end(RIGHT, "eth0-1", 3, NMX_CHAINS), plain = open_end(RIGHT, "eth0-2", SLOTS, 0);
	struct end *ends[2] = { &few, &plain };
	struct nmx_port *sender = rings_open(LEFT, "eth0", &(struct nmx_options){ .flags = NMX_CHAINS | NMX_TX_ONLY });

	for (uint32_t q = 1; q <= 2; q++) {
		struct nmx_tx *tx = rings_tx(sender, q);
		struct end *to = ends[q - 1];

		for (uint64_t id = 0; id < 20; id++) {
			EXPECT(nmx_rx_sync(to->rx) == 0, "something is there"); /* a small ring has no buffer to lose */
			send_long(tx, id, 9000);
			send_long(tx, id, 100);
			EXPECT(something_comes(to->rx), "queue %u: nothing comes", q);
			EXPECT(nmx_rx_recv_copy(to->rx, received, sizeof(received)) == 100 && rings_is_right(received, 100, id), "another");
		}
		EXPECT(rings_stats(to->port).drop_too_long == 20, "queue %u: %" PRIu64 " counted as too long", q,
		       rings_stats(to->port).drop_too_long);
		nmx_tx_close(tx);
		close_end(to);
	}
	nmx_close(sender);
}

/* ---- misuse */

#ifndef NMX_CHECKED /* there these trap */

static void wrong_cursors(void)
{
	struct flow flow = { 0 };
	struct netmap_ring *rx = right.rx->ring, *tx = left.tx->ring;
	static const uint32_t wrong[] = { SLOTS, SLOTS + 1, UINT32_MAX };

	for (size_t i = 0; i < 3; i++) {
		EXPECT(nmx_rx_sync(right.rx) == 0, "else what was received is shown again");
		tx->head = tx->cur = wrong[i];
		EXPECT(nmx_tx_sync(left.tx) == NMX_ERR_RESET, "a transmit ring with cursors at %u", wrong[i]);
		tx->head = wrong[i];
		EXPECT(nmx_tx_wait(left.tx, 0, 1000) == 1 && nmx_tx_sync(left.tx) == NMX_ERR_RESET, "the wait with a head at %u", wrong[i]);
		rx->cur = i == 2 ? (rx->tail + 1) % SLOTS : wrong[i];
		EXPECT(nmx_rx_sync(right.rx) == NMX_ERR_RESET, "a receive ring with cursors at %u", wrong[i]);
		rings_send(left.tx, &flow, 20);
		rings_receive(right.rx, &flow, 20);
	}
	EXPECT(rings_stats(left.port).resets == 6 && rings_stats(right.port).resets == 3, "%" PRIu64 " and %" PRIu64 " resets are counted",
	       rings_stats(left.port).resets, rings_stats(right.port).resets);
}

static void wrong_buffers_received(struct flow *flow)
{
	struct netmap_ring *ring = right.rx->ring;
	uint32_t wrong[] = { 0, 1, UINT32_MAX, 1u << 30, 0 };

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct nmx_frame frames[3] = { 0 };
		uint32_t right_one;

		rings_send(left.tx, flow, 3);
		for (int tries = 0; nmx_rx_waiting(right.rx) < 3 && tries < 1000; tries++)
			EXPECT(nmx_rx_wait(right.rx, 100) >= 0 && nmx_rx_sync(right.rx) >= 0, "sync");
		EXPECT(nmx_rx_recv_batch(right.rx, frames, 3) == 3, "three");
		wrong[4] = frames[0].slot->buf_idx; /* twice the same */
		right_one = frames[1].slot->buf_idx;
		frames[1].slot->buf_idx = wrong[i];
		EXPECT(nmx_rx_sync(right.rx) == NMX_ERR_RESET, "buffer %u in a slot that was received", wrong[i]);
		EXPECT(ring->head == (uint32_t)(frames[1].slot - ring->slot), "the reset begins at another slot");
		EXPECT(nmx_rx_sync(right.rx) == 2, "the two that were not given back wait again");
		frames[1].slot->buf_idx = right_one;
		flow->received++;
		rings_receive(right.rx, flow, 2);
	}
}

static void wrong_buffers_sent(struct flow *flow)
{
	uint32_t wrong[] = { 0, 1, UINT32_MAX, 1u << 30, 0 };

	for (size_t i = 0; i < 2 * sizeof(wrong) / sizeof(*wrong); i++) {
		bool chain = i >= sizeof(wrong) / sizeof(*wrong);
		struct netmap_slot *slots[2];
		struct nmx_batch batch = { 0 };
		uint32_t right_one;
		int n;

		EXPECT(nmx_rx_sync(right.rx) == 0, "something is there");
		EXPECT(nmx_tx_drain(left.tx, PATIENCE_MS) == 0 && nmx_tx_reserve(left.tx, 2, &batch) == 2, "two");
		for (int k = 0; k < 2; k++) {
			uint8_t *data;

			slots[k] = &left.tx->ring->slot[batch.next];
			data = chain && k == 0 ? nmx_batch_fragment(&batch, 1000) : nmx_batch_packet(&batch, 1000);
			if (!EXPECT(data, "no room"))
				return;
			memset(data, 1, 1000);
		}
		nmx_batch_commit(&batch);
		wrong[4] = slots[0]->buf_idx;
		right_one = slots[1]->buf_idx;
		slots[1]->buf_idx = wrong[i % 5];
		EXPECT(nmx_tx_sync(left.tx) == NMX_ERR_RESET, "buffer %u in a slot to send", wrong[i % 5]);
		slots[1]->buf_idx = right_one;
		n = nmx_tx_drain(left.tx, PATIENCE_MS);
		EXPECT(n == 0 && nmx_tx_space(left.tx) == SLOTS - 1, "%s, and %u free slots", nmx_error_name(n), nmx_tx_space(left.tx));
		/* The first of two packets has gone; of a chain, nothing. */
		n = nmx_rx_wait(right.rx, chain ? 20 : PATIENCE_MS);
		EXPECT(nmx_rx_sync(right.rx) == !chain && n == !chain, "%d has come of %s", n, chain ? "a chain" : "two packets");
		while (nmx_rx_waiting(right.rx))
			nmx_rx_next(right.rx);
		rings_send(left.tx, flow, 20);
		rings_receive(right.rx, flow, 20);
	}
}

/* What stands in slots that are not the program's at the time is nobody's loss but its own. */
static void slots_of_others(struct flow *flow)
{
	for (int lap = 0; lap < 20; lap++) {
		struct netmap_ring *ring = left.tx->ring;

		rings_send(left.tx, flow, 10);
		for (uint32_t i = ring->tail; i != ring->head; i = i + 1 == SLOTS ? 0 : i + 1)
			ring->slot[i].len = 0xffff;
		rings_receive(right.rx, flow, 10);
	}
	EXPECT(nmx_tx_drain(left.tx, PATIENCE_MS) == 0, "not drained");
}

static void misuse(void)
{
	struct flow flow = { 0 };

	wrong_cursors();
	wrong_buffers_received(&flow);
	wrong_buffers_sent(&flow);
	slots_of_others(&flow);
}

#else

static void misuse(void) { printf("checked builds stop at misuse\n"); }

#endif

/* ---- waiting */

static double cpu_ms(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

/* How often a loop of somebody else's finds the descriptor ready within the time, when it syncs each time. */
static int wakeups(struct pollfd pfd, struct end *end, int ms)
{
	int64_t deadline = now_ms() + ms, left_ms;
	int count = 0;

	while ((left_ms = deadline - now_ms()) > 0 && count < 10000) {
		if (poll(&pfd, 1, (int)left_ms) <= 0)
			continue;
		count++;
		EXPECT(nmx_rx_sync(end->rx) >= 0, "sync");
		while (nmx_rx_waiting(end->rx))
			nmx_rx_next(end->rx);
	}
	return count;
}

static void descriptors_do_not_spin(void)
{
	struct pollfd one = nmx_rx_pollfd(right.rx), all = { .fd = nmx_port_fd(right.port), .events = POLLIN };
	struct flow flow = { 0 };
	int n;

	EXPECT(one.fd >= 0 && all.fd >= 0, "no descriptors");
	wakeups(one, &right, 20);
	n = wakeups(one, &right, 1200);
	EXPECT(n <= 3, "%d wakeups for nothing", n);
	wakeups(all, &right, 20);
	n = wakeups(all, &right, 600);
	EXPECT(n <= 2, "%d wakeups of the port for nothing", n);
	/* News of another interface is no news. */
	net_script(RIGHT, "for i in 1 2 3 4 5; do ip link add a$i type veth peer b$i && ip link del a$i; done");
	n = wakeups(one, &right, 300);
	EXPECT(n <= 40, "%d wakeups for 5 pairs of other interfaces", n);
	/* And every packet is seen at once. */
	for (int i = 0; i < 200; i++) {
		struct pollfd *pfd = i % 2 ? &one : &all;

		EXPECT(nmx_rx_sync(right.rx) == 0, "nothing is there");
		rings_send(left.tx, &flow, 1);
		EXPECT(poll(pfd, 1, PATIENCE_MS) == 1 && nmx_rx_sync(right.rx) == 1, "packet %d is not seen", i);
		flow.received = flow.sent;
		while (nmx_rx_waiting(right.rx))
			nmx_rx_next(right.rx);
	}
}

/* The interface is down, and nothing leaves: the wait for room sleeps, and wakes when it is up again. */
static void a_wait_for_room_sleeps(void)
{
	struct pollfd pfd = nmx_tx_pollfd(left.tx);
	double before;
	int n, woken = 0;

	net_script(LEFT, "ip link set eth0 down");
	do
		n = nmx_tx_send(left.tx, sent, MIN_LEN) == 0 ? nmx_tx_sync(left.tx) : 0;
	while (n > 0 || n == NMX_ERR_LINK_DOWN);
	EXPECT(n == 0 && nmx_tx_space(left.tx) == 0, "it is not full: %s", nmx_error_name(n));
	before = cpu_ms();
	n = nmx_tx_wait(left.tx, 1, 500);
	EXPECT(n == 0, "the interface is down, and the wait says %d", n);
	for (int64_t deadline = now_ms() + 500; now_ms() < deadline; woken++)
		if (poll(&pfd, 1, 500) > 0)
			EXPECT(nmx_tx_sync(left.tx) == 0, "room on an interface that is down");
	EXPECT(cpu_ms() - before < 400, "%.0f ms of work in a wait of 1000", cpu_ms() - before);
	printf("%.0f ms of work and %d wakeups in 1000 ms of waiting for room\n", cpu_ms() - before, woken);
	net_script(LEFT, "ip link set eth0 up");
	EXPECT(nmx_tx_wait(left.tx, SLOTS, PATIENCE_MS) == 1 && nmx_tx_drain(left.tx, PATIENCE_MS) == 0, "it is up, and does not go on");
}

int main(int argc, char **argv)
{
	net_begin(argc, argv, 2);
	net_needs_ports();
	net_join(LEFT, "eth0", RIGHT, "eth0", 4, MTU, NET_QUIET);
	left = open_end(LEFT, "eth0-0", SLOTS, NMX_CHAINS);
	right = open_end(RIGHT, "eth0-0", SLOTS, NMX_CHAINS);
	long_packets();
	misuse();
	descriptors_do_not_spin();
	a_wait_for_room_sleeps();
	close_end(&left);
	longer_than_the_ring();
	close_end(&right);
	run_dir_is_empty();
	return expect_result();
}
