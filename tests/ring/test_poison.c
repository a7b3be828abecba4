/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Under AddressSanitizer every buffer that the caller does not own is poisoned, so that a stale use stops at its line;
 * and every one that it owns is not.  Skipped in other builds. */
#include <string.h>

#include "support.h"

int __asan_address_is_poisoned(void const volatile *address) __attribute__((__weak__));

enum { LEN = 60 };

static void need_sanitizer(void)
{
	if (!__asan_address_is_poisoned) {
		print_message("skipped: needs AddressSanitizer: meson setup -Db_sanitize=address,undefined\n");
		skip();
	}
}

static bool poisoned(const uint8_t *data) { return __asan_address_is_poisoned(data); }

static const uint8_t *tx_data(const struct nmx_tx *tx, uint32_t slot)
{
	return tx->bufs + (size_t)tx->ring->slot[slot].buf_idx * tx->buf_size;
}

static const uint8_t *rx_data(const struct nmx_rx *rx, uint32_t slot)
{
	return rx->bufs + (size_t)rx->ring->slot[slot].buf_idx * rx->buf_size;
}

/* [head, tail) is the caller's, the rest is not. */
static void check_tx(const struct nmx_tx *tx)
{
	const struct netmap_ring *r = tx->ring;

	for (uint32_t i = 0; i < tx->num_slots; i++)
		require_equal(poisoned(tx_data(tx, i)),
		              nmx__distance(r->head, i, tx->num_slots) >= nmx__distance(r->head, r->tail, tx->num_slots));
}

static void check_rx(const struct nmx_rx *rx)
{
	const struct netmap_ring *r = rx->ring;

	for (uint32_t i = 0; i < rx->num_slots; i++)
		require_equal(poisoned(rx_data(rx, i)),
		              nmx__distance(r->head, i, rx->num_slots) >= nmx__distance(r->head, r->tail, rx->num_slots));
}

static void only_owned_slots_can_be_touched(void **state)
{
	need_sanitizer();
	for (uint32_t slots = 2; slots <= 6; slots++) {
		struct link l = support_link(*state, slots, NULL);
		uint32_t random = slots;

		for (uint64_t sent = 0, received = 0; received < 200;) {
			uint32_t n = support_random(&random, slots);

			check_tx(l.tx);
			check_rx(l.rx);
			n = n < nmx_tx_space(l.tx) ? n : nmx_tx_space(l.tx);
			support_send(l.tx, sent, n, LEN);
			sent += n;
			check_tx(l.tx);
			require(nmx_rx_sync(l.rx) >= 0);
			check_rx(l.rx);
			n = support_random(&random, nmx_rx_waiting(l.rx) + 1);
			support_expect(l.rx, received, n, LEN);
			received += n;
			check_rx(l.rx); /* received and not given back: still owned */
		}
		support_unlink(&l);
	}
}

static void a_stale_frame_is_poisoned(void **state)
{
	struct link l;
	struct nmx_frame frame;
	const uint8_t *data;

	need_sanitizer();
	l = support_link(*state, 4, NULL);
	support_send(l.tx, 0, 1, LEN);
	require_result(nmx_rx_sync(l.rx), 1);
	require(nmx_rx_recv(l.rx, &frame));
	data = frame.data;
	require(!poisoned(data) && !poisoned(data + 2047));
	require_result(nmx_rx_sync(l.rx), 0);
	require(poisoned(data) && poisoned(data + 2047));
	support_unlink(&l);
}

static void a_frame_of_a_ring_that_was_given_back_is_poisoned(void **state)
{
	struct link l;
	struct nmx_frame frame;
	const uint8_t *data;

	need_sanitizer();
	l = support_link(*state, 4, NULL);
	support_send(l.tx, 0, 2, LEN);
	require_result(nmx_rx_sync(l.rx), 2);
	require(nmx_rx_recv(l.rx, &frame));
	data = frame.data;
	nmx_rx_close(l.rx);
	require(poisoned(data));
	l.rx = support_rx(l.rx_port, 0);
	support_expect(l.rx, 1, 1, LEN); /* the one that was not read still waits, and can be */
	support_unlink(&l);
}

static void a_sent_buffer_is_poisoned(void **state)
{
	struct nmx_batch batch;
	struct link l;
	uint8_t *data;

	need_sanitizer();
	l = support_link(*state, 4, NULL);
	require_result(nmx_tx_reserve(l.tx, 1, &batch), 1);
	data = nmx_batch_packet(&batch, LEN);
	require(data != NULL);
	support_write(data, LEN, 0);
	nmx_batch_commit(&batch);
	require(nmx_tx_sync(l.tx) >= 0);
	require(poisoned(data));
	support_expect(l.rx, 0, 1, LEN); /* the receiver may read it again */
	support_unlink(&l);
}

static void spares_can_be_touched_while_they_are_out(void **state)
{
	struct nmx_buf bufs[2], copy;
	struct link l;

	need_sanitizer();
	l = support_link(*state, 4, &(struct nmx_options){ .extra_bufs = 2 });
	require_equal(nmx_buf_get(l.tx_port, bufs, 2), 2);
	require(!poisoned(bufs[0].data) && !poisoned(bufs[1].data));
	copy = bufs[0];
	nmx_buf_put(l.tx_port, bufs, 1);
	require(poisoned(copy.data) && !poisoned(bufs[1].data));
	bufs[1].len = LEN;
	support_write(bufs[1].data, LEN, 0);
	copy = bufs[1];
	require_result(nmx_tx_put(l.tx, &bufs[1]), 0);
	require(!poisoned(bufs[1].data)); /* the spare that it was exchanged for */
	require(nmx_tx_sync(l.tx) >= 0);
	require(poisoned(copy.data));
	support_unlink(&l);
}

static void taken_frames_outlive_the_sync(void **state)
{
	struct nmx_frame frame;
	struct nmx_buf buf;
	struct link l;

	need_sanitizer();
	l = support_link(*state, 4, &(struct nmx_options){ .extra_bufs = 1 });
	require_equal(nmx_buf_get(l.rx_port, &buf, 1), 1);
	support_send(l.tx, 0, 1, LEN);
	require_result(nmx_rx_sync(l.rx), 1);
	require(nmx_rx_recv(l.rx, &frame));
	require_result(nmx_frame_take(&frame, &buf), 0);
	require_result(nmx_rx_sync(l.rx), 0);
	support_check(buf.data, LEN, 0);
	check_rx(l.rx);
	support_unlink(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER_EACH_BACKEND(only_owned_slots_can_be_touched),
		OVER_EACH_BACKEND(a_stale_frame_is_poisoned),
		OVER_EACH_BACKEND(a_frame_of_a_ring_that_was_given_back_is_poisoned),
		OVER_EACH_BACKEND(a_sent_buffer_is_poisoned),
		OVER_EACH_BACKEND(spares_can_be_touched_while_they_are_out),
		OVER_EACH_BACKEND(taken_frames_outlive_the_sync),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
