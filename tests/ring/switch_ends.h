/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Ports of a switch with one ring each way, the frames that hosts behind them send, and who gets them. */
#ifndef NMX_TESTS_SWITCH_ENDS_H
#define NMX_TESTS_SWITCH_ENDS_H

#include <string.h>

#include "support.h"

enum { LEN = 60, SLOTS = 8 };
static const struct nmx_options small = { .tx_slots = SLOTS, .rx_slots = SLOTS };

struct end {
	struct nmx_port *port;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
};

static inline struct end open_end(const char *name, const struct nmx_options *options)
{
	struct nmx_port *port = support_open(name, options ? options : &small);

	return (struct end){ port, support_tx(port, 0), support_rx(port, 0) };
}

static inline void close_end(struct end *e)
{
	nmx_tx_close(e->tx);
	nmx_rx_close(e->rx);
	nmx_close(e->port);
}

/* Ports a, b, c ... of vale0. */
static inline void open_ends(struct end *ends, uint32_t n, const struct nmx_options *options)
{
	for (uint32_t i = 0; i < n; i++)
		ends[i] = open_end((char[]){ 'v', 'a', 'l', 'e', '0', ':', (char)('a' + i), 0 }, options);
}

static inline void close_ends(struct end *ends, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		close_end(&ends[i]);
}

/* ---- frames: host h has the address 02:00:00:00:00:h; host 0xff is everybody */

enum { EVERYBODY = 0xff };

static inline void write_frame(uint8_t *data, uint32_t len, uint8_t dst, uint8_t src, uint64_t id)
{
	uint8_t header[14] = { 2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src, 8, 0 };

	memset(data, (int)id, len);
	if (dst == EVERYBODY)
		memset(header, 0xff, 6);
	memcpy(data, header, len < sizeof(header) ? len : sizeof(header));
	if (len >= sizeof(header) + sizeof(id))
		memcpy(data + sizeof(header), &id, sizeof(id));
}

/* Into the ring, not synced.  flags: NS_*. */
static inline void put(struct end *e, uint8_t dst, uint8_t src, uint64_t id, uint32_t len, uint32_t flags)
{
	struct nmx_batch batch;
	uint8_t *data;

	require_equal(nmx_tx_reserve(e->tx, 1, &batch), 1);
	data = nmx_batch_packet(&batch, len);
	require(data != NULL);
	write_frame(data, len, dst, src, id);
	nmx_batch_slot(&batch)->flags |= (uint16_t)flags;
	nmx_batch_commit(&batch);
}

static inline void send(struct end *e, uint8_t dst, uint8_t src, uint64_t id)
{
	put(e, dst, src, id, LEN, 0);
	require(nmx_tx_sync(e->tx) >= 0);
}

static inline uint64_t id_of(const struct nmx_frame *frame)
{
	uint64_t id;

	memcpy(&id, frame->data + 14, sizeof(id));
	return id;
}

static inline void gets(struct end *e, uint64_t id)
{
	struct nmx_frame frame;

	if (nmx_rx_waiting(e->rx) == 0)
		require(nmx_rx_sync(e->rx) > 0);
	require(nmx_rx_recv(e->rx, &frame));
	require_equal(id_of(&frame), id);
}

static inline void gets_nothing(struct end *e)
{
	require_equal(nmx_rx_waiting(e->rx), 0);
	require_result(nmx_rx_sync(e->rx), 0);
}

/* Host h is where port e is. */
static inline void announce(struct end *e, uint8_t host, struct end *others, uint32_t n)
{
	send(e, EVERYBODY, host, 1000);
	for (uint32_t i = 0; i < n; i++)
		if (&others[i] != e)
			gets(&others[i], 1000);
}

#endif
