/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The segment lock, the free bits, and the death of whoever cleans up.
 *
 * Models docs/segment-protocol.md, rules 6, 8-11, 13, 15 and 18: three members
 * claim, free, exchange and lend buffers to a kernel queue; whoever gets the
 * segment lock finishes the recovery of the dead, then allocates. Any of them
 * may be killed at any store, in the middle of a recovery too, and comes back
 * as a new process when its file is gone.
 *
 * Death takes time: the kernel closes the descriptors one after the other, so
 * the segment lock may be free while the life lock still says "alive". Hence
 * the word `lock_owner` in the segment: written after the lock is taken,
 * cleared before it is released. Who takes the lock and finds it set waits for
 * that member's life lock, and only then puts its own name there.
 *
 * Kernel-held buffers: the bit is not set while a NIC may write (rule 15). The
 * file's state goes from USED to QUARANTINED, which means that of all it
 * mentions only `kernel_held` still counts, so that others may allocate in the
 * meantime; and to OVER before the first of those bits is set, so that the
 * next cleaner cannot find that the quarantine still lasts, leave the file as
 * it is, and allocate a buffer that the file will free again.
 *
 * One buffer is tracked, others are never scarce (see ownership_pipe.pml).
 * A file appears under the segment lock, with its life lock held, before
 * lock_owner names it.
 *
 * Left out: queues and txn (the other models), deadlines except that a waiter
 * may give up, hostile values of lock_owner.
 */

#define MEMBERS 3
#define NOBODY  3            /* a member's number otherwise */

mtype:file_state = { GONE, USED, QUARANTINED, OVER, CLEANED };
mtype:life_state = { ALIVE, KILLED, DEAD };

typedef Member {
	mtype:file_state file = GONE;
	mtype:life_state life = ALIVE; /* DEAD: the life lock is free */
	bool slot;
	bool kernel_held;
	bool transit;
};

Member member_of[MEMBERS];
bool free_bit = true;         /* of the tracked buffer */
bool in_kernel;               /* a device may write into the tracked buffer */
byte lock = NOBODY;           /* the segment lock */
byte lock_owner = NOBODY;     /* the word in the segment; NOBODY is its 0 */

#define M member_of

/* Rule 9: a set bit wins over any mention. */
#define mentions(m) (M[m].slot || M[m].transit || M[m].kernel_held)
#define owns(m)     (!free_bit && \
	((M[m].file == USED && mentions(m)) || \
	 ((M[m].file == QUARANTINED || M[m].file == OVER) && M[m].kernel_held)))

#define exact_partition (owns(0) + owns(1) + owns(2) + free_bit == 1)
#define not_free_while_written (!(free_bit && in_kernel))

/* A store, or the process is killed in its place; then it does nothing more. */
#define step(store) \
	if \
	:: atomic { store } \
	:: atomic { true -> M[me].life = KILLED; d = 0; goto killed } \
	fi

#define set_bit_if(held_by_the_dead) \
	if \
	:: held_by_the_dead -> free_bit = true \
	:: else \
	fi

inline clear_bit_if(noted)
{
	if
	:: noted -> free_bit = false
	:: else
	fi
}

inline tracked_or_other(place)
{
	if
	:: free_bit -> place = true
	:: place = false
	fi
}

inline forget(m)
{
	M[m].file = GONE;
	M[m].slot = false;
	M[m].transit = false;
	M[m].kernel_held = false
}

/* Take the lock; true in `taken` if what it guards is sound. */
inline take_segment_lock(me)
{
	atomic { lock == NOBODY -> lock = me };
	/* The file, with its life lock: nothing else says whether its owner is
	 * alive. */
	step(if :: M[me].file == GONE -> M[me].file = USED :: else fi);
#ifdef SABOTAGE_OWNER_OVERWRITTEN_TOO_EARLY
	step(d = lock_owner; lock_owner = me);
	step(skip);                       /* or it is killed while it waits */
	if
	:: d == NOBODY || d == me
	:: d != NOBODY && d != me && M[d].life == DEAD
	fi;
	d = 0;
#else
#ifndef SABOTAGE_NO_LOCK_OWNER
	if
	:: lock_owner == NOBODY
	:: lock_owner != NOBODY && M[lock_owner].life == DEAD
	:: lock_owner != NOBODY && M[lock_owner].life != DEAD ->
		step(lock = NOBODY);      /* the deadline: gives up */
		goto idle
	fi;
#endif
	step(lock_owner = me)
#endif
}

inline release_segment_lock(me)
{
	step(lock_owner = NOBODY);
	step(lock = NOBODY)
}

#ifdef SABOTAGE_KERNEL_HELD_FREED_AT_ONCE
#define free_at_once(m) mentions(m)
#else
/* What is in both places, in the middle of an exchange, is kernel-held. */
#define free_at_once(m) ((M[m].slot || M[m].transit) && !M[m].kernel_held)
#endif

