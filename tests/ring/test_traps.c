/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The traps that the library this project follows fell into; each test names the one that it guards. */
#include <string.h>

#include "support.h"

static const uint32_t odd_sizes[] = { 2, 3, 5, 7, 64, 1023 };
enum { NUM_SIZES = sizeof(odd_sizes) / sizeof(odd_sizes[0]) };

/* Trap: receive read the slot at tail, and wrote tail. */
static void receive_reads_from_head_to_tail_and_leaves_tail_alone(void **state)
{
	struct link l = support_link(*state, 8, NULL);
	struct nmx_frame frames[8];
	uint32_t tail;

	support_send(l.tx, 0, 5, 60);
	require_result(nmx_rx_sync(l.rx), 5);
	tail = l.rx->ring->tail;
	for (uint32_t i = 0; i < 2; i++) {
		require(nmx_rx_recv(l.rx, &frames[0]));
		require(frames[0].slot == &l.rx->ring->slot[l.rx->ring->head + i]);
		support_check(frames[0].data, 60, i);
	}
	require_equal(nmx_rx_recv_batch(l.rx, frames, 8), 3);
	require(!nmx_rx_recv(l.rx, &frames[0]));
	require_equal(l.rx->ring->tail, tail);
	require_equal(l.rx->ring->head, 0); /* nothing is given back before the sync */
	support_unlink(&l);
}

/* Trap: head moved past tail, or was not wrapped at num_slots: the kernel reset the ring each lap. */
static void many_laps_of_odd_rings_cause_no_reset(void **state)
{
	for (uint32_t k = 0; k < NUM_SIZES; k++) {
		struct link l = support_link(*state, odd_sizes[k], NULL);
		uint32_t n = odd_sizes[k], batch;

		for (uint64_t sent = 0; sent < 20ull * n; sent += batch) {
			batch = 1 + (uint32_t)(sent % (n - 1));
			require(nmx_tx_sync(l.tx) >= (int)batch);
			support_send(l.tx, sent, batch, 60);
			require(l.tx->ring->head < n && l.tx->ring->cur < n && l.tx->ring->tail < n);
			support_expect(l.rx, sent, batch, 60);
			require(l.rx->ring->head < n && l.rx->ring->cur < n && l.rx->ring->tail < n);
			require(nmx_rx_sync(l.rx) >= 0);
		}
		require_equal(support_stats(l.tx_port).resets + support_stats(l.rx_port).resets, 0);
		support_unlink(&l);
	}
}

/* Traps: free space was (n - 1) - ((head - tail) mod n), wrong in every state; packets available were tail - head
 * without the modulo, four billion after a wrap. */
static void space_and_waiting_are_right_in_all_states_of_small_rings(void **state)
{
	(void)state;
	for (uint32_t n = 2; n <= 9; n++)
		for (uint32_t cur = 0; cur < n; cur++)
			for (uint32_t tail = 0; tail < n; tail++) {
				struct netmap_ring ring = { .num_slots = n, .head = cur, .cur = cur, .tail = tail };
				struct nmx_tx tx = { .ring = &ring, .num_slots = n };
				struct nmx_rx rx = { .ring = &ring, .num_slots = n };
				uint32_t expected = 0;

				for (uint32_t i = cur; i != tail; i = (i + 1) % n)
					expected++;
				require_equal(nmx_tx_space(&tx), expected);
				require_equal(nmx_rx_waiting(&rx), expected);
				require_equal(nmx__next(cur, n), (cur + 1) % n);
			}
}

