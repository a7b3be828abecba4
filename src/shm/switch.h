/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Switches of a segment and their ports: who is there, and one sender's way to another port's queue.
 *
 * A switch is a record with a table of ports and the forwarding table; a port is a record with a queue for each of its
 * receive rings.  Both are made by the first open of their names, and go with the last user, unless they were asked to
 * stay.  A port is there for senders while the switch's table has its word.
 *
 * The queue of a receive ring has many senders.  Who writes to it holds its lane's lock, and once inside looks at the port's
 * word again: whoever removes a port takes the word away first, then sees everybody out who was inside, and then nobody is
 * in its queues any more.
 */
#ifndef NMX_SHM_SWITCH_H
#define NMX_SHM_SWITCH_H

#include "shm/bell.h"
#include "shm/fdb.h"

/* ---- under the segment lock */

/* The switch of the name, NULL: none.  Bounded, for its tables to be used. */
struct nmx__record *nmx__switch_find(const struct nmx__segment *seg, const char *name);
/* The same, made if need be.  Errors: NMX_ERR_NO_MEMORY. */
NMX_MUST_CHECK int nmx__switch_get(struct nmx__segment *seg, const char *name, struct nmx__record **record, struct nmx_report *why);
bool nmx__switch_is_used(const struct nmx__segment *seg, const struct nmx__record *record); /* has ports, or is to stay */
/* Goes, unless it is used. */
void nmx__switch_drop(struct nmx__segment *seg, struct nmx__record *record);
struct nmx__switch *nmx__switch_of(const struct nmx__segment *seg, const struct nmx__record *record);
static inline struct nmx__fdb nmx__fdb_of(const struct nmx__segment *seg, struct nmx__switch *sw)
{
	return (struct nmx__fdb){ .sw = sw, .key = seg->id };
}

/* Whether it is a port of that switch which somebody has, or which stays; not one that only waits to be removed. */
bool nmx__port_is_of(const struct nmx__segment *seg, const struct nmx__record *port, const struct nmx__record *home);
/* The port of that name ("vale0:a") which somebody has, or which stays; NULL: none. */
struct nmx__record *nmx__port_find(const struct nmx__segment *seg, const struct nmx__record *home, const char *name);
struct nmx__port_plan {
	const char *name;
	uint16_t rx_rings;
	uint32_t rx_slots, tx_rings, tx_slots;
};
/* Makes it, with queues of empty buffers, not there for senders yet.  Errors: NMX_ERR_NO_MEMORY (also: 254 ports). */
NMX_MUST_CHECK int nmx__port_make(struct nmx__segment *seg, struct nmx__record *home, const struct nmx__port_plan *plan,
                                  struct nmx__record **record, struct nmx_report *why);
/* Of one that stays, for a new owner: what its queues held is nobody's.  False: a living process is in the middle of
 * sending to it. */
bool nmx__port_empty(struct nmx__segment *seg, struct nmx__record *port);
/* There for others from here on.  deaf: only as a sender. */
void nmx__port_join(struct nmx__segment *seg, struct nmx__record *port, uint32_t attach_gen, bool deaf);
/* Not there any more.  True: and nobody is in its queues. */
bool nmx__port_leave(struct nmx__segment *seg, struct nmx__record *port);

/* Lets go of the locks that the dead one held, and wakes the receivers of what it published.  After its buffers are free,
 * and that is noted. */
void nmx__lanes_release(struct nmx__segment *seg, uint32_t member);

/* ---- at any time */

/* Wakes who waits for room in queues of the port that goes. */
void nmx__switch_wake_senders(struct nmx__segment *seg, struct nmx__switch *sw);
/* Wakes who waits for room in the queue of this lane: bits of the lane's map, then sleep words. */
void nmx__lane_wake_waiters(struct nmx__segment *seg, const struct nmx__switch *sw, struct nmx__lane *lane);

/* One sender's way to a queue of another port; zeros: not looked at yet. */
struct nmx__way {
	uint64_t word;       /* of the port, when this was read */
	struct nmx__queue *queue;
	struct nmx__lane *lane;
	uint32_t record, lane_number;
	uint32_t capacity;   /* of the queue */
	uint32_t max_frags;  /* that the receiving ring can hold */
	bool deaf;           /* nobody receives there */
	uint32_t stuck;      /* the hold that was waited for in vain */
	int64_t looked_ms;   /* at the life of who has it */
};

/* Leads to lane `hint` (modulo their number) of the port.  False: there is no such port. */
bool nmx__way_find(const struct nmx__segment *seg, const struct nmx__switch *sw, uint32_t port, uint32_t hint, struct nmx__way *way);
/* Takes the lane's lock: the hold, or 0.  Waits for another for a while, which comes off *patience (some NMX__PATIENCE for a
 * sync, whatever it finds locked), then looks whether it lives: the dead are recovered, from the living nothing is taken. */
#define NMX__PATIENCE 288u /* tries; a delivery of a batch takes microseconds */
uint32_t nmx__way_lock(struct nmx__segment *seg, struct nmx__way *way, uint32_t *patience);
void nmx__way_unlock(struct nmx__way *way);
/* Whether the port is the one that the way was found to; under its lock.  A way that was not found leads nowhere. */
static inline bool nmx__way_leads(const struct nmx__switch *sw, const struct nmx__way *way, uint32_t port)
{
	return way->word && atomic_load(&sw->port[port]) == way->word; /* pairs with nmx__port_leave() */
}

#endif
