/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Where a checked build stops.  In every build of the library, for programs may be checked when it is not. */
#include <stdio.h>
#include <stdlib.h>

#include "base/fork.h"
#include "core/check.h"
#include "core/ring.h"

/* The call of this thread that is under way, or was the last, as a checked program noted it. */
static _Thread_local struct {
	const char *file;
	int line;
} here;

void nmx__at(const char *file, int line)
{
	here.file = file;
	here.line = line;
}

void nmx__trap(const void *handle, uint32_t slot, const char *what, const char *file, int line)
{
	const struct nmx__ring *ring = handle;

	fputs("nmx: ", stderr);
	if (here.file)
		fprintf(stderr, "%s:%d: ", here.file, here.line);
	else if (line)
		fprintf(stderr, "%s:%d: ", file, line);
	if (!line)
		fprintf(stderr, "%s: ", file); /* a function of the library */
	fprintf(stderr, "%s", what);
	if (ring)
		fprintf(stderr, " (%s ring %u of \"%s\", slot %u)", ring->is_tx ? "transmit" : "receive", ring->index,
		        ring->port->info.name, slot);
	else
		fprintf(stderr, " (buffer %u)", slot);
	fputc('\n', stderr);
	abort();
}

void nmx__check_thread(const void *handle, uintptr_t *owner, const char *file, int line)
{
	static _Thread_local char self;
	const struct nmx__ring *ring = handle;
	const struct netmap_ring *shown = ring->is_tx ? ring->handle.tx.ring : ring->handle.rx.ring;
	uintptr_t me = (uintptr_t)&self, before = 0;

	if (nmx__forked(ring->port->fork_generation))
		return; /* a child of any thread is told so, by what it called */
	if (__atomic_compare_exchange_n(owner, &before, me, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED) || before == me)
		return;
	nmx__trap(handle, shown->cur, "the ring is used by two threads, and was not handed over with nmx_rx_unbind() or nmx_tx_unbind()",
	          file, line);
}

#ifdef NMX_CHECKED

/* The slots are copied whole after each sync, and looked at whole before the next: slow, and exact. */
struct nmx__shadow {
	uint32_t head, tail;
	uint64_t turn;
	struct {
		uint64_t turn;
		uint32_t buffer, slot;
	} *seen; /* a hash table of 4 places a slot: which buffers this turn has met */
	struct netmap_slot slots[];
};

static struct netmap_ring *shown(const struct nmx__ring *ring, uint32_t *num_slots)
{
	*num_slots = ring->is_tx ? ring->handle.tx.num_slots : ring->handle.rx.num_slots;
	return ring->is_tx ? ring->handle.tx.ring : ring->handle.rx.ring;
}

static void check_foreign_slots(const struct nmx__ring *ring, const struct netmap_ring *r, uint32_t n, const char *caller)
{
	const struct nmx__shadow *shadow = ring->shadow;

	uint32_t tail = ring->tail_moves ? r->tail : shadow->tail;

	if (r->tail != tail)
		nmx__trap(ring, shadow->tail, "tail was written: it belongs to the backend", caller, 0);
	if (r->head >= n || r->cur >= n || nmx__distance(shadow->head, r->cur, n) > nmx__distance(shadow->head, tail, n) ||
	    nmx__distance(shadow->head, r->head, n) > nmx__distance(shadow->head, r->cur, n))
		nmx__trap(ring, r->cur, "head or cur was moved outside of the owned range", caller, 0);
	for (uint32_t s = shadow->tail; s != shadow->head && !ring->tail_moves; s = nmx__next(s, n))
		if (memcmp(&r->slot[s], &shadow->slots[s], sizeof(r->slot[s])) != 0)
			nmx__trap(ring, s, "a slot outside of the owned range was written", caller, 0);
}

static void check_doubles(const struct nmx__ring *ring, const struct netmap_ring *r, uint32_t n, const char *caller)
{
	struct nmx__shadow *shadow = ring->shadow;

	/* A pipe of netmap shows a buffer in the slots of both its ends until it is given back. */
	uint32_t first = ring->tail_moves ? r->head : 0, count = ring->tail_moves ? nmx__distance(r->head, r->tail, n) : n;

	shadow->turn++;
	for (uint32_t s = first; count > 0; s = nmx__next(s, n), count--) {
		uint32_t buffer = r->slot[s].buf_idx, at = buffer % (4 * n);

		if (!buffer)
			continue; /* of an interface's ring: the kernel has it */
		for (; shadow->seen[at].turn == shadow->turn; at = nmx__next(at, 4 * n))
			if (shadow->seen[at].buffer == buffer)
				nmx__trap(ring, s, "the buffer of this slot is claimed by another slot too", caller, 0);
		shadow->seen[at].turn = shadow->turn;
		shadow->seen[at].buffer = buffer;
		shadow->seen[at].slot = s;
	}
}

void nmx__check_before_sync(struct nmx__ring *ring, const char *caller)
{
	uint32_t n;
	struct netmap_ring *r = shown(ring, &n);

	if (!ring->checked_out)
		nmx__trap(ring, r->cur, "the ring was closed", caller, 0);
	if (!ring->shadow)
		return;
	check_foreign_slots(ring, r, n, caller);
	check_doubles(ring, r, n, caller);
}

void nmx__check_after_sync(struct nmx__ring *ring)
{
	uint32_t n;
	struct netmap_ring *r = shown(ring, &n);

	if (!ring->is_tx && ++ring->handle.rx.turn == 0)
		ring->handle.rx.turn = 1;
	nmx__at(NULL, 0); /* what a plain part of the program does next did not happen there */
	if (!ring->shadow) {
		ring->shadow = calloc(1, sizeof(*ring->shadow) + n * sizeof(struct netmap_slot));
		if (!ring->shadow)
			return;
		ring->shadow->seen = calloc(4u * n, sizeof(*ring->shadow->seen));
		if (!ring->shadow->seen) {
			nmx__check_free(ring);
			return;
		}
	}
	ring->shadow->head = r->head;
	ring->shadow->tail = r->tail;
	memcpy(ring->shadow->slots, r->slot, n * sizeof(struct netmap_slot));
}

void nmx__check_free(struct nmx__ring *ring)
{
	if (ring->shadow)
		free(ring->shadow->seen);
	free(ring->shadow);
	ring->shadow = NULL;
}

#endif
