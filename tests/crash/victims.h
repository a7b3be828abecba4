/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Honest users of a segment that somebody destroys under them: all that they may see is errors and drops. */
#ifndef CRASH_VICTIMS_H
#define CRASH_VICTIMS_H

#include <stdatomic.h>

#include "crash.h"

enum victim_kind { SENDS, RECEIVES, WAITS, SWITCHES, BLOCKS, OPENS, VICTIMS };
extern const char *const victim_names[VICTIMS];

struct toll {
	_Atomic int64_t turn_at_ms; /* of the last turn */
	_Atomic uint64_t turns, packets, opens, open_errors, sync_errors;
	_Atomic int64_t longest_sync_ms, longest_wait_ms, longest_open_ms;
};

struct arena {
	_Atomic int stop;
	struct toll toll[VICTIMS];
};

struct victim {
	struct arena *arena;
	enum victim_kind kind;
};

void be_victim(void *victim);

#endif
