/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Ports of a switch that are full: what is dropped, where it is counted, and what waits. */
#include <nmx/switch.h>

#include "switch_ends.h"

/* ---- full */

static void a_full_destination_drops_what_is_new_and_both_ports_count(void **state)
{
	struct end e[3];

	(void)state;
	open_ends(e, 3, NULL);
	announce(&e[1], 2, e, 3);
	for (uint64_t id = 0; id < 4 * SLOTS; id++)
		send(&e[0], 2, 1, id); /* nobody is held up */
	for (uint64_t id = 0; id < SLOTS; id++)
		gets(&e[1], id);
	gets_nothing(&e[1]);
	require_equal(support_stats(e[0].port).drop_full, 3 * SLOTS);
	require_equal(support_stats(e[1].port).drop_no_buffer, 3 * SLOTS);
	require_equal(support_stats(e[0].port).tx_packets, SLOTS);
	send(&e[0], 2, 1, 99);
	gets(&e[1], 99);
	close_ends(e, 3);
}

static void a_slow_receiver_does_not_stop_the_others(void **state)
{
	struct end e[3];

	(void)state;
	open_ends(e, 3, NULL);
	announce(&e[1], 2, e, 3);
	announce(&e[2], 3, e, 3);
	for (uint64_t id = 0; id < 4 * SLOTS; id++) {
		put(&e[0], 2, 1, id, LEN, 0); /* b does not receive */
		put(&e[0], 3, 1, id, LEN, 0);
		put(&e[0], EVERYBODY, 1, id + 500, LEN, 0);
		require(nmx_tx_sync(e[0].tx) == SLOTS - 1);
		gets(&e[2], id);
		gets(&e[2], id + 500);
	}
	require_equal(support_stats(e[0].port).drop_full, 2 * 4 * SLOTS - SLOTS);
	close_ends(e, 3);
}

/* ---- blocking */

static void a_blocking_port_loses_nothing(void **state)
{
	struct end e[2], a;
	uint64_t sent = 0, got = 0;

	(void)state;
	open_ends(e, 2, NULL);
	a = open_end("vale0:x@block", &small);
	require_equal(nmx_rx_sync(e[0].rx), 0);
	send(&e[1], EVERYBODY, 2, 1000);
	gets(&a, 1000);
	gets(&e[0], 1000);
	for (uint32_t turn = 0, seed = 5; turn < 2000; turn++) {
		uint32_t n = support_random(&seed, SLOTS);

		for (; n > 0 && nmx_tx_space(a.tx) > 0; n--)
			put(&a, 2, 1, sent++, LEN, 0);
		require(nmx_tx_sync(a.tx) >= 0);
		for (n = support_random(&seed, SLOTS); n > 0 && (nmx_rx_waiting(e[1].rx) || nmx_rx_sync(e[1].rx) > 0); n--)
			gets(&e[1], got++);
	}
	while (got < sent) {
		gets(&e[1], got++);
		require(nmx_tx_sync(a.tx) >= 0);
	}
	require_equal(support_stats(a.port).drop_full, 0);
	require_result(nmx_tx_drain(a.tx, 0), 0);
	close_end(&a);
	close_ends(e, 2);
}

static void with_one_other_port_what_is_unknown_is_for_that_alone(void **state)
{
	struct end a = open_end("vale0:x@block", &small), b = open_end("vale0:b", &small), c;

	(void)state;
	for (uint64_t id = 0; id < SLOTS + 3; id++)
		send(&a, 2, 1, id);
	require_equal(nmx_tx_space(a.tx), SLOTS - 1 - 3); /* three wait */
	send(&a, EVERYBODY, 1, 99);                       /* never does */
	require_equal(nmx_tx_space(a.tx), SLOTS - 1 - 4);
	require_equal(support_stats(a.port).drop_full, 1);
	for (uint64_t id = 0; id < SLOTS; id++)
		gets(&b, id);
	require_result(nmx_tx_sync(a.tx), SLOTS - 1);
	for (uint64_t id = SLOTS; id < SLOTS + 3; id++)
		gets(&b, id);
	c = open_end("vale0:c", &small);
	send(&a, 2, 1, 50);
	gets(&b, 50);
	gets(&c, 50);
	close_end(&a);
	close_end(&b);
	close_end(&c);
}

