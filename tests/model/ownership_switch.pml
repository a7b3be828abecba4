/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A port of a switch comes and goes under its senders.
 *
 * Models docs/segment-protocol.md, "Switches": the queue of a port, with one
 * entry, and two sending rings with a slot each, whose process may be killed at
 * any store. The port is closed, its queue's buffers are freed, and a new port
 * is made in the same place; whoever does that, and recovers the dead, holds
 * the segment lock and may be killed at any store too. What keeps a sender out
 * of a queue that is no more is the port's word (`there` and `gen`), which is
 * taken away first and looked at again inside the lock.
 *
 * -DONE_PROCESS: both rings belong to threads of one process, and die together.
 * Then a lock word must say which hold it is: that of one ring says nothing
 * about the other. (The cleaner lives here, to save states.)
 *
 * One buffer is tracked, others are never scarce; a store is step(store), after
 * which comes the next or the kill (as in ownership_two_senders.pml, which has
 * batches of two, and the receiver's stores one by one; here it takes a packet
 * in one step). Two generations of a port are told apart, a third is like the
 * first: no sender sleeps through two.  The stores before the commit are one
 * step, ownership_two_senders.pml has them apart.  Whether there is room is seen
 * by an old value of the receiver's index if that does; a new port's queue begins
 * with whatever value the one before has left.
 *
 * Left out: the forwarding table and copies of floods, which change no owner
 * (to its last port a flood moves, by the same stores as any other packet);
 * spare buffers; the time between the loss of two locks (ownership_cleaner).
 */

#define RINGS  2
#define NOBODY 0                /* a lock word otherwise: ring + 1 */

#ifdef ONE_PROCESS
#define process_of(r) 0
#else
#define process_of(r) (r)
#endif

mtype = { GONE, USED, CLEANED };

typedef Ring {
	bool slot;
	bool pending;
	bool txn;
	bit txn_from;
	byte txn_hold;
	mtype file = GONE;
};

Ring R[RINGS];
bool alive[RINGS] = true;       /* by process */
bool rests[RINGS];              /* killed, and not started again */
bool receiver_slot;
bool full_cell, empty_cell;
bit T, H;                       /* modulo 2: one entry */
bit S;                          /* H, as who had the lock last saw it; there in every life of the record */
byte lock = NOBODY;             /* of the lane; there in every life of the record */
bool live, owned, left;         /* the record */
bool there;                     /* the port's word ... */
bit  gen;                       /* ... and which port it is */
bool free_bit = true;           /* of the tracked buffer */
bool seg_locked;
bool gave_up;                   /* the sweep left the port for a later look */

#define queued      (T != H)
#define has_room    (T == S)
#define cell        (queued -> full_cell : empty_cell)
#define queue_holds (live && !free_bit && cell)

#ifdef SABOTAGE_HOLD_IS_THE_PROCESS
#define holds(r) (lock != NOBODY && process_of(lock - 1) == process_of(r))
#else
#define holds(r) (lock == R[r].txn_hold)
#endif
#define reached(r)   (T != R[r].txn_from)
#define committed(r) (!holds(r) || reached(r))
#define mentions(r)  ((R[r].txn && committed(r)) -> R[r].pending : R[r].slot)
#define owns(r)      (R[r].file == USED && !free_bit && mentions(r))
#define receiver_owns (owned && !free_bit && receiver_slot)

#define exact_partition \
	(owns(0) + owns(1) + receiver_owns + queue_holds + free_bit == 1)

#define dead(r)     (R[r].file != GONE && !alive[process_of(r)])
#define to_recover  (dead(0) || dead(1))
#define half_removed (live && left && !owned)

#ifdef ONE_PROCESS
#define all_rest(r) (rests[0] && rests[1])
#else
#define all_rest(r) true
#endif

#define step(store) \
	if \
	:: atomic { alive[process_of(me)] -> store } \
	:: atomic { alive[process_of(me)] = false; goto killed } \
	fi

inline claim(place)
{
	if
	:: free_bit -> place = true; free_bit = false
	:: place = false
	fi
}

inline forget_txn(r)
{
	R[r].txn = false;
	R[r].txn_from = 0;
	R[r].txn_hold = NOBODY;
	R[r].pending = false
}

/* Under the segment lock, after the recovery of the dead and the sweep. */
inline attach(me)
{
	atomic {
#ifdef SABOTAGE_CLAIM_BEFORE_SWEEP
		!seg_locked && !to_recover ->
#else
		!seg_locked && !to_recover && (!half_removed || gave_up) ->
#endif
		R[me].file = USED;
		claim(R[me].slot)
	}
}

/* H itself only when what was seen of it does not do. */
inline look_for_room()
{
	if
	:: has_room
	:: !has_room -> step(S = H)
	fi
}

