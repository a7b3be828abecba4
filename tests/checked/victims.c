/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Each breaks one rule of <nmx/ring.h>; a checked build stops it at that line. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "victim.h"

static struct nmx_frame one_frame(struct ends *e)
{
	struct nmx_frame frame;

	victim_send(e, 1);
	NEED(nmx_rx_sync(e->rx) == 1);
	NEED(nmx_rx_recv(e->rx, &frame));
	return frame;
}

static struct nmx_buf one_buf(struct nmx_port *port)
{
	struct nmx_buf buf;

	NEED(nmx_buf_get(port, &buf, 1) == 1);
	return buf;
}

/* ---- frames */

static void take_after_sync(struct ends *e)
{
	struct nmx_frame frame = one_frame(e);
	struct nmx_buf buf = one_buf(e->rx_port);

	NEED(nmx_rx_sync(e->rx) == 0);
	HERE, (void)!nmx_frame_take(&frame, &buf);
}

static void forward_after_sync(struct ends *e)
{
	struct nmx_frame frame = one_frame(e);

	NEED(nmx_rx_sync(e->rx) == 0);
	HERE, (void)!nmx_tx_forward(e->tx, &frame);
}

/* Until another packet lies in the slot of the first. */
static struct nmx_frame refilled(struct ends *e, bool same_buffer)
{
	struct nmx_frame first = one_frame(e), frame;

	for (int turn = 0; turn < 1000; turn++) {
		NEED(nmx_rx_sync(e->rx) == 0);
		frame = one_frame(e);
		if (frame.slot == first.slot && (frame.data == first.data) == same_buffer)
			return first;
	}
	victim_fail("the slot is refilled", __LINE__);
}

static void take_after_refill(struct ends *e)
{
	struct nmx_frame frame = refilled(e, false);
	struct nmx_buf buf = one_buf(e->rx_port);

	HERE, (void)!nmx_frame_take(&frame, &buf);
}

/* The same buffer came back to the same slot: everything looks as it was, but it is another packet. */
static void take_after_refill_with_the_same_buffer(struct ends *e)
{
	struct nmx_frame frame = refilled(e, true);
	struct nmx_buf buf = one_buf(e->rx_port);

	HERE, (void)!nmx_frame_take(&frame, &buf);
}

static void forward_after_refill(struct ends *e)
{
	struct nmx_frame frame = refilled(e, false);

	HERE, (void)!nmx_tx_forward(e->tx, &frame);
}

static void forward_from_an_array_after_sync(struct ends *e)
{
	struct nmx_frame frames[3];

	victim_send(e, 3);
	NEED(nmx_rx_sync(e->rx) == 3);
	NEED(nmx_rx_recv_batch(e->rx, frames, 3) == 3);
	NEED(nmx_rx_sync(e->rx) == 0);
	HERE, (void)!nmx_tx_forward(e->tx, &frames[1]);
}

static void take_twice(struct ends *e)
{
	struct nmx_frame frame = one_frame(e);
	struct nmx_buf buf = one_buf(e->rx_port);

	NEED(nmx_frame_take(&frame, &buf) == 0);
	HERE, (void)!nmx_frame_take(&frame, &buf);
}

static void forward_twice(struct ends *e)
{
	struct nmx_frame frame = one_frame(e), copy = frame;

	NEED(nmx_tx_forward(e->tx, &frame) == 0);
	HERE, (void)!nmx_tx_forward(e->tx, &copy);
}

static void next_when_nothing_waits(struct ends *e)
{
	(void)one_frame(e);
	HERE, nmx_rx_next(e->rx);
}

/* ---- threads */

static void *sync_rx(void *rx)
{
	HERE, (void)!nmx_rx_sync(rx);
	return NULL;
}

static void *walk_rx(void *rx)
{
	HERE; nmx_rx_for_each ((struct nmx_rx *)rx, frame) (void)frame; /* clang-format off */
	return NULL;
}

static void *send_tx(void *tx)
{
	HERE, (void)!nmx_tx_send(tx, "another thread", 14);
	return NULL;
}

static void in_a_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	NEED(pthread_create(&thread, NULL, run, arg) == 0);
	pthread_join(thread, NULL);
}

static void sync_in_another_thread(struct ends *e)
{
	(void)one_frame(e);
	in_a_thread(sync_rx, e->rx);
}

static void receive_in_another_thread(struct ends *e)
{
	(void)one_frame(e);
	in_a_thread(walk_rx, e->rx);
}

static void send_in_another_thread(struct ends *e)
{
	victim_send(e, 1);
	in_a_thread(send_tx, e->tx);
}

static void handed_over_is_fine(struct ends *e)
{
	(void)one_frame(e);
	nmx_rx_unbind(e->rx);
	nmx_tx_unbind(e->tx);
	in_a_thread(sync_rx, e->rx);
	in_a_thread(send_tx, e->tx);
}

/* ---- batches */

static void commit_twice(struct ends *e)
{
	struct nmx_batch batch;

	NEED(nmx_tx_reserve(e->tx, 2, &batch) == 2);
	NEED(nmx_batch_packet(&batch, 60));
	nmx_batch_commit(&batch);
	HERE, nmx_batch_commit(&batch);
}

static void packet_after_commit(struct ends *e)
{
	struct nmx_batch batch;

	NEED(nmx_tx_reserve(e->tx, 2, &batch) == 2);
	nmx_batch_commit(&batch);
	HERE, (void)!nmx_batch_packet(&batch, 60);
}