static void only_what_wants_to_a_full_port_waits(void **state)
{
	struct end e[3], a;
	const uint32_t more = 4;

	(void)state;
	open_ends(e, 3, NULL);
	a = open_end("vale0:x@block", &small);
	for (uint32_t i = 1; i < 3; i++) {
		send(&e[i], EVERYBODY, (uint8_t)(i + 1), 1000);
		gets(&a, 1000);
		gets(&e[3 - i], 1000);
		gets(&e[0], 1000);
	}
	for (uint64_t id = 0; id < SLOTS; id++)
		send(&a, 2, 1, id); /* b is full now */
	put(&a, 2, 1, SLOTS, LEN, 0);
	for (uint64_t id = 0; id < more; id++)
		put(&a, 3, 1, id, LEN, 0);
	put(&a, EVERYBODY, 1, 300, LEN, 0);
	require_result(nmx_tx_sync(a.tx), SLOTS - 1 - 6);
	for (uint64_t id = 0; id < more; id++)
		gets(&e[2], id); /* what was behind has gone */
	gets(&e[2], 300);
	gets(&e[0], 300);
	require_equal(support_stats(a.port).drop_full, 1); /* the copy for b: floods do not wait */
	require_result(nmx_tx_wait(a.tx, 0, 0), 1);        /* one slot is free */
	require_result(nmx_tx_wait(a.tx, 4, 0), 0);
	for (uint64_t id = 0; id < SLOTS; id++)
		gets(&e[1], id);
	require_result(nmx_tx_sync(a.tx), SLOTS - 1);
	gets(&e[1], SLOTS);
	gets_nothing(&e[1]);
	gets_nothing(&e[2]); /* and came once */
	close_end(&a);
	close_ends(e, 3);
}

static void what_waits_for_a_port_that_goes_finds_another_way(void **state)
{
	struct end e[2], a;

	(void)state;
	open_ends(e, 2, NULL);
	a = open_end("vale0:x@block", &small);
	send(&e[1], EVERYBODY, 2, 1000);
	gets(&a, 1000);
	gets(&e[0], 1000);
	for (uint64_t id = 0; id < SLOTS + 3; id++)
		send(&a, 2, 1, id);
	require_equal(nmx_tx_space(a.tx), SLOTS - 1 - 3);
	close_end(&e[1]);
	require_result(nmx_tx_wait(a.tx, SLOTS - 1, 0), 1);
	require_result(nmx_tx_sync(a.tx), SLOTS - 1);
	for (uint64_t id = SLOTS; id < SLOTS + 3; id++)
		gets(&e[0], id); /* host 2 is not known any more */
	close_end(&a);
	close_end(&e[0]);
}

static uint32_t gets_all(struct end *e, uint64_t *next)
{
	uint32_t n = 0;

	for (; nmx_rx_waiting(e->rx) || nmx_rx_sync(e->rx) > 0; n++)
		gets(e, (*next)++);
	return n;
}

/* Of those that wait, some go when the ring is closed, some when the port is, and the rest is counted on both sides. */
static void what_waits_at_the_close_is_delivered_or_counted(void **state)
{
	const struct nmx_options long_ring = { .tx_slots = 4 * SLOTS, .rx_slots = SLOTS, .flags = NMX_BLOCKING };
	const struct nmx_switch_options shape = { .tx_slots = 4 * SLOTS, .rx_slots = SLOTS };
	const uint32_t sent = SLOTS + 4 * SLOTS - 1; /* a queue and a ring, full */
	struct end b = open_end("vale0:b", &small), a;
	uint64_t got = 0;

	(void)state;
	require_result(nmx_switch_create("vale0:x", &shape, NULL), 0);
	a = open_end("vale0:x", &long_ring);
	for (uint64_t id = 0; id < sent; id++)
		send(&a, 2, 1, id);
	require_equal(support_stats(a.port).tx_packets, SLOTS);
	require_equal(gets_all(&b, &got), SLOTS);
	nmx_tx_close(a.tx); /* as a sync */
	require_equal(support_stats(a.port).tx_packets, 2 * SLOTS);
	require_equal(gets_all(&b, &got), SLOTS);
	require_equal(support_stats(b.port).drop_no_buffer, 0);
	nmx_rx_close(a.rx);
	nmx_close(a.port);
	require_equal(gets_all(&b, &got), SLOTS);
	require_equal(support_stats(b.port).drop_no_buffer, sent - 3 * SLOTS);
	a = open_end("vale0:x", &(struct nmx_options){ 0 });
	require_equal(support_stats(a.port).drop_full, sent - 3 * SLOTS); /* of who had it before */
	require_equal(support_stats(a.port).tx_packets, 3 * SLOTS);
	close_end(&a);
	close_end(&b);
	require_result(nmx_switch_remove("vale0:x", NULL, NULL), 0);
}

