/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <string.h>

#include "world.h"

/* ---- the model's FIFOs */

static void push(struct fifo *f, struct unit u)
{
	require(f->count < WORLD_UNITS);
	f->at[f->count++] = u;
}

static struct unit pop(struct fifo *f)
{
	struct unit first = f->at[0];

	require(f->count > 0);
	memmove(f->at, f->at + 1, --f->count * sizeof(f->at[0]));
	return first;
}

static void move(struct fifo *to, struct fifo *from, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		push(to, pop(from));
}

/* Fragments of the packet that is first; 0: none. */
static uint32_t first_packet(const struct fifo *f)
{
	for (uint32_t i = 0; i < f->count; i++)
		if (!f->at[i].more)
			return i + 1;
	require_equal(f->count, 0); /* nothing that is half a packet is ever shown */
	return 0;
}

static struct unit new_unit(struct model *m, bool more)
{
	uint32_t id = m->next_id++;

	return (struct unit){ .id = id, .len = (uint16_t)(8 + id % 5), .more = more };
}

static void stamp(uint8_t *data, struct unit u)
{
	uint64_t id = u.id;

	memcpy(data, &id, sizeof(id));
}

static void check_data(const uint8_t *data, struct unit u)
{
	uint64_t id;

	memcpy(&id, data, sizeof(id));
	require_equal(id, u.id);
}

static void check_frame(const struct nmx_frame *frame, struct unit u)
{
	require_equal(frame->len, u.len);
	require_equal(frame->flags, u.more ? NMX_MORE : 0);
	check_data(frame->data, u);
}

/* ---- transmit */

/* What a unit that goes to the slot at cur is answered. */
static int admission(const struct model *m, bool more, uint32_t len)
{
	if (m->reserved)
		return NMX_ERR_BUSY;
	if (more && m->begun.count + 1 >= m->max_frags)
		return NMX_ERR_PACKET_TOO_LARGE;
	if (m->space == 0)
		return NMX_ERR_WOULD_BLOCK;
	return len == 0 ? NMX_ERR_PACKET_TOO_LARGE : 0;
}

static void admit(struct model *m, struct unit u)
{
	m->space--;
	push(&m->begun, u);
	if (!u.more)
		move(&m->committed, &m->begun, m->begun.count);
}

static void apply_send(struct world *w)
{
	struct unit u = new_unit(&w->model, false);
	int expected = admission(&w->model, false, u.len);
	uint8_t data[16] = { 0 };

	stamp(data, u);
	require_result(nmx_tx_send(w->link.tx, data, u.len), expected);
	if (expected == 0)
		admit(&w->model, u);
}

static void apply_send_long(struct world *w)
{
	struct model *m = &w->model;
	struct unit first = { m->next_id++, 2048, true }, second = { m->next_id++, 10, false };
	static uint8_t data[2058];
	int expected = m->max_frags < 2                   ? NMX_ERR_PACKET_TOO_LARGE
	               : m->reserved || m->begun.count    ? NMX_ERR_BUSY
	               : m->space < 2                     ? NMX_ERR_WOULD_BLOCK
	                                                  : 0;

	stamp(data, first);
	stamp(data + 2048, second);
	require_result(nmx_tx_send_long(w->link.tx, data, sizeof(data)), expected);
	if (expected == 0) {
		admit(m, first);
		admit(m, second);
	}
}

static void apply_reserve(struct world *w, uint32_t want)
{
	struct model *m = &w->model;
	int expected = m->reserved || m->begun.count ? NMX_ERR_BUSY : (int)(want < m->space ? want : m->space);
	struct nmx_batch batch;

	require_result(nmx_tx_reserve(w->link.tx, want, &batch), expected);
	if (expected < 0)
		return;
	w->batch = batch;
	m->reserved = m->left = (uint32_t)expected;
	m->batch.count = 0;
	if (expected == 0)
		nmx_batch_commit(&w->batch); /* an empty batch is one like any other */
}

static uint32_t batch_chain(const struct model *m)
{
	uint32_t n = 0;

	while (n < m->batch.count && m->batch.at[m->batch.count - 1 - n].more)
		n++;
	return n;
}