static void commit_after_cancel(struct ends *e)
{
	struct nmx_batch batch;

	NEED(nmx_tx_reserve(e->tx, 2, &batch) == 2);
	NEED(nmx_batch_packet(&batch, 60));
	nmx_batch_cancel(&batch);
	HERE, nmx_batch_commit(&batch);
}

static void trim_to_more(struct ends *e)
{
	struct nmx_batch batch;

	NEED(nmx_tx_reserve(e->tx, 2, &batch) == 2);
	NEED(nmx_batch_packet(&batch, 60));
	HERE, nmx_batch_trim(&batch, 61);
}

static void trim_to_nothing(struct ends *e)
{
	struct nmx_batch batch;

	NEED(nmx_tx_reserve(e->tx, 2, &batch) == 2);
	NEED(nmx_batch_packet(&batch, 60));
	HERE, nmx_batch_trim(&batch, 0);
}

/* ---- the ring itself */

static void sync_after_close(struct ends *e)
{
	struct nmx_rx *closed = e->rx;

	nmx_rx_close(e->rx);
	e->rx = NULL;
	HERE, (void)!nmx_rx_sync(closed);
}

static void rx_slot_outside(struct ends *e)
{
	(void)one_frame(e);
	e->rx->ring->slot[e->rx->ring->tail].len = 1;
	HERE, (void)!nmx_rx_sync(e->rx);
}

static void tx_slot_outside(struct ends *e)
{
	victim_send(e, 1);
	e->tx->ring->slot[e->tx->ring->tail].buf_idx++;
	HERE, (void)!nmx_tx_sync(e->tx);
}

static void rx_head_outside(struct ends *e)
{
	struct netmap_ring *ring = e->rx->ring;

	(void)one_frame(e);
	ring->head = ring->cur = (ring->tail + 1) % ring->num_slots;
	HERE, (void)!nmx_rx_sync(e->rx);
}

static void tx_cur_outside(struct ends *e)
{
	victim_send(e, 1);
	e->tx->ring->cur = 4000000000u;
	HERE, (void)!nmx_tx_sync(e->tx);
}

static void tx_head_beyond_cur(struct ends *e)
{
	victim_send(e, 1);
	e->tx->ring->head = (e->tx->ring->cur + 1) % e->tx->ring->num_slots;
	HERE, (void)!nmx_tx_sync(e->tx);
}

static void rx_tail_written(struct ends *e)
{
	(void)one_frame(e);
	e->rx->ring->tail = (e->rx->ring->tail + 1) % e->rx->ring->num_slots;
	HERE, (void)!nmx_rx_sync(e->rx);
}

static void tx_tail_written(struct ends *e)
{
	victim_send(e, 1);
	e->tx->ring->tail = (e->tx->ring->tail + 1) % e->tx->ring->num_slots;
	HERE, (void)!nmx_tx_sync(e->tx);
}

static void rx_buffer_claimed_twice(struct ends *e)
{
	struct netmap_slot *slot = e->rx->ring->slot;

	(void)one_frame(e);
	slot[e->rx->ring->head].buf_idx = slot[(e->rx->ring->head + 1) % VICTIM_SLOTS].buf_idx;
	HERE, (void)!nmx_rx_sync(e->rx);
}

static void tx_buffer_claimed_twice(struct ends *e)
{
	struct netmap_slot *slot = e->tx->ring->slot;

	victim_send(e, 1);
	slot[e->tx->ring->head].buf_idx = slot[(e->tx->ring->head + 1) % VICTIM_SLOTS].buf_idx;
	HERE, (void)!nmx_tx_sync(e->tx);
}

/* Before the first sync there is nothing to compare with but what the ring was at first. */
static void tx_slot_outside_before_the_first_sync(struct ends *e)
{
	e->tx->ring->slot[e->tx->ring->tail].len = 1;
	HERE, (void)!nmx_tx_sync(e->tx);
}

/* ---- buffers */

static void put_twice(struct ends *e)
{
	struct nmx_buf buf = one_buf(e->rx_port), copy = buf;

	nmx_buf_put(e->rx_port, &buf, 1);
	HERE, nmx_buf_put(e->rx_port, &copy, 1);
}

static void put_of_another_port(struct ends *e)
{
	struct nmx_port *other;
	struct nmx_buf buf = one_buf(e->rx_port);

	NEED(nmx_open(&other, "loop:", &(struct nmx_options){ .extra_bufs = 1 }, NULL) == 0);
	HERE, nmx_buf_put(other, &buf, 1);
}

/* clang-format off */
#define CASE(name) { #name, name }
static const struct victim victims[] = {
	CASE(take_after_sync), CASE(forward_after_sync), CASE(take_after_refill), CASE(take_after_refill_with_the_same_buffer),
	CASE(forward_after_refill), CASE(forward_from_an_array_after_sync), CASE(take_twice), CASE(forward_twice),
	CASE(next_when_nothing_waits), CASE(sync_in_another_thread), CASE(receive_in_another_thread), CASE(send_in_another_thread),
	CASE(handed_over_is_fine), CASE(commit_twice), CASE(packet_after_commit), CASE(commit_after_cancel), CASE(trim_to_more),
	CASE(trim_to_nothing), CASE(sync_after_close), CASE(rx_slot_outside), CASE(tx_slot_outside), CASE(rx_head_outside), CASE(tx_cur_outside),
	CASE(tx_head_beyond_cur), CASE(rx_tail_written), CASE(tx_tail_written), CASE(rx_buffer_claimed_twice),
	CASE(tx_buffer_claimed_twice), CASE(tx_slot_outside_before_the_first_sync), CASE(put_twice), CASE(put_of_another_port),
	{ NULL, NULL },
};
/* clang-format on */

int main(int argc, char **argv) { return victim_main(argc, argv, victims); }
