/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Sleeping and waking.  A side that is about to sleep makes its sleep word odd, then looks for news once more; the
 * other side publishes its index, then looks at the sleep word.  All four are seq_cst: with less, each could miss the
 * other (tests/model/wakeup.pml).  The word counts, so that a late waker cannot wipe a new sleep.
 *
 * The bell is a FIFO next to the segment: pollable, and reachable by name from a process that shares nothing else.
 * Its bytes are a hint: any member can steal or add some.
 */
#ifndef NMX_SHM_BELL_H
#define NMX_SHM_BELL_H

#include "shm/segment.h"

struct nmx__bell {
	struct nmx__segment *seg; /* NULL: both descriptors were given */
	uint32_t record, queue;
	char side;                /* 'r': wakes the receiver, 't': the sender */
	int reader, writer;       /* opened when first needed; -1 */
};

void nmx__bell_init(struct nmx__bell *bell, struct nmx__segment *seg, uint32_t record, uint32_t queue, char side);
void nmx__bell_close(struct nmx__bell *bell);

/* The descriptor to sleep on; -1 with errno. */
int nmx__bell_reader(struct nmx__bell *bell);
void nmx__bell_drain(struct nmx__bell *bell);
void nmx__bell_ring(struct nmx__bell *bell);

/* Always a new odd number, also when the word is odd: a sleeper that was woken by the bell may be back before its waker
 * has come to change the word, and that change must then fail. */
static inline void nmx__sleep_begin(_Atomic uint32_t *word)
{
	uint32_t seen = atomic_load(word);

	/* A waker turns odd into even once; what changes it more often is hostile, and gets a slow peer. */
	for (int tries = 0; tries < 4; tries++)
		if (atomic_compare_exchange_strong(word, &seen, seen + 1 + seen % 2))
			return;
}

static inline void nmx__sleep_end(_Atomic uint32_t *word)
{
	uint32_t seen = atomic_load(word);

	if (seen % 2)
		atomic_compare_exchange_strong(word, &seen, seen + 1);
}

/* To be called after the index was published.  True: the other side slept and the bell was rung.  The bell first: who
 * dies in between leaves a word that still says asleep, and is wrong on the safe side. */
static inline bool nmx__wake(_Atomic uint32_t *word, struct nmx__bell *bell)
{
	uint32_t seen = atomic_load(word);

	if (__builtin_expect(seen % 2 == 0, 1))
		return false;
	nmx__bell_ring(bell);
	atomic_compare_exchange_strong(word, &seen, seen + 1);
	return true;
}

/* Wakes whoever sleeps on any queue of the record, for them to look at its ends. */
void nmx__record_wake(struct nmx__segment *seg, const struct nmx__record *record);

#endif
