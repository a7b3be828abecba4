/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a switch does with packets, beside what vale(4) says of it: who gets what, what is learnt, what is dropped and where
 * it is counted. */
#include "switch_ends.h"

/* ---- who gets what */

static void what_is_unknown_goes_to_all_others_and_what_is_known_to_one(void **state)
{
	struct end e[4];

	(void)state;
	open_ends(e, 4, NULL);
	send(&e[0], 2, 1, 7); /* nobody knows host 2 */
	for (int i = 1; i < 4; i++)
		gets(&e[i], 7);
	gets_nothing(&e[0]);
	send(&e[1], 1, 2, 8); /* host 1 was learnt */
	gets(&e[0], 8);
	send(&e[0], 2, 1, 9); /* and now host 2 */
	gets(&e[1], 9);
	for (int i = 2; i < 4; i++)
		gets_nothing(&e[i]);
	require_equal(support_stats(e[0].port).tx_packets, 2);
	require_equal(support_stats(e[1].port).rx_packets, 2);
	close_ends(e, 4);
}

static void a_third_port_never_sees_what_is_for_one(void **state)
{
	struct end e[3];

	(void)state;
	open_ends(e, 3, NULL);
	announce(&e[0], 1, e, 3);
	announce(&e[1], 2, e, 3);
	for (uint64_t id = 0; id < 5000; id++) {
		send(&e[0], 2, 1, id);
		gets(&e[1], id);
	}
	gets_nothing(&e[2]);
	require_equal(support_stats(e[2].port).rx_packets, 2);
	close_ends(e, 3);
}

static const uint8_t *data_of_next(struct end *e)
{
	struct nmx_frame frame;

	require(nmx_rx_sync(e->rx) > 0);
	require(nmx_rx_recv(e->rx, &frame));
	return frame.data;
}

static const uint8_t *send_from(struct end *e, uint8_t dst)
{
	struct nmx_batch batch;
	uint8_t *data;

	require_equal(nmx_tx_reserve(e->tx, 1, &batch), 1);
	data = nmx_batch_packet(&batch, LEN);
	require(data != NULL);
	write_frame(data, LEN, dst, 1, 0);
	nmx_batch_commit(&batch);
	require(nmx_tx_sync(e->tx) >= 0);
	return data;
}

static void what_is_for_one_moves_and_what_is_for_all_is_copied(void **state)
{
	const uint8_t *sent, *at[2];
	struct end e[3];

	(void)state;
	open_ends(e, 3, NULL);
	announce(&e[1], 2, e, 3);
	sent = send_from(&e[0], 2);
	require(data_of_next(&e[1]) == sent);
	sent = send_from(&e[0], EVERYBODY);
	for (int i = 0; i < 2; i++)
		at[i] = data_of_next(&e[1 + i]);
	require(at[0] != sent && at[1] != sent && at[0] != at[1]); /* who changes its copy changes nobody else's */
	close_ends(e, 3);
}

static void broadcast_and_multicast_go_to_all_others_and_are_not_learnt(void **state)
{
	struct end e[3];
	uint8_t *data;
	struct nmx_batch batch;

	(void)state;
	open_ends(e, 3, NULL);
	require_equal(nmx_tx_reserve(e[0].tx, 1, &batch), 1);
	data = nmx_batch_packet(&batch, LEN);
	require(data != NULL);
	write_frame(data, LEN, EVERYBODY, 1, 5);
	data[0] = 1, data[6] = 3; /* to a group, and from one, which cannot be */
	nmx_batch_commit(&batch);
	require(nmx_tx_sync(e[0].tx) >= 0);
	gets(&e[1], 5);
	gets(&e[2], 5);
	send(&e[1], 1, 2, 6);
	gets(&e[0], 6);
	gets(&e[2], 6);
	close_ends(e, 3);
}

static void a_frame_never_goes_back_to_its_own_port(void **state)
{
	struct end e[2];

	(void)state;
	open_ends(e, 2, NULL);
	announce(&e[0], 1, e, 2);
	send(&e[0], 1, 3, 4); /* host 1 is here: the others need not see it, and we sent it */
	gets_nothing(&e[0]);
	gets_nothing(&e[1]);
	require_equal(support_stats(e[0].port).drop_no_port, 1);
	close_ends(e, 2);
}

