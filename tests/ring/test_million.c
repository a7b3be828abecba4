/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A million packets round rings of awkward sizes, in batches of changing sizes: order, contents, and no buffer in two
 * places. */
#include <string.h>

#include "world.h"

enum { PACKETS = 1000000, LOOK_EVERY = 10007 };

static const uint32_t sizes[] = { 2, 3, 5, 64, 1023 };

static uint32_t len_of(uint64_t id) { return 16 + (uint32_t)(id % 49); }

/* Numbers at both ends: a packet cut off, or made of two, shows. */
static void fill(uint8_t *data, uint64_t id)
{
	uint64_t last = ~id;

	memcpy(data, &id, sizeof(id));
	memcpy(data + len_of(id) - sizeof(last), &last, sizeof(last));
}

static void check(const struct nmx_frame *frame, uint64_t id)
{
	uint64_t first, last;

	require_equal(frame->len, len_of(id));
	memcpy(&first, frame->data, sizeof(first));
	memcpy(&last, frame->data + frame->len - sizeof(last), sizeof(last));
	require_equal(first, id);
	require_equal(last, ~id);
}

static uint64_t send_some(struct nmx_tx *tx, uint64_t id, uint32_t want)
{
	struct nmx_batch batch;
	uint8_t *data;
	int got;

	want = id + want > PACKETS ? (uint32_t)(PACKETS - id) : want;
	got = nmx_tx_reserve(tx, want, &batch);
	require(got >= 0);
	while ((data = nmx_batch_packet(&batch, len_of(id))))
		fill(data, id++);
	nmx_batch_commit(&batch);
	require(nmx_tx_sync(tx) >= 0);
	return id;
}

static uint64_t receive_some(struct nmx_rx *rx, uint64_t id, uint32_t most)
{
	int n = nmx_rx_sync(rx);

	if (n < 0)
		support_fail(__FILE__, __LINE__, "after %llu packets: %s", (unsigned long long)id, nmx_error_name(n));
	nmx_rx_for_each (rx, frame) {
		if (most-- == 0)
			break;
		check(&frame, id++);
	}
	return id;
}

static void look_for_doubled_buffers(const struct nmx__qend *tx, const struct nmx__qend *rx)
{
	static uint8_t seen[65536];
	uint32_t full = tx->queue->tail - tx->queue->head, index;

	require(tx->num_bufs <= sizeof(seen));
	memset(seen, 0, tx->num_bufs);
	for (uint32_t i = 0; i < tx->num_slots; i++) {
		require_equal(seen[tx->ring->slot[i].buf_idx]++, 0);
		require_equal(seen[rx->ring->slot[i].buf_idx]++, 0);
	}
	for (uint32_t i = 0; i < tx->capacity; i++) {
		const struct nmx__entry *entry = &tx->queue->entry[(tx->queue->head + i) & (tx->capacity - 1)];

		index = i < full ? (uint32_t)entry->full : entry->empty;
		require_equal(seen[index]++, 0);
	}
}

static void a_million_packets_keep_order_and_contents(void **state)
{
	for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		struct link l = support_link(*state, sizes[k], NULL);
		uint32_t random = sizes[k], rounds = 0;
		uint64_t sent = 0, received = 0;

		while (received < PACKETS) {
			sent = send_some(l.tx, sent, 1 + support_random(&random, sizes[k]));
			received = receive_some(l.rx, received, 1 + support_random(&random, sizes[k]));
			if (rounds++ % LOOK_EVERY == 0)
				look_for_doubled_buffers(&((struct world_ring *)l.tx)->end, &((struct world_ring *)l.rx)->end);
		}
		require_equal(sent, PACKETS);
		require_equal(support_stats(l.tx_port).tx_packets, PACKETS);
		require_equal(support_stats(l.rx_port).rx_packets, PACKETS);
		require_equal(support_stats(l.rx_port).rx_bytes, support_stats(l.tx_port).tx_bytes);
		support_unlink(&l);
	}
}

static void send_a_million(void *arg)
{
	struct nmx_port *port = support_open("far{1", &(struct nmx_options){ .tx_slots = *(uint32_t *)arg });
	struct nmx_tx *tx = support_tx(port, 0);
	uint32_t random = 1;

	for (uint64_t sent = 0; sent < PACKETS;) {
		if (nmx_tx_space(tx) == 0 && nmx_tx_sync(tx) == 0)
			require(nmx_tx_wait(tx, 1 + support_random(&random, 4), 10000) == 1);
		sent = send_some(tx, sent, 1 + support_random(&random, 300));
	}
	nmx_tx_close(tx);
	nmx_close(port);
}

static void a_million_packets_from_another_process(void **state)
{
	uint32_t slots = 255;
	struct nmx_port *port = support_open("far}1", &(struct nmx_options){ .rx_slots = slots });
	struct nmx_rx *rx = support_rx(port, 0);
	pid_t pid = support_fork(send_a_million, &slots);
	uint64_t received = 0;

	(void)state;
	while (received < PACKETS) {
		received = receive_some(rx, received, UINT32_MAX);
		if (nmx_rx_waiting(rx) == 0)
			require(nmx_rx_wait(rx, 10000) == 1);
	}
	support_join(pid);
	nmx_rx_close(rx);
	nmx_close(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OVER_EACH_BACKEND(a_million_packets_keep_order_and_contents),
		cmocka_unit_test(a_million_packets_from_another_process),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
