/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Two senders of one queue: what the queue's lock word says about the dead.
 *
 * Models docs/segment-protocol.md, rules 2-4 (sync under the queue lock), 9,
 * 13-15 and 22: a queue of two entries, two senders with two slots and one that
 * take the lock word for the put and the commit, one receiver with one slot.
 * The senders may be killed at any store, any number of times, and the cleaner
 * too; the receiver with -DRECEIVER_DIES, which takes longer. Successors claim
 * fresh buffers. T is shared by the senders, so it moves on after a dead
 * sender's commit: "the index is from + n" alone says nothing once that sender
 * let the lock go.
 *
 * One buffer is tracked, others are never scarce; indices are modulo 4; a
 * store is step(store), after which comes the next or the kill (all three as
 * in ownership_pipe.pml).
 *
 * Left out: the transit word and the end of the queue (ownership_pipe), the
 * time between the release of a dead member's segment lock and that of its life
 * lock (ownership_cleaner), generations in the lock word (a number is used
 * again only after its file is gone).
 */

#define RECEIVER 2            /* the senders are 0 and 1 */
#define NOBODY   3

mtype = { GONE, USED, CLEANED };

typedef Member {
	bool slot[2];
	bool pending[2];
	bool txn;
	byte txn_from;
	byte txn_count;
	mtype file = GONE;
	bool alive = true;
};

Member M[3];
bool full_of[2];
bool empty_of[2];
byte T, H;                    /* modulo 4 */
byte queue_lock = NOBODY;     /* a sender's number */
bool free_bit = true;         /* of the tracked buffer */
bool seg_locked;

/* Rule 2: entries in [H, T) own `full`, the others own `empty`. */
#define in_flight ((T + 4 - H) & 3)
#define filled(e) (in_flight == 2 || (in_flight == 1 && (H & 1) == e))
#define cell(e)   (filled(e) -> full_of[e] : empty_of[e])
#define queue_holds (!free_bit && (cell(0) || cell(1)))
#define queue_twice (cell(0) && cell(1))

/* Rule 14. */
#define reached(m, index) (((index + 4 - M[m].txn_from) & 3) == M[m].txn_count)
#ifdef SABOTAGE_NO_LOCK_TEST
#define sender_committed(m) reached(m, T)
#else
#define sender_committed(m) (queue_lock != m || reached(m, T))
#endif
#define committed(m) (m == RECEIVER -> reached(m, H) : sender_committed(m))
#define slot_of(m, j) \
	((M[m].txn && committed(m) && j < M[m].txn_count) \
	 -> M[m].pending[j] : M[m].slot[j])
#define mentions(m) (slot_of(m, 0) || slot_of(m, 1))
#define owns(m) (M[m].file == USED && !free_bit && mentions(m))

#define exact_partition (!queue_twice && \
	owns(0) + owns(1) + owns(RECEIVER) + queue_holds + free_bit == 1)

#define dead(m)    (M[m].file != GONE && !M[m].alive)
#define to_recover (dead(0) || dead(1) || dead(RECEIVER))

/*
 * To save states, what no rule looks at any more is set to 0: a txn's fields
 * when it is done (the index already when the lock word says that the commit
 * happened), `pending` when the member dies without a txn, and the cells
 * of an entry when it changes hands. Stores that differ only in what nobody
 * looks at are one step; ownership_pipe.pml has them apart.
 */
inline clear_pending(m)
{
	M[m].pending[0] = false;
	M[m].pending[1] = false
}

inline clear_txn(m)
{
	M[m].txn = false;
	M[m].txn_from = 0;
	M[m].txn_count = 0;
	clear_pending(m)
}

inline die(m)
{
	M[m].alive = false;
	n = 0;
	if
	:: !M[m].txn -> clear_txn(m)
	:: else
	fi
}

#ifdef RECEIVER_DIES
#define may_die(m) true
#else
#define may_die(m) (m != RECEIVER)
#endif

/* A store, or the process is killed in its place and loses its registers. */
#define step(store) \
	if \
	:: atomic { store } \
	:: atomic { may_die(me) -> die(me); goto killed } \
	fi

inline tracked_or_other(place)
{
	if
	:: free_bit -> place = true
	:: place = false
	fi
}

/* Rule 9, in one step: ownership_pipe.pml shows its halves. */
inline claim(place)
{
	tracked_or_other(place);
	if
	:: place -> free_bit = false
	:: else
	fi
}

/* Under the segment lock, when all the dead are recovered (rule 10). */
inline attach(me)
{
	atomic {
		!seg_locked && !to_recover ->
		M[me].file = USED;
		claim(M[me].slot[0]);
		if
		:: me == 0 -> claim(M[me].slot[1])
		:: else
		fi
	}
}

#define put(k) \
	step(M[me].pending[k] = empty_of[(T + k) & 1]; \
	     full_of[(T + k) & 1] = M[me].slot[k])

#define take(k) step(M[me].slot[k] = M[me].pending[k])

#define batch(one) \
	one(0); \
	if \
	:: n == 2 -> one(1) \
	:: else \
	fi

#define note_txn(index) \
	step(M[me].txn_from = index; M[me].txn_count = n; M[me].txn = true)