static void a_host_that_moves_is_followed(void **state)
{
	struct end e[3];

	(void)state;
	open_ends(e, 3, NULL);
	announce(&e[0], 1, e, 3);
	announce(&e[1], 9, e, 3);
	send(&e[2], 1, 3, 10);
	gets(&e[0], 10);
	announce(&e[1], 1, e, 3); /* host 1 is at b now */
	send(&e[2], 1, 3, 11);
	gets(&e[1], 11);
	gets_nothing(&e[0]);
	announce(&e[0], 1, e, 3); /* and back, within the same second */
	send(&e[2], 1, 3, 12);
	gets(&e[0], 12);
	close_ends(e, 3);
}

/* More sources than the table has words, from anywhere. */
static void a_table_flooded_with_sources_forwards_all_the_same(void **state)
{
	uint32_t seed = 3, got = 0;
	struct end e[3];

	(void)state;
	open_ends(e, 3, NULL);
	for (uint32_t i = 0; i < 20000; i++) {
		struct nmx_batch batch;
		uint8_t *data;

		require_equal(nmx_tx_reserve(e[2].tx, 1, &batch), 1);
		data = nmx_batch_packet(&batch, LEN);
		require(data != NULL);
		write_frame(data, LEN, EVERYBODY, 0, i);
		for (int at = 7; at < 12; at++)
			data[at] = (uint8_t)support_random(&seed, 256);
		nmx_batch_commit(&batch);
		require(nmx_tx_sync(e[2].tx) >= 0);
		for (int k = 0; k < 2; k++)
			gets(&e[k], i);
		if (i % 100)
			continue;
		send(&e[1], 3, 2, i); /* host 2 says something, so it is known, and what is for it goes to it alone */
		gets(&e[0], i);
		gets(&e[2], i);
		send(&e[0], 2, 1, i);
		gets(&e[1], i);
		got++;
	}
	gets_nothing(&e[2]);
	require_equal(support_stats(e[2].port).tx_packets, 20000);
	require_equal(support_stats(e[2].port).rx_packets, got);
	close_ends(e, 3);
}

static void what_says_so_is_not_learnt(void **state)
{
	struct end e[3];

	(void)state;
	open_ends(e, 3, NULL);
	put(&e[0], EVERYBODY, 1, 20, LEN, NS_NO_LEARN);
	require(nmx_tx_sync(e[0].tx) >= 0);
	gets(&e[1], 20);
	gets(&e[2], 20);
	send(&e[1], 1, 2, 21); /* not known */
	gets(&e[0], 21);
	gets(&e[2], 21);
	close_ends(e, 3);
}

static void a_port_that_is_named_by_its_number_gets_it(void **state)
{
	struct nmx_info info[3];
	struct end e[3];

	(void)state;
	open_ends(e, 3, NULL);
	for (int i = 0; i < 3; i++)
		nmx_port_info(e[i].port, &info[i]);
	announce(&e[1], 2, e, 3);
	put(&e[0], 2, 1, 30, LEN, info[2].switch_port << NS_PORT_SHIFT); /* although host 2 is at b */
	put(&e[0], EVERYBODY, 1, 31, LEN, info[1].switch_port << NS_PORT_SHIFT);
	put(&e[0], 2, 1, 32, LEN, info[0].switch_port << NS_PORT_SHIFT); /* its own */
	put(&e[0], 2, 1, 33, LEN, 200u << NS_PORT_SHIFT);                /* there is none */
	put(&e[0], 2, 1, 34, LEN, 255u << NS_PORT_SHIFT);
	require(nmx_tx_sync(e[0].tx) >= 0);
	gets(&e[2], 30);
	gets(&e[1], 31);
	for (int i = 0; i < 3; i++)
		gets_nothing(&e[i]);
	require_equal(support_stats(e[0].port).drop_no_port, 3);
	require_equal(support_stats(e[0].port).tx_packets, 2);
	close_ends(e, 3);
}

