/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Loops whose instructions per packet callgrind counts (instructions.sh): by hand over the raw ring, and through
 * <nmx/ring.h>.  The ring is plain memory, so that nothing but the loop is measured. */
#include <stdio.h>
#include <stdlib.h>

#include <nmx/nmx.h>

enum { SLOTS = 1024, CALLS = 100, BUF_SIZE = 2048 };

#define LOOP __attribute__((__noinline__)) static uint64_t

/* A transmit ring and a receive ring, all of whose slots but one belong to the user. */
struct rings {
	struct nmx_rx rx;
	struct nmx_tx tx;
	uint32_t transit;
};

static struct netmap_ring *make_ring(uint32_t first_buf)
{
	struct netmap_ring *ring = aligned_alloc(128, sizeof(*ring) + SLOTS * sizeof(struct netmap_slot));

	if (!ring)
		exit(1);
	memset(ring, 0, sizeof(*ring) + SLOTS * sizeof(struct netmap_slot));
	ring->num_slots = SLOTS;
	ring->nr_buf_size = BUF_SIZE;
	for (uint32_t i = 0; i < SLOTS; i++)
		ring->slot[i] = (struct netmap_slot){ .buf_idx = first_buf + i, .len = 60 };
	return ring;
}

/* As a sync would leave them: everything free, everything received. */
static void refill(struct rings *r)
{
	r->rx.ring->tail = r->rx.ring->cur ? r->rx.ring->cur - 1 : SLOTS - 1;
	r->rx.ring->head = r->rx.ring->cur;
	r->tx.ring->tail = r->tx.ring->cur ? r->tx.ring->cur - 1 : SLOTS - 1;
	r->tx.ring->head = r->tx.ring->cur;
}

/* ---- receive: adds up the first 8 bytes of each packet and its length */

static inline uint64_t first_word(const uint8_t *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof(word));
	return word;
}

LOOP rx_by_hand(struct rings *r)
{
	struct netmap_ring *ring = r->rx.ring;
	uint8_t *bufs = (uint8_t *)ring + ring->buf_ofs;
	uint32_t cur = ring->cur, tail = ring->tail, n = ring->num_slots, size = ring->nr_buf_size;
	uint64_t sum = 0;

	while (cur != tail) {
		struct netmap_slot *slot = &ring->slot[cur];

		sum += first_word(bufs + (size_t)slot->buf_idx * size) + slot->len;
		cur = cur + 1 == n ? 0 : cur + 1;
	}
	ring->head = ring->cur = cur;
	return sum;
}

LOOP rx_for_each(struct rings *r)
{
	uint64_t sum = 0;

	nmx_rx_for_each (&r->rx, frame)
		sum += first_word(frame.data) + frame.len;
	return sum;
}

LOOP rx_recv(struct rings *r)
{
	struct nmx_frame frame;
	uint64_t sum = 0;

	while (nmx_rx_recv(&r->rx, &frame))
		sum += first_word(frame.data) + frame.len;
	return sum;
}

LOOP rx_recv_batch(struct rings *r)
{
	struct nmx_frame frames[32];
	uint64_t sum = 0;
	uint32_t n;

	while ((n = nmx_rx_recv_batch(&r->rx, frames, 32)) > 0)
		for (uint32_t i = 0; i < n; i++)
			sum += first_word(frames[i].data) + frames[i].len;
	return sum;
}

/* ---- transmit: writes 8 bytes into each packet */

LOOP tx_by_hand(struct rings *r)
{
	struct netmap_ring *ring = r->tx.ring;
	uint8_t *bufs = (uint8_t *)ring + ring->buf_ofs;
	uint32_t cur = ring->cur, tail = ring->tail, n = ring->num_slots, size = ring->nr_buf_size;
	uint64_t count = 0;

	while (cur != tail) {
		struct netmap_slot *slot = &ring->slot[cur];

		slot->len = 60;
		slot->flags = 0;
		memcpy(bufs + (size_t)slot->buf_idx * size, &count, sizeof(count));
		count++;
		cur = cur + 1 == n ? 0 : cur + 1;
	}
	ring->head = ring->cur = cur;
	return count;
}

