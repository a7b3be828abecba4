/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Packets of several slots. */
#include <string.h>

#include "support.h"

enum { LEN = 100 };
static const struct nmx_options chains = { .flags = NMX_CHAINS };

/* One packet of so many fragments, numbered first, first + 1, ..., into the ring. */
static void send_chain(struct nmx_tx *tx, uint64_t first, uint32_t count)
{
	struct nmx_batch batch;

	require_equal(nmx_tx_reserve(tx, count, &batch), count);
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *data = i + 1 < count ? nmx_batch_fragment(&batch, LEN) : nmx_batch_packet(&batch, LEN);

		require(data != NULL);
		support_write(data, LEN, first + i);
	}
	nmx_batch_commit(&batch);
}

static void expect_chain(struct nmx_rx *rx, uint64_t first, uint32_t count)
{
	struct nmx_frame frame;

	for (uint32_t i = 0; i < count; i++) {
		require(nmx_rx_recv(rx, &frame));
		require_equal(frame.flags, i + 1 < count ? NMX_MORE : 0);
		require_equal(frame.len, LEN);
		support_check(frame.data, LEN, first + i);
	}
}

static void chains_of_1_to_64_fragments_pass(void **state)
{
	struct link l = support_link(*state, 80, &chains); /* 64 and 80: they wrap at ever other places */
	uint64_t id = 0;

	for (int lap = 0; lap < 3; lap++)
		for (uint32_t count = 1; count <= NETMAP_MAX_FRAGS; count++) {
			send_chain(l.tx, id, count);
			require(nmx_tx_sync(l.tx) >= 0);
			require_result(nmx_rx_sync(l.rx), (int)count);
			expect_chain(l.rx, id, count);
			require_result(nmx_rx_sync(l.rx), 0);
			require_result(nmx_tx_sync(l.tx), 79);
			id += count;
		}
	require_equal(support_stats(l.rx_port).rx_packets, 3 * NETMAP_MAX_FRAGS);
	require_equal(support_stats(l.rx_port).rx_bytes, id * LEN);
	require_equal(support_stats(l.tx_port).tx_packets, 3 * NETMAP_MAX_FRAGS);
	support_unlink(&l);
}

/* The largest is the ring less one, and never more than 64. */
static void the_largest_chain_fits_and_a_larger_one_is_refused(void **state)
{
	static const uint32_t sizes[] = { 2, 3, 5, 64, 65, 66, 200 };
	static uint8_t data[70 * 2048];

	for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		struct link l = support_link(*state, sizes[k], &chains);
		uint32_t most = sizes[k] - 1 < NETMAP_MAX_FRAGS ? sizes[k] - 1 : NETMAP_MAX_FRAGS;
		struct nmx_batch batch;
		struct nmx_info info;

		nmx_port_info(l.tx_port, &info);
		require_equal(info.max_frags, most);
		for (uint64_t lap = 0; lap < 2 * sizes[k]; lap++) {
			send_chain(l.tx, lap, most);
			require(nmx_tx_sync(l.tx) >= 0);
			require_result(nmx_rx_sync(l.rx), (int)most);
			expect_chain(l.rx, lap, most);
			require_result(nmx_rx_sync(l.rx), 0);
			require_equal(nmx_tx_sync(l.tx), sizes[k] - 1);
		}
		require_equal(nmx_tx_reserve(l.tx, UINT32_MAX, &batch), sizes[k] - 1);
		for (uint32_t i = 0; i + 1 < most; i++)
			require(nmx_batch_fragment(&batch, LEN) != NULL);
		require(nmx_batch_fragment(&batch, LEN) == NULL);
		require(nmx_batch_packet(&batch, LEN) != NULL); /* its end still fits */
		nmx_batch_cancel(&batch);
		require_result(nmx_tx_send_long(l.tx, data, most * 2048 + 1), NMX_ERR_PACKET_TOO_LARGE);
		require_result(nmx_tx_send_long(l.tx, data, UINT32_MAX), NMX_ERR_PACKET_TOO_LARGE);
		require_result(nmx_tx_send_long(l.tx, data, 0), NMX_ERR_PACKET_TOO_LARGE);
		require_result(nmx_tx_send_long(l.tx, data, most * 2048), 0);
		support_unlink(&l);
	}
}

