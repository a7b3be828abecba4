/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Programs that write head and cur themselves, as netmap's do; and what happens when they write nonsense. */
#include <string.h>

#include "support.h"

enum { LEN = 100 };

static uint32_t next_of(const struct netmap_ring *ring, uint32_t i) { return i + 1 == ring->num_slots ? 0 : i + 1; }

static uint8_t *buffer_of(struct netmap_ring *ring, uint32_t i)
{
	return (uint8_t *)ring + ring->buf_ofs + (size_t)ring->slot[i].buf_idx * ring->nr_buf_size;
}

static uint64_t raw_send(struct netmap_ring *ring, uint64_t id)
{
	uint32_t head = ring->head;

	for (; head != ring->tail; head = next_of(ring, head)) {
		support_write(buffer_of(ring, head), LEN, id++);
		ring->slot[head].len = LEN;
		ring->slot[head].flags = 0;
	}
	ring->head = ring->cur = head;
	return id;
}

static uint64_t raw_receive(struct netmap_ring *ring, uint64_t id)
{
	uint32_t head = ring->head;

	for (; head != ring->tail; head = next_of(ring, head)) {
		require_equal(ring->slot[head].len, LEN);
		support_check(buffer_of(ring, head), LEN, id++);
	}
	ring->head = ring->cur = head;
	return id;
}

static void a_program_that_moves_the_cursors_itself_works(void **state)
{
	static const uint32_t sizes[] = { 2, 3, 5, 64 };

	for (unsigned k = 0; k < 4; k++) {
		struct link l = support_link(*state, sizes[k], NULL);
		uint64_t sent = 0, received = 0;

		require_equal(l.tx->ring->num_slots, sizes[k]);
		require_equal(l.tx->ring->nr_buf_size, 2048);
		require_equal(l.tx->ring->dir, 1);
		require_equal(l.rx->ring->dir, 0);
		while (received < 5000) {
			sent = raw_send(l.tx->ring, sent);
			require(nmx_tx_sync(l.tx) >= 0);
			require(nmx_rx_sync(l.rx) >= 0);
			received = raw_receive(l.rx->ring, received);
		}
		require_equal(support_stats(l.tx_port).resets, 0);
		support_unlink(&l);
	}
}

static void a_program_that_exchanges_buffers_itself_works(void **state)
{
	struct link l = support_link(*state, 5, NULL);
	uint64_t id = 0;

	/* Zero copy from the receive ring back to the transmit ring, as netmap's bridge does it. */
	support_send(l.tx, 0, 1, LEN);
	for (int lap = 0; lap < 30; lap++) {
		struct netmap_ring *in = l.rx->ring, *out = l.tx->ring;
		struct netmap_slot *from, *to;
		uint32_t index;

		require_result(nmx_rx_sync(l.rx), 1);
		from = &in->slot[in->cur];
		to = &out->slot[out->cur];
		support_check(buffer_of(in, in->cur), LEN, id);
		index = to->buf_idx;
		to->buf_idx = from->buf_idx;
		from->buf_idx = index;
		to->len = from->len;
		to->flags = from->flags = NS_BUF_CHANGED;
		in->head = in->cur = next_of(in, in->cur);
		out->head = out->cur = next_of(out, out->cur);
		require(nmx_tx_sync(l.tx) >= 1);
	}
	support_unlink(&l);
}

#ifndef NMX_CHECKED /* there these trap */
static void bad_cursors_reset_the_ring_once_and_it_goes_on(void **state)
{
	/* n itself, far out, beyond tail.  (A receive sync looks at cur alone: head follows it.) */
	static const struct {
		uint32_t head, cur;
	} bad[] = { { 5, 5 }, { 99999, 99999 }, { UINT32_MAX, UINT32_MAX }, { 0, 5 }, { 4, 4 } };
	uint64_t resets = 0;

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct link l = support_link(*state, 5, NULL);

		/* Two slots are taken (by packets on their way, or as not arrived): [0, 2) is not ours to move into. */
		support_send(l.tx, 0, 2, LEN);
		require_result(nmx_rx_sync(l.rx), 2);
		l.rx->ring->head = bad[i].head;
		l.rx->ring->cur = bad[i].cur;
		require_result(nmx_rx_sync(l.rx), NMX_ERR_RESET);
		require_equal(l.rx->ring->head, 0);
		require_equal(l.rx->ring->cur, 0);
		require_result(nmx_rx_sync(l.rx), 2);
		support_expect(l.rx, 0, 2, LEN);
		l.tx->ring->head = l.tx->ring->head + bad[i].head;
		l.tx->ring->cur = l.tx->ring->cur + bad[i].cur - 1000000;
		require_result(nmx_tx_sync(l.tx), NMX_ERR_RESET);
		require(nmx_tx_sync(l.tx) >= 2);
		support_send(l.tx, 2, 2, LEN);
		support_expect(l.rx, 2, 2, LEN);
		require(nmx_tx_sync(l.tx) >= 0);
		l.tx->ring->cur = l.tx->ring->head; /* head beyond cur */
		l.tx->ring->head = (l.tx->ring->head + 1) % 5;
		require_result(nmx_tx_sync(l.tx), NMX_ERR_RESET);
		require(nmx_tx_sync(l.tx) > 0);
		resets = support_stats(l.tx_port).resets + (l.tx_port == l.rx_port ? 0 : support_stats(l.rx_port).resets);
		require_equal(resets, 3);
		support_unlink(&l);
	}
}