/* Trap: send never checked for space, and overwrote slots that it did not own. */
static void a_full_ring_would_block_and_loses_nothing(void **state)
{
	for (uint32_t k = 0; k < NUM_SIZES; k++) {
		struct link l = support_link(*state, odd_sizes[k], NULL);
		uint32_t room = nmx_tx_space(l.tx);
		uint64_t id = 0, more = 77;
		struct nmx_batch batch;

		require_equal(room, odd_sizes[k] - 1);
		for (; id < room; id++)
			require_result(nmx_tx_send(l.tx, &id, sizeof(id)), 0);
		require_result(nmx_tx_send(l.tx, &more, sizeof(more)), NMX_ERR_WOULD_BLOCK);
		require_result(nmx_tx_reserve(l.tx, 1, &batch), 0);
		require(nmx_batch_packet(&batch, 60) == NULL);
		nmx_batch_commit(&batch);
		require_result(nmx_tx_send_long(l.tx, &more, sizeof(more)), NMX_ERR_WOULD_BLOCK);
		while (nmx_tx_sync(l.tx) > 0) /* the queue may hold a ring more */
			if (nmx_tx_send(l.tx, &id, sizeof(id)) == 0)
				id++;
		require_result(nmx_tx_send(l.tx, &more, sizeof(more)), NMX_ERR_WOULD_BLOCK);
		support_expect(l.rx, 0, (uint32_t)id, sizeof(id));
		require_result(nmx_rx_sync(l.rx), 0);
		support_unlink(&l);
	}
}

/* Traps: the length was not checked against the buffer, and was cut to 16 bits in silence. */
static void lengths_are_checked_and_not_cut(void **state)
{
	static const uint32_t bad[] = { 0, 2049, 65535, 65536, 65536 + 60, UINT32_MAX };
	struct link l = support_link(*state, 8, NULL);
	static uint8_t data[65536 + 60];
	struct nmx_batch batch;

	require_equal(nmx_tx_max_len(l.tx), 2048);
	for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		require_result(nmx_tx_send(l.tx, data, bad[i]), NMX_ERR_PACKET_TOO_LARGE);
		require_result(nmx_tx_reserve(l.tx, 2, &batch), 2);
		require(nmx_batch_packet(&batch, bad[i]) == NULL);
		require(nmx_batch_fragment(&batch, bad[i]) == NULL);
		nmx_batch_commit(&batch);
	}
	support_send(l.tx, 1, 1, 1);
	support_send(l.tx, 2, 1, 2048);
	support_expect(l.rx, 1, 1, 1);
	support_expect(l.rx, 2, 1, 2048);
	require_result(nmx_rx_sync(l.rx), 0); /* nothing of the refused ones went out */
	support_unlink(&l);
}

/* Trap: a slot never filled went out with its old length. */
static void an_unfilled_slot_is_not_sent(void **state)
{
	struct link l = support_link(*state, 5, NULL);
	struct nmx_batch batch;

	for (uint64_t lap = 0; lap < 10; lap++) { /* so that every slot has an old length */
		require_result(nmx_tx_reserve(l.tx, 3, &batch), 3);
		uint8_t *data = nmx_batch_packet(&batch, 60);

		require(data != NULL);
		support_write(data, 60, lap);
		nmx_batch_commit(&batch);
		require_result(nmx_tx_sync(l.tx), 3);
		support_expect(l.rx, lap, 1, 60);
		require_result(nmx_rx_sync(l.rx), 0);
		require_result(nmx_tx_sync(l.tx), 4);
	}
	support_unlink(&l);
}

/* Trap: two reservations alive at once overlapped. */
static void a_second_reservation_is_refused(void **state)
{
	struct link l = support_link(*state, 8, NULL);
	struct nmx_batch first, second;
	uint8_t *data;

	require_result(nmx_tx_reserve(l.tx, 2, &first), 2);
	require_equal(nmx_tx_space(l.tx), 5); /* what is reserved is not free */
	require_result(nmx_tx_reserve(l.tx, 1, &second), NMX_ERR_BUSY);
	require_result(nmx_tx_send(l.tx, "x", 1), NMX_ERR_BUSY);
	require_result(nmx_tx_send_long(l.tx, "x", 1), NMX_ERR_BUSY);
	data = nmx_batch_packet(&first, 60);
	require(data != NULL);
	support_write(data, 60, 1);
	nmx_batch_commit(&first);
	require_result(nmx_tx_reserve(l.tx, 1, &second), 1);
	nmx_batch_cancel(&second);
	require(nmx_tx_sync(l.tx) > 0);
	support_expect(l.rx, 1, 1, 60);
	support_unlink(&l);
}

