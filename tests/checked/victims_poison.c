/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Each touches a buffer that is not its own any more; AddressSanitizer stops it at that line. */
#include <stdio.h>
#include <string.h>

#include "victim.h"

static volatile uint8_t sum;

static void read_after_sync(struct ends *e)
{
	struct nmx_frame frame;

	victim_send(e, 1);
	NEED(nmx_rx_sync(e->rx) == 1);
	NEED(nmx_rx_recv(e->rx, &frame));
	sum = frame.data[0];
	NEED(nmx_rx_sync(e->rx) == 0);
	HERE, sum = frame.data[0];
}

static void write_after_tx_sync(struct ends *e)
{
	struct nmx_batch batch;
	uint8_t *data;

	NEED(nmx_tx_reserve(e->tx, 1, &batch) == 1);
	data = nmx_batch_packet(&batch, 60);
	NEED(data);
	data[0] = 1;
	nmx_batch_commit(&batch);
	data[59] = 1; /* still ours */
	NEED(nmx_tx_sync(e->tx) >= 0);
	HERE, data[0] = 2;
}

static void read_after_put(struct ends *e)
{
	struct nmx_buf buf;
	uint8_t *data;

	NEED(nmx_buf_get(e->rx_port, &buf, 1) == 1);
	data = buf.data;
	memset(data, 0, 2048);
	nmx_buf_put(e->rx_port, &buf, 1);
	HERE, sum = data[100];
}

static void write_beyond_the_buffer(struct ends *e)
{
	struct nmx_buf buf;

	NEED(nmx_buf_get(e->rx_port, &buf, 1) == 1);
	HERE, memset(buf.data + 2047, sum, 2);
}

/* What a program may touch is not poisoned: all that is received, spare or reserved, in laps of small rings. */
static void owned_is_fine(struct ends *e)
{
	struct nmx_frame frame;
	struct nmx_buf buf;

	NEED(nmx_buf_get(e->rx_port, &buf, 1) == 1);
	for (int turn = 0; turn < 1000; turn++) {
		victim_send(e, 1 + turn % 3);
		NEED(nmx_rx_sync(e->rx) > 0);
		while (nmx_rx_recv(e->rx, &frame)) {
			memset(frame.data, turn, 2048);
			if (turn % 4 == 0)
				NEED(nmx_frame_take(&frame, &buf) == 0);
			memset(buf.data, turn, 2048);
			if (turn % 4 == 1)
				(void)!nmx_tx_forward(e->tx, &frame); /* or the ring is full */
		}
		NEED(nmx_rx_sync(e->rx) >= 0);
		NEED(nmx_tx_sync(e->tx) >= 0);
		while (nmx_rx_sync(e->rx) > 0)
			while (nmx_rx_recv(e->rx, &frame))
				sum = frame.data[frame.len - 1];
		NEED(nmx_tx_sync(e->tx) > 2);
	}
	nmx_buf_put(e->rx_port, &buf, 1);
}

/* clang-format off */
static const struct victim victims[] = {
	{ "read_after_sync", read_after_sync }, { "write_after_tx_sync", write_after_tx_sync },
	{ "read_after_put", read_after_put }, { "write_beyond_the_buffer", write_beyond_the_buffer },
	{ "owned_is_fine", owned_is_fine }, { NULL, NULL },
};
/* clang-format on */

int main(int argc, char **argv) { return victim_main(argc, argv, victims); }
