/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Buffers that a kernel queue holds, and the death of their owner.
 *
 * Models docs/segment-protocol.md, "Buffers that the kernel holds": three
 * members, each with a slot, a mark and a queue of
 * the kernel, which claim, free, push, pull and close; whoever gets the segment
 * lock recovers the dead, then allocates. Any of them may be killed at any
 * store, in the middle of a recovery too, and comes back as a new process when
 * its file is gone.
 *
 * The kernel takes what was pushed, may write into it until it has put it into
 * the queue that leads back, and lets go of everything some time after its
 * process was killed: before or after the life lock is free.
 *
 * Time is this and no more: a quarantine is not over before the kernel has let
 * go. After that a cleaner may find it over or not, and the next one, whose
 * clock may be another, the other way round.
 *
 * One buffer is tracked, others are never scarce (see ownership_pipe.pml): so a
 * file may have to wait for some other buffer at any time.
 *
 * Left out: what is in ownership_cleaner.pml (the time between the loss of the
 * segment lock and that of the life lock; the transit word), the removal of the
 * segment's files when nobody is in it, hostile times.
 */

#define MEMBERS 3
#define NOBODY  3

mtype:file_state = { GONE, USED, QUARANTINED, OVER };
mtype:life_state = { ALIVE, KILLED, DEAD };
mtype:queue_state = { EMPTY, PUSHED, TAKEN, RETURNED };

typedef Member {
	mtype:file_state file = GONE;
	mtype:life_state life = ALIVE; /* DEAD: the life lock is free */
	bool slot;
	bool mark;
	bool closed;              /* of the extent: no mark is the kernel's */
	mtype:queue_state queue = EMPTY; /* where the tracked buffer is in it */
};

Member member_of[MEMBERS];
bool free_bit = true;         /* of the tracked buffer */
byte lock = NOBODY;           /* the segment lock */

#define M member_of

#define in_kernel(m) (M[m].mark && !M[m].closed)
#define mentions(m)  (M[m].slot || M[m].mark)
#define owns(m)      (!free_bit && \
	((M[m].file == USED && mentions(m)) || \
	 ((M[m].file == QUARANTINED || M[m].file == OVER) && in_kernel(m))))
#define may_write(m) (M[m].queue == PUSHED || M[m].queue == TAKEN)

#define exact_partition (owns(0) + owns(1) + owns(2) + free_bit == 1)
#define nobody_elses(m) (!may_write(m) || owns(m))
#define not_in_use(m)   (!(may_write(m) && M[m].slot && !M[m].mark))

/* A store, or the process is killed in its place; then it does nothing more. */
#define step(store) \
	if \
	:: atomic { store } \
	:: atomic { true -> M[me].life = KILLED; d = 0; late = MEMBERS; goto killed } \
	fi

#define free_if(held_by_the_dead) \
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
	M[m].mark = false;
	M[m].closed = false
}

#ifdef SABOTAGE_KERNEL_HELD_FREED_AT_ONCE
#define free_at_once(m) mentions(m)
#else
#ifdef SABOTAGE_MARK_DOES_NOT_COUNT_IN_A_SLOT
#define free_at_once(m) (M[m].slot || (M[m].mark && M[m].closed))
#else
/* What is in both places, in the middle of a push or a pull, is the kernel's. */
#define free_at_once(m) (mentions(m) && !in_kernel(m))
#endif
#endif

/* Nothing of it is in the kernel: done. Or something is: noted. */
#define note_quarantine(m) \
	if \
	:: !(in_kernel(m) && !free_bit) -> forget(m) \
	:: M[m].file = QUARANTINED \
	fi

/* Each step as often as it takes. */
inline recover(d)
{
	if
	:: M[d].file == USED ->
#ifdef SABOTAGE_NOTED_BEFORE_THE_REST_IS_FREE
		step(note_quarantine(d));
		step(free_if(free_at_once(d)))
#else
		step(free_if(free_at_once(d)));
#ifdef SABOTAGE_NOTED_AFTER_CLAIMS
		late = d
#else
		step(note_quarantine(d))
#endif
#endif
	:: M[d].file == QUARANTINED && M[d].queue == EMPTY ->
#ifdef SABOTAGE_END_NOT_NOTED
		step(free_if(in_kernel(d)));
		step(forget(d))
#else
		step(M[d].file = OVER)
#endif
	:: M[d].file == QUARANTINED
	:: M[d].file == OVER
	fi;
	if
	:: M[d].file == OVER ->
		step(free_if(in_kernel(d)));
		step(forget(d))
	:: else
	fi
}

