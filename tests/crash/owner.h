/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A process with a port of an interface, as far as a segment knows of such: an extent of rings, and buffers that a kernel
 * holds.  There is no interface; whoever plays the kernel reads here which buffers those are. */
#ifndef CRASH_OWNER_H
#define CRASH_OWNER_H

#include <stdatomic.h>

#include "base/poison.h"
#include "crash.h"
#include "shm/audit.h"
#include "shm/extent.h"

enum { OWNER_SLOTS = 32, OWNER_SPARES = 8, OWNER_BUFS = 2 * OWNER_SLOTS + OWNER_SPARES };
enum { OWNER_STARTS, OWNER_READY };

struct owner {
	bool with_pipe;   /* it has the pipe end "owned{1" as well, of 8 slots */
	uint32_t to_hold; /* buffers that the kernel gets: of receive slots first, then of transmit slots */
	_Atomic int state;
	_Atomic uint32_t num_held;
	_Atomic int64_t died_ms; /* for who plays the kernel; 0: lives */
	uint32_t held[OWNER_BUFS];
	uint32_t member, num_rest, rest[OWNER_BUFS]; /* its other buffers */
};

/* One transmit and one receive ring, in our own file.  Under the segment lock, to claim. */
void owner_build(struct nmx__extent *extent, struct nmx__segment *seg, uint32_t slots, uint32_t spares);
/* A buffer goes into the kernel, and comes out of it into a slot that is empty; each in the order that is due. */
void owner_push(struct nmx__extent *extent, uint32_t ring, uint32_t slot);
void owner_pull(struct nmx__extent *extent, uint32_t ring, uint32_t slot, uint32_t index);

/* For spawn(): lives until it is killed.  owner: a struct owner in shared memory. */
void be_owner(void *owner);
/* Starts one, and waits until it is ready. */
pid_t owner_start(struct owner *owner);

struct nmx__segment *join(void);
void leave(struct nmx__segment *seg);
void lock_to_claim(struct nmx__segment *seg);
/* What an open does first. */
void recover(struct nmx__segment *seg);

/* ---- looking */

/* Also fails when buffers do not add up. */
struct nmx__audit look(struct nmx__segment *seg, const char *when);
/* Whether the buffers that the kernel held, and the rest, are used. */
void must_be_used(const struct nmx__segment *seg, const struct owner *owner, bool held, bool rest, const char *when);
void others_get_none(struct nmx__segment *seg, const struct owner *owner, const char *when);
/* Its file and its id. */
bool is_gone(const struct nmx__segment *seg, uint32_t member);
void await_its_end(struct nmx__segment *seg, const struct owner *owner, int64_t at_most_ms, const char *when);
/* Of the only one that has died, and had buffers. */
void await_the_end(struct nmx__segment *seg, const struct owner *owner, int64_t at_most_ms, const char *when);
void must_be_empty(const char *when); /* the directory */

/* For who touches buffers without having a ring, as a backend or a device does. */
static inline void owner_unpoison(const struct nmx__segment *seg) { nmx__unpoison(seg->area, nmx__seg_area_bytes(seg, seg->num_bufs)); }

#endif