/* Rule 15, each step as often as it takes. */
inline recover(d)
{
	if
	:: M[d].file == USED ->
#ifdef SABOTAGE_CLEANED_BEFORE_BITS
		step(M[d].file = QUARANTINED);
		step(set_bit_if(free_at_once(d)))
#else
		step(set_bit_if(free_at_once(d)));
#ifdef SABOTAGE_QUARANTINE_WITHOUT_MARK
		if
		:: !in_kernel -> step(M[d].file = QUARANTINED)
		:: true              /* later: some buffer is still lent */
		fi
#else
		step(M[d].file = QUARANTINED)
#endif
#endif
	:: else
	fi;
#ifdef SABOTAGE_QUARANTINE_END_NOT_NOTED
	if
	:: M[d].file == QUARANTINED && !(M[d].kernel_held && in_kernel) ->
		step(set_bit_if(M[d].kernel_held));
		step(M[d].file = CLEANED)
	:: M[d].file == QUARANTINED
	:: else
	fi;
#else
	/* The device queue has been bound again, or two seconds are over. */
	if
	:: M[d].file == QUARANTINED && !(M[d].kernel_held && in_kernel) ->
		step(M[d].file = OVER)
	:: M[d].file == QUARANTINED      /* some other buffer is still lent */
	:: else
	fi;
	if
	:: M[d].file == OVER ->
		step(set_bit_if(M[d].kernel_held));
		step(M[d].file = CLEANED)
	:: else
	fi;
#endif
	if
	:: M[d].file == CLEANED -> step(forget(d))
	:: else
	fi
}

inline recover_all(me)
{
	do
	:: d < MEMBERS && d != me && M[d].file != GONE && M[d].life == DEAD ->
		recover(d);
		d++
	:: d < MEMBERS && !(d != me && M[d].file != GONE && M[d].life == DEAD) ->
		d++
	:: d == MEMBERS -> d = 0; break
	od
}

/* Rule 9. */
inline claim(me)
{
#ifdef SABOTAGE_CLEAR_BEFORE_NOTE
	if
	:: free_bit ->
		step(free_bit = false);
		step(M[me].slot = true)
	:: true
	fi
#else
	step(tracked_or_other(M[me].slot));
	step(clear_bit_if(M[me].slot))
#endif
}

inline give_back(me)
{
#ifdef SABOTAGE_UNMENTION_BEFORE_BIT
	step(M[me].slot = false);
	step(free_bit = true)
#else
	step(free_bit = true);
	step(M[me].slot = false)
#endif
}

/* Rule 6; between slot and kernel_held this is also rule 8. */
inline exchange(me, destination, source)
{
	step(M[me].transit = destination);
	step(destination = source);
	step(source = M[me].transit);
	step(M[me].transit = false)
}

proctype member(byte me)
{
	byte d;

idle:
	do
	:: atomic { true -> M[me].life = KILLED; goto killed }

	:: take_segment_lock(me);
#ifndef SABOTAGE_ALLOCATE_BEFORE_RECOVERY
	   recover_all(me);
#endif
	   if
	   :: !M[me].slot -> claim(me)
	   :: M[me].slot  -> give_back(me)
	   :: true                     /* came for the recovery alone */
	   fi;
#ifdef SABOTAGE_ALLOCATE_BEFORE_RECOVERY
	   recover_all(me);
#endif
	   release_segment_lock(me)

	:: M[me].slot ->               /* lend it to the kernel */
#ifdef SABOTAGE_PUSH_BEFORE_NOTE
	   step(in_kernel = true);
	   exchange(me, M[me].kernel_held, M[me].slot)
#else
	   exchange(me, M[me].kernel_held, M[me].slot);
	   step(in_kernel = true)
#endif

	:: M[me].kernel_held && !in_kernel ->     /* it came back */
	   exchange(me, M[me].slot, M[me].kernel_held)
	od;
killed:
	/* The kernel closes what the process had open, in either order. */
	if
	:: atomic { lock == me -> lock = NOBODY };
	   M[me].life = DEAD
	:: M[me].life = DEAD;
	   if
	   :: atomic { lock == me -> lock = NOBODY }
	   :: lock != me
	   fi
	:: lock != me -> M[me].life = DEAD
	fi;
	/* All dead at once is an end: rule 18, the files wait for the next open. */
end:	atomic { M[me].file == GONE -> M[me].life = ALIVE; goto idle }
}

/* The device is done with the tracked buffer. */
active proctype device()
{
end:	do
	:: in_kernel -> in_kernel = false
	od
}

active proctype monitor()
{
end:	atomic { !(exact_partition && not_free_while_written) -> assert(false) }
}

init {
	atomic { run member(0); run member(1); run member(2) }
}