static void a_sync_never_sends_part_of_a_chain(void **state)
{
	struct nmx_options o = { .flags = NMX_CHAINS, .extra_bufs = 3 };
	struct link l = support_link(*state, 8, &o);
	struct nmx_buf bufs[3];

	require_equal(nmx_buf_get(l.tx_port, bufs, 3), 3);
	for (uint32_t i = 0; i < 3; i++) {
		bufs[i].len = LEN;
		bufs[i].flags = i < 2 ? NMX_MORE : 0;
		support_write(bufs[i].data, LEN, i);
		require_result(nmx_tx_put(l.tx, &bufs[i]), 0);
		require(nmx_tx_sync(l.tx) >= 0);
		require_result(nmx_rx_sync(l.rx), i < 2 ? 0 : 3);
	}
	expect_chain(l.rx, 0, 3);
	support_unlink(&l);
}

static void a_chain_that_is_not_ended_stays_out_of_a_commit(void **state)
{
	struct link l = support_link(*state, 8, &chains);
	struct nmx_batch batch;
	uint8_t *data;

	require_result(nmx_tx_reserve(l.tx, 4, &batch), 4);
	data = nmx_batch_packet(&batch, LEN);
	require(data != NULL);
	support_write(data, LEN, 1);
	require(nmx_batch_fragment(&batch, LEN) != NULL);
	require(nmx_batch_fragment(&batch, LEN) != NULL);
	nmx_batch_commit(&batch);
	require(nmx_tx_sync(l.tx) >= 6);
	require_result(nmx_rx_sync(l.rx), 1);
	expect_chain(l.rx, 1, 1);
	support_send(l.tx, 2, 1, LEN);
	require_result(nmx_rx_sync(l.rx), 1);
	expect_chain(l.rx, 2, 1);
	support_unlink(&l);
}

static void an_abandoned_chain_leaves_no_trace(void **state)
{
	struct nmx_options o = { .flags = NMX_CHAINS, .extra_bufs = 8 };
	struct link l = support_link(*state, 5, &o);
	struct nmx_buf bufs[8];
	struct nmx_batch batch;

	require_equal(nmx_buf_get(l.tx_port, bufs, 8), 8);
	for (uint32_t i = 0; i < 8; i++)
		bufs[i].len = LEN, bufs[i].flags = NMX_MORE;
	for (uint32_t i = 0; i < 3; i++)
		require_result(nmx_tx_put(l.tx, &bufs[i]), 0);
	require_result(nmx_tx_put(l.tx, &bufs[3]), NMX_ERR_PACKET_TOO_LARGE); /* the fourth of four must be the end */
	require_equal(bufs[3].len, LEN);
	require_result(nmx_tx_reserve(l.tx, 1, &batch), NMX_ERR_BUSY);
	require_result(nmx_tx_send_long(l.tx, "x", 1), NMX_ERR_BUSY);
	require_equal(nmx_tx_space(l.tx), 1);
	nmx_tx_abandon(l.tx);
	require_equal(nmx_tx_space(l.tx), 4);
	support_send(l.tx, 7, 2, LEN);
	require_result(nmx_rx_sync(l.rx), 2);
	expect_chain(l.rx, 7, 1);
	expect_chain(l.rx, 8, 1);
	support_unlink(&l);
}