/* The same trap by the back door: a batch that is closed, or has no slots, must not publish what others filled. */
static void a_batch_that_is_closed_publishes_nothing(void **state)
{
	struct link l = support_link(*state, 3, NULL);
	struct nmx_batch empty, cancelled;

	support_send(l.tx, 0, 2, 60);
	require_result(nmx_tx_reserve(l.tx, 1, &empty), 0); /* full */
	support_expect(l.rx, 0, 2, 60);
	require_result(nmx_rx_sync(l.rx), 0);
	require_result(nmx_tx_sync(l.tx), 2);
	require_result(nmx_tx_send(l.tx, "a", 1), 0);
#ifndef NMX_CHECKED /* there it traps */
	nmx_batch_commit(&empty); /* must not take the packet back */
#endif
	require_result(nmx_tx_sync(l.tx), 1);
	require_result(nmx_rx_sync(l.rx), 1);
	require_result(nmx_tx_reserve(l.tx, 1, &cancelled), 1);
	require(nmx_batch_packet(&cancelled, 60) != NULL);
	nmx_batch_cancel(&cancelled);
#ifndef NMX_CHECKED
	nmx_batch_commit(&cancelled); /* nothing of it is sent */
#endif
	require(nmx_tx_sync(l.tx) >= 0);
	require_result(nmx_rx_sync(l.rx), 1);
	support_unlink(&l);
}

/* Trap: slot flags were never cleared; stale ones chained packets together. */
static void stale_flags_do_not_chain_packets(void **state)
{
	struct nmx_options o = { .flags = NMX_CHAINS };
	struct link l = support_link(*state, 4, &o);
	struct nmx_frame frame;

	for (uint64_t lap = 0; lap < 8; lap++) {
		for (uint32_t i = l.tx->ring->head; i != l.tx->ring->tail; i = nmx__next(i, 4))
			l.tx->ring->slot[i].flags = 0xffff; /* more, indirect, report, ...: all of them */
		support_send(l.tx, 2 * lap, 2, 60);
		for (uint32_t i = 0; i < 2; i++) {
			require(nmx_rx_waiting(l.rx) > 0 || nmx_rx_sync(l.rx) == 2);
			require(nmx_rx_recv(l.rx, &frame));
			require_equal(frame.flags, 0);
			require_equal(frame.len, 60);
			support_check(frame.data, 60, 2 * lap + i);
		}
		require_result(nmx_rx_sync(l.rx), 0);
		require_result(nmx_tx_sync(l.tx), 3);
	}
	support_unlink(&l);
}

/* Trap: the slot was given back before the caller had read the frame; a later sync reused its memory. */
static void a_frame_outlives_everything_but_the_sync_of_its_ring(void **state)
{
	struct link l = support_link(*state, 3, NULL), other = support_link(&support_loop, 3, NULL);
	struct nmx_frame first, second;

	support_send(l.tx, 1, 2, 60);
	require_result(nmx_rx_sync(l.rx), 2);
	require(nmx_rx_recv(l.rx, &first));
	require(nmx_rx_recv(l.rx, &second));
	require_result(nmx_rx_wait(l.rx, 1000), 1); /* at once: there are frames to be given back */
	require(nmx_tx_sync(l.tx) >= 0);
	for (uint32_t i = 0; i < 4 && nmx_tx_space(l.tx); i++)
		support_send(l.tx, 10 + i, 1, 60); /* goes elsewhere, as long as there is room */
	support_send(other.tx, 5, 1, 60);
	support_expect(other.rx, 5, 1, 60);
	require_result(nmx_rx_sync(other.rx), 0);
	support_check(first.data, 60, 1);
	support_check(second.data, 60, 2);
	support_unlink(&other);
	support_unlink(&l);
}