#ifndef NMX_CHECKED /* there these trap */
/* ---- waiting, and mistakes */

/* a, that waits, with three packets that find no room at b. */
static void open_waiting(struct end *a, struct end *b)
{
	*a = open_end("vale0:x@block", &small);
	*b = open_end("vale0:b", &small);
	for (uint64_t id = 0; id < SLOTS + 3; id++)
		send(a, 2, 1, id);
	require_equal(nmx_tx_space(a->tx), SLOTS - 1 - 3);
}

static void a_mistake_with_the_cursors_leaves_what_waits(void **state)
{
	/* Off the ring; back, over all that waits; back, over some of it. */
	const uint32_t wrong[] = { 100, SLOTS, SLOTS + 1 };

	(void)state;
	for (uint32_t i = 0; i < 3; i++) {
		struct end a, b;

		open_waiting(&a, &b);
		put(&a, 2, 1, 500, LEN, 0); /* of a batch that does not count */
		a.tx->ring->head = a.tx->ring->cur = wrong[i] < 100 ? wrong[i] % SLOTS : wrong[i];
		require_result(nmx_tx_sync(a.tx), NMX_ERR_RESET);
		require_equal(nmx_tx_space(a.tx), SLOTS - 1 - 3);
		for (uint64_t id = SLOTS + 3; id < SLOTS + 6; id++)
			send(&a, 2, 1, id);
		for (uint64_t id = 0; id < SLOTS; id++)
			gets(&b, id);
		require_result(nmx_tx_sync(a.tx), SLOTS - 1);
		for (uint64_t id = SLOTS; id < SLOTS + 6; id++)
			gets(&b, id);
		require_result(nmx_tx_sync(a.tx), SLOTS - 1);
		gets_nothing(&b);
		close_end(&a);
		close_end(&b);
	}
}

static void what_waits_outlives_cursors_that_are_wrong_at_the_close(void **state)
{
	struct end a, b;

	(void)state;
	open_waiting(&a, &b);
	for (uint64_t id = 0; id < SLOTS; id++)
		gets(&b, id);
	a.tx->ring->head = a.tx->ring->cur = 100;
	close_end(&a);
	for (uint64_t id = SLOTS; id < SLOTS + 3; id++)
		gets(&b, id);
	close_end(&b);
}

/* Of four packets that wait, the second, of three slots, loses one of them, and then the last.  The ring goes round. */
static void what_was_overwritten_while_it_waited_is_counted_at_the_close(void **state)
{
	const struct nmx_options chains = { .tx_slots = 2 * SLOTS, .rx_slots = 2 * SLOTS, .flags = NMX_BLOCKING | NMX_CHAINS };
	const struct nmx_switch_options shape = { .tx_slots = 2 * SLOTS, .rx_slots = 2 * SLOTS };

	(void)state;
	for (uint32_t round = 0; round < 2 * SLOTS; round++) {
		struct end a, b;
		uint32_t *slot[6];

		require_result(nmx_switch_create("vale0:x", &shape, NULL), 0);
		a = open_end("vale0:x", &chains);
		b = open_end("vale0:b", &chains);
		for (uint64_t id = 0; id < 2 * SLOTS + round; id++) {
			send(&a, 2, 1, id);
			if (id < round)
				gets(&b, id);
		}
		for (uint64_t i = 0; i < 6; i++) {
			slot[i] = &a.tx->ring->slot[a.tx->ring->head].buf_idx;
			put(&a, 2, 1, 100 + i, LEN, i == 1 || i == 2 ? NS_MOREFRAG : 0);
		}
		require_equal(nmx_tx_sync(a.tx), 2 * SLOTS - 1 - 6);
		*slot[2] = *slot[5] = 0;
		require_result(nmx_tx_sync(a.tx), NMX_ERR_RESET);
		for (uint64_t id = round; id < 2 * SLOTS + round; id++)
			gets(&b, id);
		require_result(nmx_rx_sync(b.rx), 0);
		close_end(&a);
		gets(&b, 100);
		gets(&b, 104);
		gets_nothing(&b);
		close_end(&b);
		a = open_end("vale0:x", &chains);
		require_equal(support_stats(a.port).drop_invalid, 2);
		require_equal(support_stats(a.port).drop_full, 0);
		close_end(&a);
		require_result(nmx_switch_remove("vale0:x", NULL, NULL), 0);
	}
}

