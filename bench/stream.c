/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * One process sends packets to another as fast as it can: over an nmx pipe, and over the bare loop.
 *
 * The bare loop is the least that can be done with the same memory: 16-byte descriptors in one shared queue, buffers
 * exchanged through them, one release and one acquire a batch, the other side's index looked at only when needed, no
 * checks, no counters, nothing to recover.
 */
#include <string.h>
#include <sys/mman.h>

#include <nmx/nmx.h>

#include "bench.h"

enum { STRIDE = 2048, MAX_BATCH = 1024 };

/* ---- bare */

struct descriptor {
	uint32_t buffer, len;
	uint64_t reserved;
};

struct bare {
	_Atomic uint32_t tail;
	uint8_t pad0[124];
	_Atomic uint32_t head;
	uint8_t pad1[124];
	struct descriptor queue[4096];
	uint8_t buffers[(4096 + 2 * MAX_BATCH) * STRIDE] __attribute__((__aligned__(4096)));
};

static struct bare *bare;
static uint8_t source[STRIDE];

static void bare_prepare(const struct plan *plan)
{
	if (!bare) {
		bare = mmap(NULL, sizeof(*bare), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (bare == MAP_FAILED)
			die("mmap", "no memory");
	}
	bare->tail = bare->head = 0;
	for (uint32_t i = 0; i < plan->slots; i++)
		bare->queue[i].buffer = i;
}

static void bare_send(const struct plan *plan, struct meeting *m)
{
	uint32_t mine[MAX_BATCH], tail = 0, head = 0, mask = plan->slots - 1;
	uint64_t seed = 0;

	for (uint32_t i = 0; i < plan->batch; i++)
		mine[i] = plan->slots + i;
	meet(m);
	while (!atomic_load_explicit(&m->stop, memory_order_relaxed)) {
		while (plan->slots - (tail - head) < plan->batch) {
			head = atomic_load_explicit(&bare->head, memory_order_acquire);
			if (atomic_load_explicit(&m->stop, memory_order_relaxed))
				return;
		}
		for (uint32_t i = 0; i < plan->batch; i++) {
			struct descriptor *d = &bare->queue[(tail + i) & mask];
			uint8_t *data = bare->buffers + (size_t)mine[i] * STRIDE;
			uint32_t spare = d->buffer;

			if (plan->copy)
				memcpy(data, source, plan->len);
			else if (plan->touch)
				write_payload(data, plan->len, seed++);
			d->buffer = mine[i];
			d->len = plan->len;
			mine[i] = spare;
		}
		tail += plan->batch;
		atomic_store_explicit(&bare->tail, tail, memory_order_release);
	}
}

static void bare_receive(const struct plan *plan, struct meeting *m)
{
	uint32_t mine[MAX_BATCH], tail = 0, head = 0, mask = plan->slots - 1;
	uint64_t count = 0, sum = 0;
	struct window window;

	for (uint32_t i = 0; i < plan->batch; i++)
		mine[i] = plan->slots + plan->batch + i;
	meet(m);
	window = window_open(plan);
	for (uint32_t turn = 0; turn % 256 || !window_over(&window, count, m); turn++) {
		tail = atomic_load_explicit(&bare->tail, memory_order_acquire);
		uint32_t n = tail - head < plan->batch ? tail - head : plan->batch;

		for (uint32_t i = 0; i < n; i++) {
			struct descriptor *d = &bare->queue[(head + i) & mask];
			uint32_t full = d->buffer;

			d->buffer = mine[i];
			mine[i] = full;
			if (plan->touch)
				sum += read_payload(bare->buffers + (size_t)full * STRIDE, d->len);
		}
		head += n;
		atomic_store_explicit(&bare->head, head, memory_order_release);
		count += n;
	}
	m->checksum = sum;
}

/* ---- nmx */

static struct nmx_port *open_end(const struct plan *plan, const char *name)
{
	struct nmx_report why;
	struct nmx_port *port;

	if (nmx_open(&port, name, &(struct nmx_options){ .directory = plan->directory, .tx_slots = plan->slots, .rx_slots = plan->slots }, &why) < 0)
		die("nmx_open", why.text);
	return port;
}

static void check(int err)
{
	if (err < 0 && err != NMX_ERR_PEER_GONE)
		die("nmx", nmx_strerror(err));
}

static void nmx_send(const struct plan *plan, struct meeting *m)
{
	struct nmx_port *port = open_end(plan, "bench{1");
	struct nmx_batch batch;
	struct nmx_tx *tx;
	uint64_t seed = 0;
	uint8_t *data;

	check(nmx_tx_ring(port, 0, &tx));
	meet(m);
	while (!atomic_load_explicit(&m->stop, memory_order_relaxed)) {
		while (nmx_tx_space(tx) < plan->batch) {
			check(nmx_tx_sync(tx));
			if (atomic_load_explicit(&m->stop, memory_order_relaxed))
				goto out;
		}
		check(nmx_tx_reserve(tx, plan->batch, &batch));
		if (plan->copy)
			while ((data = nmx_batch_packet(&batch, plan->len)))
				memcpy(data, source, plan->len);
		else if (plan->touch)
			while ((data = nmx_batch_packet(&batch, plan->len)))
				write_payload(data, plan->len, seed++);
		else
			while (nmx_batch_packet(&batch, plan->len))
				;
		nmx_batch_commit(&batch);
		check(nmx_tx_sync(tx));
	}
out:
	nmx_tx_close(tx);
	nmx_close(port);
}

static void nmx_receive(const struct plan *plan, struct meeting *m)
{
	struct nmx_port *port = open_end(plan, "bench}1");
	uint64_t count = 0, sum = 0;
	struct window window;
	struct nmx_rx *rx;

	check(nmx_rx_ring(port, 0, &rx));
	meet(m);
	window = window_open(plan);
	for (uint32_t turn = 0; turn % 256 || !window_over(&window, count, m); turn++) {
		int n = nmx_rx_sync(rx);

		check(n);
		if (plan->touch)
			nmx_rx_for_each (rx, frame)
				sum += read_payload(frame.data, frame.len);
		else
			nmx_rx_for_each (rx, frame)
				sum += frame.len;
		count += n > 0 ? (uint32_t)n : 0;
	}
	m->checksum = sum;
	nmx_rx_close(rx);
	nmx_close(port);
}

const struct contest bare_stream = { bare_send, bare_receive, bare_prepare };
const struct contest nmx_stream = { nmx_send, nmx_receive, NULL };