static void apply_fill(struct world *w, bool more)
{
	struct model *m = &w->model;
	bool expected = m->left > 0 && !(more && batch_chain(m) + 1 >= m->max_frags);
	struct unit u = new_unit(m, more);
	uint8_t *data;

	if (!m->reserved)
		return;
	data = more ? nmx_batch_fragment(&w->batch, u.len) : nmx_batch_packet(&w->batch, u.len);
	require_equal(data != NULL, expected);
	if (!expected)
		return;
	stamp(data, u);
	m->left--;
	push(&m->batch, u);
}

static void apply_end_of_batch(struct world *w, bool commit)
{
	struct model *m = &w->model;
	uint32_t whole = m->batch.count - batch_chain(m);

	if (!m->reserved)
		return;
	if (commit) {
		nmx_batch_commit(&w->batch);
		move(&m->committed, &m->batch, whole);
		m->space -= whole;
	} else
		nmx_batch_cancel(&w->batch);
	m->reserved = m->left = m->batch.count = 0;
}

static uint32_t less(uint32_t a, uint32_t b) { return a < b ? a : b; }

static void apply_tx_sync(struct world *w)
{
	struct model *m = &w->model;
	uint32_t handed_over = m->committed.count, room, space;
	int n = nmx_tx_sync(w->link.tx);

	require(n >= 0);
	move(&m->queued, &m->committed, handed_over);
	room = m->num_slots - 1 - less(m->num_slots - 1, m->queued.count); /* that there really is */
	space = (uint32_t)n + m->begun.count;
	require(space <= room);
	require((uint32_t)n >= m->space); /* free slots are not taken back */
	if (handed_over == 0 || space == 0)
		require_equal(space, room);
	m->space = (uint32_t)n;
}

/* ---- receive */

static void apply_rx_sync(struct world *w)
{
	struct model *m = &w->model;
	const struct nmx__queue *queue = world_rx(w)->end.queue;
	uint32_t before = m->queued.count, dropped = m->dropped, first = first_packet(&m->queued), room = m->num_slots - 1 - m->waiting.count;
	int n = nmx_rx_sync(w->link.rx);

	require(n >= 0);
	m->received.count = 0;
	while (m->queued.count > queue->tail - queue->head) {
		uint32_t count = first_packet(&m->queued);

		if (count > 1 && !m->chains) {
			m->dropped++;
			while (count--)
				pop(&m->queued);
		} else
			move(&m->waiting, &m->queued, count);
	}
	require_equal(n, m->waiting.count);
	if (m->queued.count == before)
		require(first == 0 || first > room); /* what is there and fits comes */
	/* A sync that says "nothing" is right; but one that had to drop what it knew of may not have looked again (and
	 * a wait then returns at once). */
	if (n == 0 && m->dropped == dropped)
		require_equal(m->queued.count, 0);
}

static void step_over(struct model *m) { move(&m->received, &m->waiting, 1); }

static void apply_recv(struct world *w)
{
	struct model *m = &w->model;
	struct nmx_frame frame = { 0 };

	require_equal(nmx_rx_recv(w->link.rx, &frame), m->waiting.count > 0);
	if (m->waiting.count == 0)
		return;
	check_frame(&frame, m->waiting.at[0]);
	step_over(m);
}

static void apply_peek_next(struct world *w)
{
	struct model *m = &w->model;
	struct nmx_frame frame = { 0 };

	for (int i = 0; i < 2; i++) {
		require_equal(nmx_rx_peek(w->link.rx, &frame), m->waiting.count > 0);
		if (m->waiting.count == 0)
			return;
		check_frame(&frame, m->waiting.at[0]);
	}
	nmx_rx_next(w->link.rx);
	step_over(m);
}

static void apply_walk(struct world *w, uint32_t most)
{
	struct model *m = &w->model;
	uint32_t waiting = m->waiting.count, seen = 0;

	nmx_rx_for_each (w->link.rx, frame) {
		check_frame(&frame, m->waiting.at[0]);
		if (seen == most)
			break;
		seen++;
		step_over(m);
	}
	require_equal(seen, less(waiting, most));
}