static void a_receiver_that_did_not_ask_for_chains_drops_and_counts_them(void **state)
{
	struct link l = support_link(*state, 16, NULL);
	uint64_t dropped = 0;

	for (uint64_t lap = 0; lap < 40; lap++) {
		support_send(l.tx, 2 * lap, 1, LEN);
		send_chain(l.tx, 1000, 2 + (uint32_t)(lap % 4));
		support_send(l.tx, 2 * lap + 1, 1, LEN);
		support_expect(l.rx, 2 * lap, 2, LEN);
		require_result(nmx_rx_sync(l.rx), 0);
		require_result(nmx_tx_sync(l.tx), 15);
		dropped++;
		require_equal(support_stats(l.rx_port).drop_too_long, dropped);
	}
	require_equal(support_stats(l.rx_port).rx_packets, 80);
	support_unlink(&l);
}

static void recv_copy_joins_a_packet_and_refuses_to_cut_it(void **state)
{
	static uint8_t sent[5000], got[5001];
	struct link l = support_link(*state, 7, &chains);

	require_result(nmx_rx_recv_copy(l.rx, got, sizeof(got)), 0); /* nothing is waiting */
	for (uint64_t lap = 0; lap < 20; lap++) {
		support_write(sent, sizeof(sent), lap);
		require_result(nmx_tx_send_long(l.tx, sent, sizeof(sent)), 0);
		support_send(l.tx, 500 + lap, 1, LEN);
		require_result(nmx_rx_sync(l.rx), 4);
		memset(got, 0x55, sizeof(got));
		require_result(nmx_rx_recv_copy(l.rx, got, 4999), NMX_ERR_PACKET_TOO_LARGE);
		require_equal(nmx_rx_waiting(l.rx), 4);
		require_equal(got[0], 0x55);
		require_result(nmx_rx_recv_copy(l.rx, got, 5000), 5000);
		require(memcmp(got, sent, 5000) == 0);
		require_equal(got[5000], 0x55);
		require_result(nmx_rx_recv_copy(l.rx, got, sizeof(got)), LEN);
		support_check(got, LEN, 500 + lap);
		require_result(nmx_rx_sync(l.rx), 0);
		require_result(nmx_tx_sync(l.tx), 6);
	}
	support_unlink(&l);
}

static void forward_keeps_chains_whole(void **state)
{
	struct link from = support_link(*state, 9, &chains), to = support_link(&support_loop, 5, &chains);
	struct nmx_frame frames[8];

	send_chain(from.tx, 0, 3);
	send_chain(from.tx, 10, 2);
	send_chain(from.tx, 20, 1);
	require(nmx_tx_sync(from.tx) >= 0);
	require_result(nmx_rx_sync(from.rx), 6);
	require_equal(nmx_forward(from.rx, to.tx, 2), 0);  /* the first one has three */
	require_equal(nmx_forward(from.rx, to.tx, 99), 3); /* of the next one, only half would fit */
	require_equal(nmx_tx_space(to.tx), 1);
	require_equal(nmx_rx_waiting(from.rx), 3);
	require(nmx_tx_sync(to.tx) >= 0);
	require_result(nmx_rx_sync(to.rx), 3);
	expect_chain(to.rx, 0, 3);
	require_result(nmx_rx_sync(to.rx), 0);
	require_result(nmx_tx_sync(to.tx), 4);
	require_equal(nmx_forward(from.rx, to.tx, 99), 3);
	require(nmx_tx_sync(to.tx) >= 0);
	require_result(nmx_rx_sync(to.rx), 3);
	expect_chain(to.rx, 10, 2);
	expect_chain(to.rx, 20, 1);
	require_equal(nmx_rx_recv_batch(from.rx, frames, 8), 0);
	support_unlink(&from);
	support_unlink(&to);
}