/* Traps: one ring was handed out twice; all rings of a port were synced through one descriptor. */
static void a_ring_is_checked_out_once_and_has_its_own_descriptor(void **state)
{
	const struct backend_row *row = *state;
	struct nmx_port *port = support_open(row->rx_name, &(struct nmx_options){ .tx_rings = 2, .rx_rings = 2 });
	struct nmx_rx *rx = support_rx(port, 0), *other = support_rx(port, 1), *again = NULL;
	struct nmx_tx *tx = support_tx(port, 0), *tx_again = NULL;

	require_result(nmx_rx_ring(port, 0, &again), NMX_ERR_BUSY);
	require_result(nmx_tx_ring(port, 0, &tx_again), NMX_ERR_BUSY);
	require(again == NULL && tx_again == NULL);
	require(rx != other && rx->ring != other->ring);
	require(nmx_rx_pollfd(rx).fd >= 0 && nmx_rx_pollfd(rx).fd != nmx_rx_pollfd(other).fd);
	require(nmx_rx_pollfd(rx).fd != nmx_tx_pollfd(tx).fd);
	nmx_rx_close(rx);
	rx = support_rx(port, 0);
	nmx_rx_close(rx);
	nmx_rx_close(other);
	nmx_tx_close(tx);
	nmx_close(port);
}

/* Trap: sync threw errors away, and a ring reset could not be seen. */
static void sync_tells_of_a_reset(void **state)
{
	struct link l;

#ifdef NMX_CHECKED
	print_message("skipped: a checked build stops there (tests/checked)\n");
	skip();
#endif
	l = support_link(*state, 4, NULL);
	l.tx->ring->head = l.tx->ring->cur = 4;
	require_result(nmx_tx_sync(l.tx), NMX_ERR_RESET);
	l.rx->ring->cur = 1; /* nothing is waiting */
	require_result(nmx_rx_sync(l.rx), NMX_ERR_RESET);
	require_equal(support_stats(l.tx_port).resets + (l.tx_port == l.rx_port ? 0 : support_stats(l.rx_port).resets), 2);
	support_send(l.tx, 0, 3, 60);
	support_expect(l.rx, 0, 3, 60);
	support_unlink(&l);
}

/* Trap: host rings were indexed as the others; an absent one's offset 0 was taken for a ring. */
static void a_ring_that_is_not_there_is_refused(void **state)
{
	const struct backend_row *row = *state;
	struct nmx_port *port = support_open(row->tx_name, NULL);
	static const uint32_t absent[] = { 1, 2, 65536, UINT32_MAX };
	struct nmx_info info;

	nmx_port_info(port, &info);
	require_equal(info.host_tx_rings + info.host_rx_rings, 0); /* they would be numbered after the others */
	for (uint32_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		struct nmx_rx *rx = NULL;
		struct nmx_tx *tx = NULL;

		require_result(nmx_rx_ring(port, absent[i], &rx), NMX_ERR_INVALID_RING_INDEX);
		require_result(nmx_tx_ring(port, absent[i], &tx), NMX_ERR_INVALID_RING_INDEX);
		require(!rx && !tx);
	}
	nmx_close(port);
	support_open_refused("x{1^", NULL, NMX_ERR_FALLBACK_UNSUPPORTED, "host rings");
	support_open_refused("loop:^", NULL, NMX_ERR_FALLBACK_UNSUPPORTED, "host rings");
}