static void a_tail_that_was_overwritten_is_repaired_silently(void **state)
{
	static const uint32_t bad[] = { 0, 1, 4, 5, 99999, UINT32_MAX };

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct link l = support_link(*state, 5, NULL);

		l.tx->ring->tail = bad[i];
		require_result(nmx_tx_sync(l.tx), 4);
		require_equal(l.tx->ring->tail, 4);
		support_send(l.tx, 0, 3, LEN);
		require_result(nmx_rx_sync(l.rx), 3);
		l.rx->ring->tail = bad[i];
		require_result(nmx_rx_sync(l.rx), 3);
		require_equal(l.rx->ring->tail, 3);
		support_expect(l.rx, 0, 3, LEN);
		require_equal(support_stats(l.tx_port).resets, 0);
		support_unlink(&l);
	}
}

static void a_bad_buffer_index_is_refused_where_it_was_written(void **state)
{
	static const uint32_t bad[] = { 0, 1, 1u << 24, UINT32_MAX };

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct link l = support_link(*state, 4, NULL);
		uint32_t *index = &l.tx->ring->slot[0].buf_idx, good = *index;

		require_result(nmx_tx_send(l.tx, "a", 1), 0);
		*index = bad[i];
		require_result(nmx_tx_sync(l.tx), NMX_ERR_RESET);
		*index = good;
		support_send(l.tx, 0, 3, LEN);
		support_expect(l.rx, 0, 3, LEN);
		index = &l.rx->ring->slot[0].buf_idx;
		good = *index;
		*index = bad[i];
		/* Noticed when the slot would be given to the other end, again and again until it is put right. */
		for (uint64_t lap = 0; lap < 4; lap++) {
			int n = nmx_rx_sync(l.rx);

			require(n == 0 || n == NMX_ERR_RESET);
			require(nmx_tx_sync(l.tx) > 0);
			support_send(l.tx, 3 + lap, 1, LEN);
			n = nmx_rx_sync(l.rx);
			if (n == NMX_ERR_RESET) {
				require_result(nmx_rx_sync(l.rx), NMX_ERR_RESET);
				*index = good;
				index = &good;
				n = nmx_rx_sync(l.rx);
			}
			require_result(n, 1);
			support_expect(l.rx, 3 + lap, 1, LEN);
		}
		require(index == &good);
		support_unlink(&l);
	}
}

static void lengths_that_a_program_made_up_are_dropped_and_counted(void **state)
{
	struct link l = support_link(*state, 8, NULL);
	static const uint16_t lens[] = { 0, 2049, 65535, LEN };

	for (uint32_t i = 0; i < 4; i++) {
		support_write(buffer_of(l.tx->ring, i), LEN, i);
		l.tx->ring->slot[i].len = lens[i];
		l.tx->ring->slot[i].flags = 0;
	}
	l.tx->ring->head = l.tx->ring->cur = 4;
	require(nmx_tx_sync(l.tx) >= 0);
	require_result(nmx_rx_sync(l.rx), 1);
	support_expect(l.rx, 3, 1, LEN);
	require_equal(support_stats(l.rx_port).drop_too_short, 1);
	require_equal(support_stats(l.rx_port).drop_invalid, 2);
	support_unlink(&l);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER_EACH_BACKEND(a_program_that_moves_the_cursors_itself_works),
		OVER_EACH_BACKEND(a_program_that_exchanges_buffers_itself_works),
#ifndef NMX_CHECKED
		OVER_EACH_BACKEND(bad_cursors_reset_the_ring_once_and_it_goes_on),
		OVER_EACH_BACKEND(a_tail_that_was_overwritten_is_repaired_silently),
		OVER_EACH_BACKEND(a_bad_buffer_index_is_refused_where_it_was_written),
		OVER_EACH_BACKEND(lengths_that_a_program_made_up_are_dropped_and_counted),
#endif
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