static void forward_drops_and_counts_what_can_never_pass(void **state)
{
	struct link from = support_link(*state, 9, &chains), to = support_link(&support_loop, 3, &chains);

	send_chain(from.tx, 0, 1);
	send_chain(from.tx, 10, 3); /* a ring of three slots takes two */
	send_chain(from.tx, 20, 1);
	require(nmx_tx_sync(from.tx) >= 0);
	require_result(nmx_rx_sync(from.rx), 5);
	require_equal(nmx_forward(from.rx, to.tx, 99), 5);
	require_equal(support_stats(to.tx_port).drop_too_long, 1);
	require(nmx_tx_sync(to.tx) >= 0);
	require_result(nmx_rx_sync(to.rx), 2);
	expect_chain(to.rx, 0, 1);
	expect_chain(to.rx, 20, 1);
	support_unlink(&from);
	support_unlink(&to);
}

static void trim_shortens_the_last_fragment_only(void **state)
{
	struct link l = support_link(*state, 3, &chains);
	struct nmx_batch batch;
	struct nmx_frame frame;

	for (uint64_t lap = 0; lap < 3; lap++) { /* also where the last slot is the ring's last */
		require_result(nmx_tx_reserve(l.tx, 2, &batch), 2);
		require(nmx_batch_fragment(&batch, 50) != NULL);
		require(nmx_batch_packet(&batch, 60) != NULL);
		nmx_batch_trim(&batch, 20);
#ifndef NMX_CHECKED
		nmx_batch_trim(&batch, 21); /* not longer again, and never empty */
		nmx_batch_trim(&batch, 0);
#endif
		nmx_batch_commit(&batch);
		require(nmx_tx_sync(l.tx) >= 0);
		require_result(nmx_rx_sync(l.rx), 2);
		require(nmx_rx_recv(l.rx, &frame));
		require_equal(frame.len, 50);
		require(nmx_rx_recv(l.rx, &frame));
		require_equal(frame.len, 20);
		require_result(nmx_rx_sync(l.rx), 0);
		require_result(nmx_tx_sync(l.tx), 2);
	}
	support_unlink(&l);
}

static void slots_of_a_chain_begun_are_no_room_to_wait_for(void **state)
{
	struct nmx_options o = { .flags = NMX_CHAINS, .extra_bufs = 1 };
	struct link l = support_link(*state, 4, &o);
	struct nmx_buf buf;

	require_equal(nmx_buf_get(l.tx_port, &buf, 1), 1);
	support_send(l.tx, 0, 2, 60);
	buf.len = 60;
	buf.flags = NMX_MORE;
	require_result(nmx_tx_put(l.tx, &buf), 0);
	require_result(nmx_tx_sync(l.tx), 0);
	require_result(nmx_tx_wait(l.tx, 1, 20), 0);
	support_expect(l.rx, 0, 2, 60);
	require_result(nmx_rx_sync(l.rx), 0);
	require_result(nmx_tx_wait(l.tx, 99, 20000), 1); /* all that there can be */
	require_result(nmx_tx_sync(l.tx), 2);
	nmx_buf_put(l.tx_port, &buf, 1);
	support_unlink(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER_EACH_BACKEND(chains_of_1_to_64_fragments_pass),
		OVER_EACH_BACKEND(the_largest_chain_fits_and_a_larger_one_is_refused),
		OVER_EACH_BACKEND(a_sync_never_sends_part_of_a_chain),
		OVER_EACH_BACKEND(a_chain_that_is_not_ended_stays_out_of_a_commit),
		OVER_EACH_BACKEND(an_abandoned_chain_leaves_no_trace),
		OVER_EACH_BACKEND(a_receiver_that_did_not_ask_for_chains_drops_and_counts_them),
		OVER_EACH_BACKEND(recv_copy_joins_a_packet_and_refuses_to_cut_it),
		OVER_EACH_BACKEND(forward_keeps_chains_whole),
		OVER_EACH_BACKEND(forward_drops_and_counts_what_can_never_pass),
		OVER_EACH_BACKEND(trim_shortens_the_last_fragment_only),
		OVER_EACH_BACKEND(slots_of_a_chain_begun_are_no_room_to_wait_for),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
