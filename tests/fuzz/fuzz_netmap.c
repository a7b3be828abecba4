/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The netmap device answers nonsense: a port is opened on the stand-in of tests/netmap, whose answers and memory are written
 * over as the input says, when it is opened; and between syncs what is the kernel's of the rings then.  Whatever comes, there
 * are errors and no crash, and what the program is shown lies in the region.
 *
 * Input: 1 byte of options, then writes of 6 bytes: when (low 4 bits) and where, an offset, a value.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../netmap/standin.h"
#include "backend/netmap.h"
#include "base/poison.h"
#include "support.h"

enum { STEPS = 12, WRITE = 6 };

static struct {
	const uint8_t *at;
	size_t writes;
	struct memory *memory;
	size_t if_ofs;
} input;

/* What the kernel could only do by mistake: for the stand-in has to go on with its own idea of the rings. */
static uint64_t value_of(const uint8_t *w)
{
	static const uint64_t values[] = { 0, 1, 2, 15, 16, 17, 255, 2047, 2048, 65535, 1 << 20, UINT32_MAX, INT32_MAX, (uint64_t)1 << 40, UINT64_MAX, (uint64_t)INT64_MIN };

	return w[5] < 128 ? values[w[5] % 16] : (uint64_t)w[4] << (w[5] % 57);
}

static void write_at(uint8_t *base, size_t bytes, const uint8_t *w)
{
	uint64_t value = value_of(w);
	size_t width = w[1] & 1 ? 8 : w[1] & 2 ? 2 : 4, ofs = ((size_t)w[2] << 8 | w[3]) % bytes;

	ofs = ofs / width * width;
	if (ofs + width <= bytes)
		memcpy(base + ofs, &value, width);
}

static void at_open(struct nmx__nm_register *reg)
{
	for (size_t i = 0; i < input.writes; i++) {
		const uint8_t *w = input.at + i * WRITE;

		if ((w[0] & 15) != 0)
			continue;
		if (w[0] & 16)
			write_at((uint8_t *)reg, sizeof(*reg), w);
		else if (w[0] & 32)
			write_at(input.memory->start + input.if_ofs, 256, w);
		else /* the first rings' headers and slots */
			write_at(input.memory->start + 8192, 2 * input.memory->ring_size, w);
	}
}

/* The kernel writes tail, puts cursors right, and writes slots that are not the program's. */
static void between_syncs(unsigned step, struct netmap_ring *ring, uint32_t num_slots)
{
	uint32_t head = ring->head, tail = ring->tail;

	for (size_t i = 0; i < input.writes; i++) {
		const uint8_t *w = input.at + i * WRITE;
		struct netmap_slot *slot = &ring->slot[w[2] % num_slots];
		uint32_t value = (uint32_t)value_of(w);

		if ((w[0] & 15) != step)
			continue;
		switch (w[1] % 6) {
		case 0: ring->tail = value; break;
		case 1: ring->head = value; break;
		case 2: ring->cur = value; break;
		default:
			if (head >= num_slots || tail >= num_slots || nmx__distance(head, w[2] % num_slots, num_slots) < nmx__distance(head, tail, num_slots))
				break;
			*(w[1] % 6 == 3 ? &slot->buf_idx : &(uint32_t){ 0 }) = value;
			slot->len = w[1] % 6 == 4 ? (uint16_t)value : slot->len;
			slot->flags = w[1] % 6 == 5 ? (uint16_t)value : slot->flags;
		}
	}
}

static void spoil(struct nmx__nm_register *reg, struct memory *memory, void *arg)
{
	(void)arg;
	input.memory = memory;
	input.if_ofs = reg->if_ofs;
	at_open(reg);
}

static const struct nmx__nm_region *region; /* the port's */

/* Two slots may have been given one buffer, which is then poisoned with the first: what matters here is where it lies. */
static uint8_t *in_region(uint8_t *data, size_t len)
{
	if (data < region->start || data > region->start + region->bytes || len > (size_t)(region->start + region->bytes - data))
		abort();
	nmx__unpoison(data, len);
	return data;
}

static void use(struct nmx_tx *tx, struct nmx_rx *rx, uint64_t *sum)
{
	struct nmx_batch batch;
	uint8_t *data;

	if (tx && nmx_tx_sync(tx) >= 0 && nmx_tx_reserve(tx, 3, &batch) > 0) {
		while ((data = nmx_batch_packet(&batch, 60)))
			memset(in_region(data, 60), 7, 60);
		nmx_batch_commit(&batch);
		(void)!nmx_tx_sync(tx);
		(void)!nmx_tx_wait(tx, 1, 0);
	}
	if (rx && nmx_rx_sync(rx) > 0)
		nmx_rx_for_each (rx, frame)
			for (uint32_t i = 0; i < frame.len; i++)
				*sum += in_region(frame.data, frame.len)[i];
	if (rx)
		(void)!nmx_rx_wait(rx, 0);
}

static void run(const struct nmx_options *o)
{
	struct nmx_port *port;
	struct nmx_tx *tx = NULL;
	struct nmx_rx *rx = NULL;
	struct nmx_report why;
	uint64_t sum = 0;

	if (nmx_open(&port, "eth0", o, &why) < 0) {
		if (!*why.text)
			abort();
		return;
	}
	region = &((const struct nm_port *)port->state)->region;
	if (nmx_tx_ring(port, 0, &tx) < 0)
		tx = NULL;
	if (nmx_rx_ring(port, 0, &rx) < 0)
		rx = NULL;
	for (unsigned step = 1; step < STEPS; step++) {
		uint8_t data[100] = { 0 };

		standin_arrive(standin_find("eth0"), false, 0, data, sizeof(data), 0);
		if (tx)
			between_syncs(step, tx->ring, tx->num_slots);
		if (rx)
			between_syncs(step, rx->ring, rx->num_slots);
		use(tx, rx, &sum);
	}
	nmx_tx_close(tx);
	nmx_rx_close(rx);
	nmx_close(port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct nmx_options o = { .backend = NMX_NETMAP };

	if (size < 1)
		return 0;
	o.flags = (data[0] & 1 ? NMX_CHAINS : 0u) | (data[0] & 2 ? NMX_EXCLUSIVE : 0u);
	o.extra_bufs = data[0] & 4 ? 3 : 0;
	input.at = data + 1;
	input.writes = (size - 1) / WRITE;
	standin_start();
	standin.spoil = spoil;
	standin.buf_num = 128;
	standin.if_num = 8;
	standin_nic("eth0", 1, 16);
	run(&o);
	standin_stop();
	return 0;
}