/* The packet that waits gets a second slot: one whose own packet has gone. */
static void a_packet_that_was_made_longer_holds_up_nothing_at_the_close(void **state)
{
	const struct nmx_options blocking = { .tx_slots = 2 * SLOTS, .rx_slots = 2 * SLOTS, .flags = NMX_BLOCKING };
	struct netmap_slot *waits, *gone;
	struct end e[2], a;

	(void)state;
	open_ends(e, 2, NULL);
	a = open_end("vale0:x", &blocking);
	announce(&e[0], 2, e, 2);
	announce(&e[1], 3, e, 2);
	for (uint64_t id = 0; id < SLOTS; id++)
		send(&a, 2, 1, id);
	waits = &a.tx->ring->slot[a.tx->ring->head];
	put(&a, 2, 1, 100, LEN, 0);
	gone = &a.tx->ring->slot[a.tx->ring->head];
	put(&a, 3, 1, 101, LEN, 0);
	send(&a, 2, 1, 102);
	gets(&e[1], 101);
	for (uint64_t id = 0; id < SLOTS; id++)
		gets(&e[0], id);
	require_result(nmx_rx_sync(e[0].rx), 0);
	waits->flags |= NS_MOREFRAG;
	gone->buf_idx = 0;
	close_end(&a);
	gets(&e[0], 102);
	gets_nothing(&e[0]);
	close_ends(e, 2);
}

static void a_port_that_goes_before_a_failed_sync_is_not_waited_for(void **state)
{
	struct end a, b;
	uint32_t lost, *slot;

	(void)state;
	open_waiting(&a, &b);
	close_end(&b);
	put(&a, 3, 1, 0, LEN, 0);
	slot = &a.tx->ring->slot[(a.tx->ring->head + SLOTS - 1) % SLOTS].buf_idx;
	lost = *slot;
	*slot = 0;
	require_result(nmx_tx_sync(a.tx), NMX_ERR_RESET);
	*slot = lost;
	require_result(nmx_tx_wait(a.tx, SLOTS - 1, 0), 1);
	require_result(nmx_tx_sync(a.tx), SLOTS - 1);
	close_end(&a);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_destination_drops_what_is_new_and_both_ports_count),
		cmocka_unit_test(a_slow_receiver_does_not_stop_the_others),
		cmocka_unit_test(a_blocking_port_loses_nothing),
		cmocka_unit_test(with_one_other_port_what_is_unknown_is_for_that_alone),
		cmocka_unit_test(only_what_wants_to_a_full_port_waits),
		cmocka_unit_test(what_waits_for_a_port_that_goes_finds_another_way),
		cmocka_unit_test(what_waits_at_the_close_is_delivered_or_counted),
#ifndef NMX_CHECKED
		cmocka_unit_test(a_mistake_with_the_cursors_leaves_what_waits),
		cmocka_unit_test(what_waits_outlives_cursors_that_are_wrong_at_the_close),
		cmocka_unit_test(what_was_overwritten_while_it_waited_is_counted_at_the_close),
		cmocka_unit_test(a_packet_that_was_made_longer_holds_up_nothing_at_the_close),
		cmocka_unit_test(a_port_that_goes_before_a_failed_sync_is_not_waited_for),
#endif
	};

	return cmocka_run_group_tests_name("switch_full", tests, support_make_directory, support_remove_directory);
}
