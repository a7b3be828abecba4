/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Copies: what goes to several ports arrives at each whole, and in its place among what is for that port alone. */
#include <string.h>

#include "support.h"

enum { PORTS = 4, TX_SLOTS = 32, RX_SLOTS = 40, BUF_LEN = 2048, HEADER = 14, ID_END = HEADER + 8, EVERYBODY = 0xff };
static const struct nmx_options options = { .tx_slots = TX_SLOTS, .rx_slots = RX_SLOTS, .flags = NMX_CHAINS };

struct ends {
	struct nmx_port *port[PORTS];
	struct nmx_tx *tx;
	struct nmx_rx *rx[PORTS];
	uint64_t sent, next[PORTS], expected[PORTS], got[PORTS]; /* ids; the next that may come; packets */
	uint8_t own_data[TX_SLOTS][BUF_LEN];                     /* of NS_INDIRECT */
	uint32_t seed;
};

/* Of the port `index`: the host 02:00:00:00:00:index. */
static void write_frame(uint8_t *data, uint32_t len, uint32_t dst, uint32_t src, uint64_t id)
{
	const uint8_t header[HEADER] = { 2, 0, 0, 0, 0, (uint8_t)dst, 2, 0, 0, 0, 0, (uint8_t)src, 8, 0 };

	memset(data, (int)(id * 37 + len), len);
	memcpy(data, header, HEADER);
	if (dst == EVERYBODY)
		memset(data, 0xff, 6);
	memcpy(data + HEADER, &id, sizeof(id));
}

static void open_all(struct ends *e)
{
	uint8_t hello[60];

	memset(e, 0, sizeof(*e));
	e->seed = 11;
	for (uint32_t i = 0; i < PORTS; i++) {
		e->port[i] = support_open((char[]){ 'v', 'a', 'l', 'e', '0', ':', (char)('a' + i), 0 }, &options);
		e->rx[i] = support_rx(e->port[i], 0);
	}
	for (uint32_t i = 1; i < PORTS; i++) {
		NMX_AUTO(tx) tx = support_tx(e->port[i], 0);

		write_frame(hello, sizeof(hello), EVERYBODY, i, 0);
		require_result(nmx_tx_send(tx, hello, sizeof(hello)), 0);
		require(nmx_tx_sync(tx) >= 0);
	}
	for (uint32_t i = 0; i < PORTS; i++) {
		require(nmx_rx_sync(e->rx[i]) > 0);
		nmx_rx_for_each (e->rx[i], frame)
			require_equal(frame.len, sizeof(hello));
		require_result(nmx_rx_sync(e->rx[i]), 0);
	}
	e->tx = support_tx(e->port[0], 0);
}

static void close_all(struct ends *e)
{
	nmx_tx_close(e->tx);
	for (uint32_t i = 0; i < PORTS; i++) {
		nmx_rx_close(e->rx[i]);
		nmx_close(e->port[i]);
	}
}

/* About the lengths where a copy could go wrong: ends of cache lines and of buffers. */
static uint32_t random_len(struct ends *e)
{
	static const uint32_t lens[] = { ID_END, 60, 63, 64, 65, 127, 128, 129, 1500, BUF_LEN - 1, BUF_LEN };
	uint32_t i = support_random(&e->seed, 16);

	return i < sizeof(lens) / sizeof(lens[0]) ? lens[i] : ID_END + support_random(&e->seed, BUF_LEN - ID_END + 1);
}

/* Into the ring, not synced: a packet of so many slots.  Every slot says whose it is, and how much of the packet is left. */
static void put(struct ends *e, uint32_t dst, uint32_t frags, bool indirect)
{
	struct nmx_batch batch = { 0 };

	require_equal(nmx_tx_reserve(e->tx, frags, &batch), (int)frags);
	for (uint32_t i = 0; i < frags; i++) {
		uint32_t len = random_len(e);
		uint8_t *data = i + 1 < frags ? nmx_batch_fragment(&batch, len) : nmx_batch_packet(&batch, len);

		require(data != NULL);
		if (indirect) {
			struct netmap_slot *slot = nmx_batch_slot(&batch);

			data = e->own_data[slot - e->tx->ring->slot];
			slot->flags |= NS_INDIRECT;
			slot->ptr = (uintptr_t)data;
		}
		write_frame(data, len, dst, PORTS, e->sent << 8 | (frags - 1 - i));
	}
	nmx_batch_commit(&batch);
	for (uint32_t i = 1; i < PORTS; i++)
		e->expected[i] += dst == i || dst == EVERYBODY;
	e->sent++;
}