static void data_may_lie_in_the_programs_own_memory(void **state)
{
	uint8_t mine[LEN];
	struct end e[3];

	(void)state;
	open_ends(e, 3, NULL);
	announce(&e[1], 2, e, 3);
	for (uint8_t dst = 2; dst <= 3; dst++) { /* to one, to all */
		struct nmx_batch batch;

		write_frame(mine, LEN, dst, 1, 40u + dst);
		require_equal(nmx_tx_reserve(e[0].tx, 1, &batch), 1);
		require(nmx_batch_packet(&batch, LEN) != NULL);
		nmx_batch_slot(&batch)->flags |= NS_INDIRECT;
		nmx_batch_slot(&batch)->ptr = (uintptr_t)mine;
		nmx_batch_commit(&batch);
		require(nmx_tx_sync(e[0].tx) >= 0);
	}
	gets(&e[1], 42);
	gets(&e[1], 43);
	gets(&e[2], 43);
	put(&e[0], 2, 1, 44, LEN, NS_INDIRECT); /* at no address: nothing */
	e[0].tx->ring->slot[e[0].tx->ring->head ? e[0].tx->ring->head - 1 : SLOTS - 1].ptr = 0;
	require(nmx_tx_sync(e[0].tx) >= 0);
	gets_nothing(&e[1]);
	require_equal(support_stats(e[0].port).drop_too_short, 1);
	close_ends(e, 3);
}

/* ---- lengths and fragments */

static void less_than_a_header_is_dropped_and_counted(void **state)
{
	struct end e[2];

	(void)state;
	open_ends(e, 2, NULL);
	for (uint32_t len = 1; len < 14; len += 4)
		put(&e[0], 2, 1, 1, len, 0);
	put(&e[0], 2, 1, 1, 14, 0);
	require(nmx_tx_sync(e[0].tx) >= 0);
	require_result(nmx_rx_sync(e[1].rx), 1);
	require_equal(support_stats(e[0].port).drop_too_short, 4);
	require_equal(support_stats(e[0].port).tx_packets, 1);
	close_ends(e, 2);
}

static void put_chain(struct end *e, uint8_t dst, uint8_t src, uint64_t id, uint32_t frags, uint32_t len)
{
	struct nmx_batch batch;
	uint8_t *data;

	require_equal(nmx_tx_reserve(e->tx, frags, &batch), (int)frags);
	for (uint32_t i = 0; i < frags; i++) {
		data = i + 1 < frags ? nmx_batch_fragment(&batch, len) : nmx_batch_packet(&batch, len);
		require(data != NULL);
		write_frame(data, len, dst, src, id + i);
	}
	nmx_batch_commit(&batch);
}

static void packets_of_several_fragments_stay_whole(void **state)
{
	const struct nmx_options chains = { .tx_slots = SLOTS, .rx_slots = SLOTS, .flags = NMX_CHAINS };
	struct end e[3];

	(void)state;
	open_ends(e, 3, &chains);
	announce(&e[1], 2, e, 3);
	for (uint8_t dst = 2; dst <= 3; dst++) { /* to one, to all */
		struct nmx_frame frame;

		put_chain(&e[0], dst, 1, 50, 3, 100);
		require(nmx_tx_sync(e[0].tx) >= 0);
		require_result(nmx_rx_sync(e[1].rx), 3);
		for (uint32_t i = 0; i < 3; i++) {
			require(nmx_rx_recv(e[1].rx, &frame));
			require_equal(id_of(&frame), 50 + i);
			require_equal(frame.flags, i < 2 ? NMX_MORE : 0);
			require_equal(frame.len, 100);
		}
	}
	require_equal(support_stats(e[0].port).tx_packets, 2);
	require_equal(support_stats(e[1].port).rx_packets, 2);
	close_ends(e, 3);
}

/* The header is in the first fragment, or there is none. */
static void a_chain_whose_first_fragment_has_no_header_is_dropped(void **state)
{
	const struct nmx_options chains = { .tx_slots = SLOTS, .rx_slots = SLOTS, .flags = NMX_CHAINS };
	struct end e[2];

	(void)state;
	open_ends(e, 2, &chains);
	put_chain(&e[0], 2, 1, 0, 3, 13);
	put_chain(&e[0], 2, 1, 0, 2, 14);
	require(nmx_tx_sync(e[0].tx) >= 0);
	require_result(nmx_rx_sync(e[1].rx), 2);
	require_equal(support_stats(e[0].port).drop_too_short, 1);
	require_equal(support_stats(e[0].port).tx_packets, 1);
	close_ends(e, 2);
}