inline recover_all(me)
{
	do
	:: d < MEMBERS && M[d].file != GONE && M[d].life == DEAD ->
		recover(d);
		d++
	:: d < MEMBERS && !(M[d].file != GONE && M[d].life == DEAD) ->
		d++
	:: d == MEMBERS -> d = 0; break
	od
}

inline claim(me)
{
	step(tracked_or_other(M[me].slot));
	step(clear_bit_if(M[me].slot))
}

inline give_back(me)
{
	step(free_bit = true);
	step(M[me].slot = false)
}

inline push(me)
{
#ifdef SABOTAGE_PUSH_BEFORE_NOTE
	step(M[me].queue = PUSHED);
	step(M[me].mark = true);
	step(M[me].slot = false)
#else
	step(M[me].mark = true);
#ifndef SABOTAGE_SLOT_NOT_ZEROED
	step(M[me].slot = false);
#endif
	step(M[me].queue = PUSHED)
#endif
}

inline pull(me)
{
#ifdef SABOTAGE_CLEAR_BEFORE_PUT
	step(M[me].mark = false);
	step(M[me].slot = true);
#else
	step(M[me].slot = true);
	step(M[me].mark = false);
#endif
	step(M[me].queue = EMPTY)
}

/* The sockets first. */
inline close(me)
{
#ifndef SABOTAGE_FREE_BEFORE_CLOSE
	step(M[me].queue = EMPTY);
#endif
#ifndef SABOTAGE_CLOSE_NOT_NOTED
	step(M[me].closed = true);
#endif
	atomic { lock == NOBODY -> lock = me };
	recover_all(me);
	step(free_if(mentions(me)));
	step(M[me].slot = false; M[me].mark = false; M[me].closed = false);
#ifdef SABOTAGE_FREE_BEFORE_CLOSE
	step(M[me].queue = EMPTY);
#endif
	step(lock = NOBODY)
}

proctype member(byte me)
{
	byte d;
	byte late = MEMBERS;

idle:
	do
	:: atomic { true -> M[me].life = KILLED; goto killed }

	:: atomic { lock == NOBODY -> lock = me };
	   recover_all(me);
	   step(if :: M[me].file == GONE -> M[me].file = USED :: else fi);
	   if
	   :: !M[me].slot && !M[me].mark -> claim(me)
	   :: M[me].slot -> give_back(me)
	   :: true                     /* came for the recovery alone */
	   fi;
#ifdef SABOTAGE_NOTED_AFTER_CLAIMS
	   if
	   :: late != MEMBERS -> step(note_quarantine(late)); late = MEMBERS
	   :: else
	   fi;
#endif
	   step(lock = NOBODY)

	:: M[me].slot && M[me].queue == EMPTY -> push(me)
	:: M[me].queue == RETURNED -> pull(me)
	:: M[me].slot || M[me].mark -> close(me)
	od;
killed:
	atomic {
		if
		:: lock == me -> lock = NOBODY
		:: else
		fi;
		M[me].life = DEAD
	};
end:	atomic { M[me].file == GONE && M[me].queue == EMPTY -> M[me].life = ALIVE; goto idle }
}

#define kernel_of(m) \
	:: atomic { M[m].queue == PUSHED -> M[m].queue = TAKEN } \
	:: atomic { M[m].queue == TAKEN -> M[m].queue = RETURNED } \
	:: atomic { M[m].queue != EMPTY && M[m].life != ALIVE -> M[m].queue = EMPTY }

active proctype kernel()
{
end:	do
	kernel_of(0)
	kernel_of(1)
	kernel_of(2)
	od
}

active proctype monitor()
{
end:	atomic {
		!(exact_partition && nobody_elses(0) && nobody_elses(1) &&
		  nobody_elses(2) && not_in_use(0) && not_in_use(1) &&
		  not_in_use(2)) -> assert(false)
	}
}

init {
	atomic { run member(0); run member(1); run member(2) }
}