static void put_some(struct ends *e)
{
	for (uint32_t left = support_random(&e->seed, TX_SLOTS); left > 0;) {
		uint32_t dst = support_random(&e->seed, 2 * PORTS), frags = support_random(&e->seed, 8) ? 1 : 1 + support_random(&e->seed, 3);

		frags = frags < left ? frags : left;
		put(e, dst > 0 && dst < PORTS ? dst : EVERYBODY, frags, support_random(&e->seed, 8) == 0);
		left -= frags;
	}
	require_result(nmx_tx_sync(e->tx), TX_SLOTS - 1);
}

/* All that is there: packets are whole, and in order. */
static void take(struct ends *e, uint32_t i)
{
	uint32_t left = 0;

	require(nmx_rx_sync(e->rx[i]) >= 0);
	nmx_rx_for_each (e->rx[i], frame) {
		uint64_t id;

		require(frame.len >= ID_END);
		memcpy(&id, frame.data + HEADER, sizeof(id));
		if (left)
			require_equal(id, e->next[i] << 8 | (left - 1));
		else
			require(id >> 8 >= e->next[i] && id >> 8 < e->sent);
		for (uint32_t at = ID_END; at < frame.len; at++)
			require_equal(frame.data[at], (uint8_t)(id * 37 + frame.len));
		e->next[i] = id >> 8;
		left = id & 0xff;
		require_equal(!left, !(frame.flags & NMX_MORE));
		e->next[i] += !left;
		e->got[i] += !left;
	}
	require_equal(left, 0);
}

static void each_port_gets_whole_packets_in_their_order(void **state)
{
	static struct ends e;

	(void)state;
	open_all(&e);
	for (uint32_t turn = 0; turn < 500; turn++) {
		put_some(&e);
		for (uint32_t i = 1; i < PORTS; i++)
			take(&e, i);
	}
	for (uint32_t i = 1; i < PORTS; i++)
		require_equal(e.got[i], e.expected[i]);
	require_equal(support_stats(e.port[0]).tx_packets, e.sent);
	require_equal(support_stats(e.port[0]).drop_full, 0);
	close_all(&e);
}

/* The last port too, which gets the sender's buffers. */
static void a_port_without_room_misses_what_it_has_no_room_for_and_no_other_does(void **state)
{
	static struct ends e;
	uint64_t missed = 0;

	(void)state;
	for (uint32_t slow = 1; slow < PORTS; slow++) {
		open_all(&e);
		for (uint32_t turn = 0; turn < 200; turn++) {
			put_some(&e);
			for (uint32_t i = 1; i < PORTS; i++)
				if (i != slow || turn % 4 == 3)
					take(&e, i);
		}
		take(&e, slow);
		for (uint32_t i = 1; i < PORTS; i++)
			require_equal(e.got[i] + support_stats(e.port[i]).drop_no_buffer, e.expected[i]);
		missed = support_stats(e.port[slow]).drop_no_buffer;
		require(missed > 0);
		require_equal(support_stats(e.port[0]).drop_full, missed);
		close_all(&e);
	}
}

/* Its last slot says that there is more, and there is none: whatever comes next is another packet. */
static void a_packet_that_lacks_its_end_ends_with_the_batch(void **state)
{
	static const uint32_t to[] = { 1, EVERYBODY };
	static struct ends e;

	(void)state;
	open_all(&e);
	for (uint32_t i = 0; i < 2; i++)
		for (uint32_t turn = 0; turn < 2; turn++) {
			put(&e, to[i], 1, false);
			e.tx->ring->slot[(e.tx->ring->head + TX_SLOTS - 1) % TX_SLOTS].flags |= NS_MOREFRAG;
			require_result(nmx_tx_sync(e.tx), TX_SLOTS - 1);
		}
	for (uint32_t i = 1; i < PORTS; i++) {
		take(&e, i);
		require_equal(e.got[i], e.expected[i]);
	}
	close_all(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_port_gets_whole_packets_in_their_order),
		cmocka_unit_test(a_port_without_room_misses_what_it_has_no_room_for_and_no_other_does),
		cmocka_unit_test(a_packet_that_lacks_its_end_ends_with_the_batch),
	};

	return cmocka_run_group_tests_name("switch_floods", tests, support_make_directory, support_remove_directory);
}