/* Trap: names were cut to 15 characters. */
static void long_names_are_whole(void **state)
{
	char name[64], twin[64], too_long[65];
	struct nmx_port *a, *b;
	struct nmx_info info;

	(void)state;
	memset(name, 'n', 63);
	memset(too_long, 'n', 64);
	name[61] = too_long[62] = '{';
	name[62] = too_long[63] = '1';
	name[63] = too_long[64] = '\0';
	memcpy(twin, name, sizeof(twin));
	twin[60] = 'm'; /* the same for 60 characters */
	a = support_open(name, NULL);
	b = support_open(twin, NULL);
	nmx_port_info(a, &info);
	require(strcmp(info.name, name) == 0);
	nmx_port_info(b, &info);
	require(strcmp(info.name, twin) == 0);
	nmx_close(a);
	nmx_close(b);
	support_open_refused(too_long, NULL, NMX_ERR_BAD_NAME, "63");
}

/* Trap: ring counts were cut to 16 bits. */
static void counts_are_not_cut(void **state)
{
	const struct backend_row *row = *state;
	static const uint32_t rings[] = { 65, 65536, 65537, UINT32_MAX }, slots[] = { 1, 32769, 65536 + 64, UINT32_MAX };

	for (uint32_t i = 0; i < 4; i++) {
		support_open_refused(row->tx_name, &(struct nmx_options){ .tx_rings = rings[i] }, NMX_ERR_BAD_OPTION, "rings");
		support_open_refused(row->tx_name, &(struct nmx_options){ .rx_rings = rings[i] }, NMX_ERR_BAD_OPTION, "rings");
		support_open_refused(row->tx_name, &(struct nmx_options){ .tx_slots = slots[i] }, NMX_ERR_BAD_OPTION, "slots");
		support_open_refused(row->tx_name, &(struct nmx_options){ .rx_slots = slots[i] }, NMX_ERR_BAD_OPTION, "slots");
	}
}

/* Trap: the helper that parsed the name overwrote the flags; and a mistake in a name is shown with the right spelling. */
static void flags_of_name_and_options_both_count(void **state)
{
	struct nmx_port *port = support_open("x{1/R", &(struct nmx_options){ .flags = NMX_CHAINS });
	struct nmx_info info;

	(void)state;
	nmx_port_info(port, &info);
	require_equal(info.flags & (NMX_CHAINS | NMX_RX_ONLY | NMX_TX_ONLY), NMX_CHAINS | NMX_RX_ONLY);
	require_equal(info.tx_rings, 0);
	require_equal(info.rx_rings, 1);
	nmx_close(port);
	support_open_refused("x{1/R", &(struct nmx_options){ .flags = NMX_TX_ONLY }, NMX_ERR_BAD_OPTION, "x{1");
	support_open_refused("x{1/Q", NULL, NMX_ERR_BAD_NAME, "Q");
	support_open_refused("x{1@conf:slots=64", &(struct nmx_options){ .tx_slots = 63 }, NMX_ERR_BAD_OPTION, "63");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER_EACH_BACKEND(receive_reads_from_head_to_tail_and_leaves_tail_alone),
		OVER_EACH_BACKEND(many_laps_of_odd_rings_cause_no_reset),
		cmocka_unit_test(space_and_waiting_are_right_in_all_states_of_small_rings),
		OVER_EACH_BACKEND(a_full_ring_would_block_and_loses_nothing),
		OVER_EACH_BACKEND(lengths_are_checked_and_not_cut),
		OVER_EACH_BACKEND(an_unfilled_slot_is_not_sent),
		OVER_EACH_BACKEND(a_second_reservation_is_refused),
		OVER_EACH_BACKEND(a_batch_that_is_closed_publishes_nothing),
		OVER_EACH_BACKEND(stale_flags_do_not_chain_packets),
		OVER_EACH_BACKEND(a_frame_outlives_everything_but_the_sync_of_its_ring),
		OVER_EACH_BACKEND(a_ring_is_checked_out_once_and_has_its_own_descriptor),
		OVER_EACH_BACKEND(sync_tells_of_a_reset),
		OVER_EACH_BACKEND(a_ring_that_is_not_there_is_refused),
		cmocka_unit_test(long_names_are_whole),
		OVER_EACH_BACKEND(counts_are_not_cut),
		cmocka_unit_test(flags_of_name_and_options_both_count),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