static void apply_recv_batch(struct world *w)
{
	struct model *m = &w->model;
	struct nmx_frame frames[2];
	uint32_t expected = less(2, m->waiting.count);

	require_equal(nmx_rx_recv_batch(w->link.rx, frames, 2), expected);
	for (uint32_t i = 0; i < expected; i++) {
		check_frame(&frames[i], m->waiting.at[0]);
		step_over(m);
	}
}

static void apply_recv_copy(struct world *w)
{
	struct model *m = &w->model;
	static uint8_t data[2048 * WORLD_MAX_SLOTS];
	uint32_t count = first_packet(&m->waiting), bytes = 0, at = 0;

	for (uint32_t i = 0; i < count; i++)
		bytes += m->waiting.at[i].len;
	if (bytes)
		require_result(nmx_rx_recv_copy(w->link.rx, data, bytes - 1), NMX_ERR_PACKET_TOO_LARGE);
	require_equal(nmx_rx_waiting(w->link.rx), m->waiting.count);
	require_result(nmx_rx_recv_copy(w->link.rx, data, sizeof(data)), (int)bytes);
	for (uint32_t i = 0; i < count; i++) {
		check_data(data + at, m->waiting.at[0]);
		at += m->waiting.at[0].len;
		step_over(m);
	}
}

/* ---- buffers that change places */

static void apply_take(struct world *w)
{
	struct model *m = &w->model;
	struct nmx_frame frame;

	if (!nmx_rx_recv(w->link.rx, &frame))
		return;
	m->held = m->waiting.at[0];
	step_over(m);
	require_result(nmx_frame_take(&frame, &w->held), 0);
	require(frame.data == NULL);
	require_equal(w->held.len, m->held.len);
	require_equal(w->held.flags, m->held.more ? NMX_MORE : 0);
	check_data(w->held.data, m->held);
}

static void apply_put(struct world *w, bool more)
{
	struct model *m = &w->model;
	int expected = admission(m, more, m->held.len);

	w->held.flags = more ? NMX_MORE : 0;
	m->held.more = more;
	require_result(nmx_tx_put(w->link.tx, &w->held), expected);
	if (expected == 0) {
		admit(m, m->held);
		m->held = (struct unit){ 0 };
	}
	require_equal(w->held.len, m->held.len);
}

static void apply_abandon(struct world *w)
{
	nmx_tx_abandon(w->link.tx);
	w->model.space += w->model.begun.count;
	w->model.begun.count = 0;
}

static void apply_forward_one(struct world *w)
{
	struct model *m = &w->model;
	struct nmx_frame frame;
	int expected;

	if (!nmx_rx_peek(w->link.rx, &frame))
		return;
	expected = admission(m, m->waiting.at[0].more, m->waiting.at[0].len);
	require_result(nmx_tx_forward(w->link.tx, &frame), expected);
	if (expected < 0) {
		check_frame(&frame, m->waiting.at[0]); /* as it was */
		return;
	}
	nmx_rx_next(w->link.rx);
	admit(m, m->waiting.at[0]);
	step_over(m);
}

static void apply_forward(struct world *w)
{
	struct model *m = &w->model;
	uint32_t done = 0, most = m->num_slots, count;

	while (!m->reserved && m->begun.count == 0 && (count = first_packet(&m->waiting)) > 0 && count <= m->space &&
	       count <= most - done)
		for (done += count; count > 0; count--) {
			admit(m, m->waiting.at[0]);
			step_over(m);
		}
	require_equal(nmx_forward(w->link.rx, w->link.tx, most), done);
}

/* ---- all of it */

void world_apply(struct world *w, enum world_op op)
{
	switch (op) {
	case OP_SEND: apply_send(w); break;
	case OP_SEND_LONG: apply_send_long(w); break;
	case OP_RESERVE_1: apply_reserve(w, 1); break;
	case OP_RESERVE_2: apply_reserve(w, 2); break;
	case OP_RESERVE_ALL: apply_reserve(w, UINT32_MAX); break;
	case OP_PACKET: apply_fill(w, false); break;
	case OP_FRAGMENT: apply_fill(w, true); break;
	case OP_COMMIT: apply_end_of_batch(w, true); break;
	case OP_CANCEL: apply_end_of_batch(w, false); break;
	case OP_TX_SYNC: apply_tx_sync(w); break;
	case OP_RX_SYNC: apply_rx_sync(w); break;
	case OP_RECV: apply_recv(w); break;
	case OP_PEEK_NEXT: apply_peek_next(w); break;
	case OP_WALK_BREAK: apply_walk(w, 1); break;
	case OP_WALK_ALL: apply_walk(w, UINT32_MAX); break;
	case OP_RECV_BATCH: apply_recv_batch(w); break;
	case OP_RECV_COPY: apply_recv_copy(w); break;
	case OP_TAKE: apply_take(w); break;
	case OP_PUT: apply_put(w, false); break;
	case OP_PUT_MORE: apply_put(w, true); break;
	case OP_ABANDON: apply_abandon(w); break;
	case OP_FORWARD_ONE: apply_forward_one(w); break;
	case OP_FORWARD: apply_forward(w); break;
	case WORLD_OPS: break;
	}
}