static void a_chain_that_cannot_pass_is_counted(void **state)
{
	const struct nmx_options chains = { .tx_slots = SLOTS, .rx_slots = 3, .flags = NMX_CHAINS };
	struct end e[2], plain;

	(void)state;
	open_ends(e, 2, &chains);
	announce(&e[1], 2, e, 2);
	put_chain(&e[0], 2, 1, 60, 3, 100); /* the receiving ring has room for two */
	require(nmx_tx_sync(e[0].tx) >= 0);
	gets_nothing(&e[1]);
	require_equal(support_stats(e[0].port).drop_too_long, 1);
	plain = open_end("vale0:plain", NULL); /* does not want chains */
	announce(&plain, 5, e, 2);
	put_chain(&e[0], 5, 1, 61, 2, 100);
	require(nmx_tx_sync(e[0].tx) >= 0);
	gets_nothing(&plain);
	require_equal(support_stats(plain.port).drop_too_long, 1);
	close_end(&plain);
	close_ends(e, 2);
}

/* ---- order, rings */

static void packets_keep_their_order_when_their_host_becomes_known(void **state)
{
	struct end e[3];

	(void)state;
	open_ends(e, 3, NULL);
	announce(&e[1], 2, e, 3);
	for (uint64_t id = 0; id < 6; id++) /* to one and to all, in turn, in one sync */
		put(&e[0], id % 2 ? 2 : EVERYBODY, 1, id, LEN, 0);
	require(nmx_tx_sync(e[0].tx) >= 0);
	for (uint64_t id = 0; id < 6; id++)
		gets(&e[1], id);
	for (uint64_t id = 0; id < 6; id += 2)
		gets(&e[2], id);
	gets_nothing(&e[2]);
	close_ends(e, 3);
}

static void ring_i_leads_to_ring_i(void **state)
{
	const struct nmx_options four = { .tx_rings = 4, .rx_rings = 4, .tx_slots = SLOTS, .rx_slots = SLOTS };
	const struct nmx_options three = { .tx_rings = 1, .rx_rings = 3, .tx_slots = SLOTS, .rx_slots = SLOTS };
	struct nmx_port *a = support_open("vale1:a", &four), *b = support_open("vale1:b", &three);
	struct nmx_rx *rx[3];

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		rx[i] = support_rx(b, i);
	for (uint32_t i = 0; i < 4; i++) {
		struct end e = { a, support_tx(a, i), NULL }, to = { b, NULL, rx[i % 3] };

		send(&e, 2, 1, 70 + i);
		gets(&to, 70 + i);
		nmx_tx_close(e.tx);
	}
	for (uint32_t i = 0; i < 3; i++)
		nmx_rx_close(rx[i]);
	nmx_close(a);
	nmx_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_unknown_goes_to_all_others_and_what_is_known_to_one),
		cmocka_unit_test(a_third_port_never_sees_what_is_for_one),
		cmocka_unit_test(what_is_for_one_moves_and_what_is_for_all_is_copied),
		cmocka_unit_test(broadcast_and_multicast_go_to_all_others_and_are_not_learnt),
		cmocka_unit_test(a_frame_never_goes_back_to_its_own_port),
		cmocka_unit_test(a_host_that_moves_is_followed),
		cmocka_unit_test(a_table_flooded_with_sources_forwards_all_the_same),
		cmocka_unit_test(what_says_so_is_not_learnt),
		cmocka_unit_test(a_port_that_is_named_by_its_number_gets_it),
		cmocka_unit_test(data_may_lie_in_the_programs_own_memory),
		cmocka_unit_test(less_than_a_header_is_dropped_and_counted),
		cmocka_unit_test(packets_of_several_fragments_stay_whole),
		cmocka_unit_test(a_chain_whose_first_fragment_has_no_header_is_dropped),
		cmocka_unit_test(a_chain_that_cannot_pass_is_counted),
		cmocka_unit_test(packets_keep_their_order_when_their_host_becomes_known),
		cmocka_unit_test(ring_i_leads_to_ring_i),
	};

	return cmocka_run_group_tests_name("switch", tests, support_make_directory, support_remove_directory);
}