inline transmit(me)
{
	atomic { there -> seen = gen };
#ifdef SABOTAGE_ROOM_BEFORE_LOCK
	look_for_room();
	if
	:: has_room
	:: !has_room -> goto idle
	fi;
#endif
	step(lock == NOBODY -> lock = me + 1);
#ifndef SABOTAGE_NO_LOOK_INSIDE
	if
	:: there && gen == seen
	:: !(there && gen == seen) -> step(lock = NOBODY); goto idle
	fi;
#endif
#ifndef SABOTAGE_ROOM_BEFORE_LOCK
	look_for_room();
	if
	:: has_room
	:: !has_room -> step(lock = NOBODY); goto idle
	fi;
#endif
	step(R[me].pending = empty_cell; full_cell = R[me].slot;
	     R[me].txn_from = T; R[me].txn_hold = me + 1; R[me].txn = true);
#ifdef SABOTAGE_UNLOCK_BEFORE_COMMIT
	step(lock = NOBODY);
	step(T = 1 - T);
#else
	step(T = 1 - T);
	step(lock = NOBODY);
#endif
	step(R[me].slot = R[me].pending);
	step(forget_txn(me))
}

proctype sender(byte me)
{
	bit seen;

start:
	attach(me);
idle:
	do
	:: transmit(me)
	od;
killed:
	rests[me] = true;
	/* Of one process, both threads: the one does nothing more when the other was killed. */
	atomic { R[me].file == GONE && !to_recover && (alive[process_of(me)] || all_rest(me)) ->
		seen = 0;
		rests[me] = false;
		alive[process_of(me)] = true;
		goto start }
}

active proctype receiver()
{
end:	do
	:: atomic {
		live && owned && queued ->
		bool taken = full_cell;
		empty_cell = receiver_slot;
		full_cell = false;
		receiver_slot = taken;
		taken = false;
		H = 1 - H }
	od
}

/* Whoever has the segment lock; its death is a step back to its start. */
#ifdef ONE_PROCESS              /* the other shape has those deaths */
#define lock_step(store) atomic { store }
#else
#define lock_step(store) \
	if \
	:: atomic { store } \
	:: atomic { seg_locked = false; seen = NOBODY; goto start } \
	fi
#endif

inline let_go(d)
{
	if
	:: lock == d + 1 -> lock = NOBODY
	:: else
	fi
}

#define free_if(held) \
	if \
	:: held -> free_bit = true \
	:: else \
	fi

#ifdef SABOTAGE_LOCK_RELEASED_FIRST
#define recover(d) \
	if \
	:: R[d].file == USED -> \
		lock_step(let_go(d)); \
		lock_step(free_if(mentions(d))); \
		lock_step(R[d].file = CLEANED) \
	:: else \
	fi
#else
#define recover(d) \
	if \
	:: R[d].file == USED -> \
		lock_step(free_if(mentions(d))); \
		lock_step(R[d].file = CLEANED) \
	:: else \
	fi; \
	lock_step(let_go(d))
#endif

#define forget(d) \
	lock_step(R[d].slot = false; forget_txn(d); R[d].file = GONE)

/* A port that nobody has. */
#define remove_port \
	lock_step(there = false; gave_up = false); \
	await_lane; \
	lock_step(left = true); \
	lock_step(free_if(!free_bit && cell)); \
	lock_step(live = false; left = false; full_cell = false; empty_cell = false; T = 0; H = 0)

/* Who was inside is out, and who comes in sees that the port is not there; or it stays for a later look. */
#ifdef SABOTAGE_NOBODY_IS_SEEN_OUT
#define await_lane skip
#else
#ifdef SABOTAGE_SEEN_OUT_AGAIN
#define already_seen_out false
#else
#define already_seen_out left
#endif
#define await_lane \
	if \
	:: already_seen_out \
	:: else -> \
		seen = lock; \
		if \
		:: seen == NOBODY \
		:: seen != NOBODY && lock != seen \
		:: atomic { seen != NOBODY && lock == seen -> gave_up = true; goto done } \
		fi \
	fi; \
	seen = NOBODY
#endif

inline make_port()
{
	lock_step(claim(empty_cell); claim(receiver_slot); T = 0; H = 0; live = true; owned = true; gen = 1 - gen);
	lock_step(there = true)
}

active proctype manager()
{
	byte seen;

start:
	atomic { !seg_locked -> seg_locked = true };
	do
	:: dead(0) -> recover(0); forget(0)
	:: dead(1) -> recover(1); forget(1)
	:: !to_recover -> break
	od;
	if
	:: live && !owned -> remove_port
	:: live && owned -> /* its owner closes it, or has died */
		lock_step(free_if(receiver_owns); owned = false; receiver_slot = false);
		remove_port
	:: !live -> make_port()
	:: true
	fi;
done:
	atomic { seg_locked = false; seen = NOBODY; goto start }
}

active proctype monitor()
{
end:	atomic { !(exact_partition) -> assert(false) }
}

init {
	atomic {
		run sender(0);
		run sender(1)
	}
}