inline commit_transmit()
{
	empty_of[T & 1] = false;
	if
	:: n == 2 -> empty_of[1 - (T & 1)] = false
	:: else
	fi;
	T = (T + n) & 3
}

#ifdef SABOTAGE_NO_LOCK_TEST
#define from_matters(m) (M[m].txn)
#else
#define from_matters(m) (M[m].txn && (m == RECEIVER || queue_lock == m))
#endif

inline forget_from(m)
{
	if
	:: !from_matters(m) -> M[m].txn_from = 0
	:: else
	fi
}

inline back_by_two(m)
{
	if
	:: from_matters(m) -> M[m].txn_from = (M[m].txn_from + 2) & 3
	:: else
	fi
}

/* Two entries: indices that are both two less mean the same. Renumber, to save
 * states, so that H is 0 or 1 (and T up to 3). */
inline commit_receive()
{
	full_of[H & 1] = false;
	H++;
	if
	:: H == 2 ->
		H = 0;
		T = (T + 2) & 3;
		back_by_two(0);
		back_by_two(1);
		back_by_two(RECEIVER)
	:: else
	fi
}

/* Rules 3, 4 and 22. A contended lock is a wait: the recovery frees it. */
inline transmit(me)
{
	step(queue_lock == NOBODY -> queue_lock = me);
	if
	:: in_flight <= 1 -> n = 1
	:: in_flight == 0 && me == 0 -> n = 2
	:: in_flight == 2 -> step(queue_lock = NOBODY); goto idle
	fi;
	batch(put);
	note_txn(T);
#ifdef SABOTAGE_UNLOCK_BEFORE_COMMIT
	step(queue_lock = NOBODY);
	step(commit_transmit());
#else
	step(commit_transmit());
	step(queue_lock = NOBODY; forget_from(me));
#endif
	batch(take);
	step(clear_txn(me); n = 0)
}

proctype sender(byte me)
{
	byte n;

start:
	attach(me);
idle:
	do
	:: transmit(me)
	od;
killed:
	atomic { M[me].file == GONE -> M[me].alive = true; goto start }
}

inline receive(me)
{
	atomic { in_flight > 0 -> n = 1 };
	step(M[me].pending[0] = full_of[H & 1];
	     empty_of[H & 1] = M[me].slot[0]);
	note_txn(H);
	step(commit_receive());
	take(0);
	step(clear_txn(me); n = 0)
}

active proctype receiver()
{
	byte me = RECEIVER;
	byte n;

start:
	attach(me);
	do
	:: receive(me)
	od;
killed:
	atomic { M[me].file == GONE -> M[me].alive = true; goto start }
}

/* Under the segment lock; its death is a step back to its start, where the
 * next cleaner begins. */
#define cleaner_step(store) \
	if \
	:: atomic { store } \
	:: atomic { true -> seg_locked = false; goto start } \
	fi

#define set_bit_if(held_by_the_dead) \
	if \
	:: held_by_the_dead -> free_bit = true \
	:: else \
	fi

/* To save states, again: what the dead put and did not commit. */
inline clear_full_of(e)
{
	if
	:: !filled(e) -> full_of[e] = false
	:: else
	fi
}

inline clear_empty_of(e)
{
	if
	:: filled(e) -> empty_of[e] = false
	:: else
	fi
}

inline release_queue_lock(d)
{
	if
	:: queue_lock == d ->
		queue_lock = NOBODY;
		clear_full_of(0);
		clear_full_of(1)
	:: else
	fi
}

inline forget(d)
{
	M[d].file = GONE;
	M[d].slot[0] = false;
	M[d].slot[1] = false;
	clear_txn(d)
}

/* Rule 15: bits, cleaned, queue lock, unlink; in this order. */
#ifdef SABOTAGE_QUEUE_LOCK_RELEASED_FIRST
#define recover(d) \
	if \
	:: M[d].file == USED -> \
		cleaner_step(release_queue_lock(d)); \
		cleaner_step(set_bit_if(mentions(d))); \
		cleaner_step(M[d].file = CLEANED) \
	:: else \
	fi; \
	cleaner_step(forget(d))
#else
#define recover(d) \
	if \
	:: M[d].file == USED -> \
		cleaner_step(set_bit_if(mentions(d))); \
		cleaner_step(M[d].file = CLEANED) \
	:: else \
	fi; \
	cleaner_step(release_queue_lock(d)); \
	cleaner_step(forget(d))
#endif

active proctype cleaner()
{
start:
	atomic { !seg_locked && to_recover -> seg_locked = true };
	do
	:: dead(0) -> recover(0)
	:: dead(1) -> recover(1)
	:: dead(RECEIVER) ->      /* in one step: ownership_pipe.pml has them all */
		cleaner_step(set_bit_if(mentions(RECEIVER));
			     forget(RECEIVER);
			     clear_empty_of(0);
			     clear_empty_of(1))
	:: !to_recover -> break
	od;
	atomic { seg_locked = false; goto start }
}

active proctype monitor()
{
end:	atomic { !(exact_partition) -> assert(false) }
}

init {
	atomic {
		claim(empty_of[0]);
		claim(empty_of[1]);
		run sender(0);
		run sender(1)
	}
}