LOOP tx_batch(struct rings *r)
{
	struct nmx_batch batch;
	uint64_t count = 0;
	uint8_t *data;

	if (nmx_tx_reserve(&r->tx, SLOTS, &batch) < 0)
		return 0;
	while ((data = nmx_batch_packet(&batch, 60))) {
		memcpy(data, &count, sizeof(count));
		count++;
	}
	nmx_batch_commit(&batch);
	return count;
}

LOOP tx_send(struct rings *r)
{
	uint64_t count = 0;

	while (nmx_tx_send(&r->tx, &count, sizeof(count)) == 0)
		count++;
	return count;
}

/* ---- from a receive ring to a transmit ring */

LOOP forward_by_hand(struct rings *r)
{
	struct netmap_ring *rx = r->rx.ring, *tx = r->tx.ring;
	uint32_t from = rx->cur, to = tx->cur, n = rx->num_slots, m = tx->num_slots;

	while (from != rx->tail && to != tx->tail) {
		struct netmap_slot *a = &rx->slot[from], *b = &tx->slot[to];
		uint32_t spare = b->buf_idx;

		b->buf_idx = a->buf_idx;
		b->len = a->len;
		b->flags = NS_BUF_CHANGED;
		a->buf_idx = spare;
		a->flags = NS_BUF_CHANGED;
		from = from + 1 == n ? 0 : from + 1;
		to = to + 1 == m ? 0 : to + 1;
	}
	rx->head = rx->cur = from;
	tx->head = tx->cur = to;
	return 0;
}

LOOP forward_one_by_one(struct rings *r)
{
	nmx_rx_for_each (&r->rx, frame)
		if (nmx_tx_forward(&r->tx, &frame) < 0)
			break;
	return 0;
}

LOOP forward_all(struct rings *r) { return nmx_forward(&r->rx, &r->tx, UINT32_MAX); }

static const struct {
	const char *name;
	uint64_t (*loop)(struct rings *);
} loops[] = {
	{ "rx_by_hand", rx_by_hand },           { "rx_for_each", rx_for_each },   { "rx_recv", rx_recv },
	{ "rx_recv_batch", rx_recv_batch },     { "tx_by_hand", tx_by_hand },     { "tx_batch", tx_batch },
	{ "tx_send", tx_send },                 { "forward_by_hand", forward_by_hand },
	{ "forward_one_by_one", forward_one_by_one }, { "forward_all", forward_all },
};

int main(int argc, char **argv)
{
	uint8_t *bufs = calloc(2 * SLOTS + 2, BUF_SIZE);
	struct rings r = { .rx = { .ring = make_ring(2) }, .tx = { .ring = make_ring(2 + SLOTS) } };
	uint64_t sum = 0;

	if (!bufs)
		return 1;
	r.rx.ring->buf_ofs = bufs - (uint8_t *)r.rx.ring;
	r.tx.ring->buf_ofs = bufs - (uint8_t *)r.tx.ring;
	r.rx.bufs = r.tx.bufs = bufs;
	r.rx.transit = r.tx.transit = &r.transit;
	r.rx.num_slots = r.tx.num_slots = SLOTS;
	r.rx.buf_size = r.tx.buf_size = r.rx.max_len = r.tx.max_len = BUF_SIZE;
	r.tx.max_frags = NETMAP_MAX_FRAGS;
	for (unsigned i = 0; i < sizeof(loops) / sizeof(loops[0]); i++)
		for (int call = 0; call < CALLS && (argc < 2 || strcmp(argv[1], loops[i].name) == 0); call++) {
			refill(&r);
			sum += loops[i].loop(&r);
		}
	printf("%llu\n", (unsigned long long)sum);
	return 0;
}