static void note(uint32_t index, uint32_t num_bufs, uint8_t *seen)
{
	require(index >= NMX__FIRST_BUF && index < num_bufs);
	if (seen[index]++)
		support_fail(__FILE__, __LINE__, "buffer %u is in two places", index);
}

/* Every buffer is in exactly one place. */
static void check_buffers(const struct world *w)
{
	const struct nmx__qend *tx = &world_tx(w)->end;
	const struct nmx__queue *queue = tx->queue;
	uint32_t n = w->model.num_slots, capacity = w->model.capacity, full = queue->tail - queue->head;
	static uint8_t seen[65536];

	memset(seen, 0, tx->num_bufs);
	for (uint32_t i = 0; i < n; i++) {
		note(w->link.tx->ring->slot[i].buf_idx, tx->num_bufs, seen);
		note(w->link.rx->ring->slot[i].buf_idx, tx->num_bufs, seen);
	}
	for (uint32_t i = 0; i < capacity; i++) {
		const struct nmx__entry *entry = &queue->entry[(queue->head + i) & (capacity - 1)];

		note(i < full ? (uint32_t)entry->full : entry->empty, tx->num_bufs, seen);
	}
	note(*w->held.home, tx->num_bufs, seen);
	if (w->link.tx_port == w->link.rx_port) /* the region is all theirs: none is nowhere */
		require_equal(tx->num_bufs - NMX__FIRST_BUF, 2 * n + capacity + 1);
	require_equal(*w->link.tx->transit + *w->link.rx->transit, 0);
}

void world_check(const struct world *w)
{
	const struct netmap_ring *tx = w->link.tx->ring, *rx = w->link.rx->ring;
	const struct nmx__queue *queue = world_tx(w)->end.queue;
	const struct model *m = &w->model;
	uint32_t n = m->num_slots;

	require(tx->head < n && tx->cur < n && tx->tail < n && rx->head < n && rx->cur < n && rx->tail < n);
	require_equal(nmx_tx_space(w->link.tx), m->space - m->reserved);
	require_equal(nmx__distance(world_tx(w)->end.hwcur, tx->head, n), m->committed.count);
	require_equal(nmx__distance(tx->head, tx->cur, n), m->begun.count);
	require_equal(queue->tail - queue->head, m->queued.count);
	require_equal(nmx_rx_waiting(w->link.rx), m->waiting.count);
	require_equal(nmx__distance(rx->head, rx->cur, n), m->received.count);
	check_buffers(w);
}

void world_open(struct world *w, const struct backend_row *row, uint32_t slots, bool chains)
{
	struct nmx_options o = { .extra_bufs = 1, .flags = chains ? NMX_CHAINS : 0 };

	memset(w, 0, sizeof(*w));
	w->link = support_link(row, slots, &o);
	require(world_tx(w)->end.ring == w->link.tx->ring && world_rx(w)->end.ring == w->link.rx->ring);
	require_equal(nmx_buf_get(w->link.tx_port, &w->held, 1), 1);
	w->model = (struct model){ .num_slots = slots, .capacity = nmx__queue_capacity(slots), .max_frags = slots - 1,
		                   .chains = chains, .space = slots - 1 };
	world_check(w);
}

void world_close(struct world *w)
{
	uint32_t dropped = (uint32_t)support_stats(w->link.rx_port).drop_too_long;

	require_equal(dropped, w->model.dropped);
	support_unlink(&w->link);
}
