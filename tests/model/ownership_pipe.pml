/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Who owns a buffer of a pipe when any process may be killed at any store.
 *
 * Models docs/segment-protocol.md, rules 1-4 (queue, sync, commit), 6 (the
 * transit word), 9 (free bits), 13-15 and 17 (recovery, and the end of a
 * queue): one queue of two entries, one sender and one receiver with two
 * slots and one table cell each, batches of one or two, successors that claim
 * fresh buffers, a cleaner that may die at any step. Any number of deaths.
 *
 * One buffer is tracked. The protocol only copies indices, it never computes
 * with them, so a cell is modelled as "holds the tracked buffer" or not. The
 * tracked buffer may be claimed into any place, and other buffers are never
 * scarce, so every run of the real thing, seen from any one of its buffers,
 * is a run of this model. "Set the bits one at a time" is then one store: the
 * one for the tracked buffer happens before or after any of the others.
 *
 * Indices are kept modulo 4: T - H never exceeds 2, and the model is closed
 * (no bound on packets). A kill lies between two stores in program order,
 * on any processor: the kernel is entered at an exact instruction.
 *
 * Left out: the time between the release of a dead member's segment lock and
 * that of its life lock, kernel-held buffers (ownership_cleaner), several
 * senders (ownership_two_senders), memory order between the living (the index
 * is a release/acquire pair).
 */

#define SENDER   0
#define RECEIVER 1
#define CLEANER  2
#define NOBODY   3

typedef Side {
	/* In the segment. */
	bool put[2];      /* the cells this side writes: full, or empty */
	byte index;       /* T, or H, modulo 4 */
	/* In the member's own file. */
	bool slot[2];
	bool pending[2];
	bool held;        /* one cell of the table of taken buffers */
	bool transit;
	bool txn;         /* the word that makes the other three count */
	byte txn_from;
	byte txn_count;
	byte txn_first;   /* first slot */
	bool file;        /* the file is there and not marked cleaned */
	bool alive;       /* the life lock */
};

Side side[2];
bool queue;               /* made, not yet returned to the bitmap */
bool free_bit = true;            /* of the tracked buffer */
byte lock = NOBODY;       /* the segment lock */

/* Rule 2: entries in [H, T) own `full`, the others own `empty`. */
#define in_flight   ((side[SENDER].index + 4 - side[RECEIVER].index) & 3)
#define filled(e)   (in_flight == 2 || \
		     (in_flight == 1 && (side[RECEIVER].index & 1) == e))
#define cell(e)     (filled(e) -> side[SENDER].put[e] : side[RECEIVER].put[e])
#define queue_holds (queue && !free_bit && (cell(0) || cell(1)))
#define queue_twice (queue && cell(0) && cell(1))

/* Rule 14: after the commit the slots of the txn are its pending ones. */
#define committed(m) \
	(((side[m].index + 4 - side[m].txn_from) & 3) == side[m].txn_count)
#define in_txn(m, j) (side[m].txn_count == 2 || side[m].txn_first == j)
#ifdef SABOTAGE_RECOVERY_IGNORES_TXN
#define slot_of(m, j) (side[m].slot[j])
#else
#define slot_of(m, j) \
	((side[m].txn && committed(m) && in_txn(m, j)) \
	 -> side[m].pending[(j + side[m].txn_first) & 1] : side[m].slot[j])
#endif
#ifdef SABOTAGE_RECOVERY_IGNORES_TRANSIT
#define in_transit(m) false
#else
#define in_transit(m) (side[m].transit)
#endif
#define mentions(m) \
	(slot_of(m, 0) || slot_of(m, 1) || side[m].held || in_transit(m))
/* Rule 9: a set bit wins over any mention. */
#define owns(m)     (side[m].file && !free_bit && mentions(m))

#define exact_partition (!queue_twice && \
	owns(SENDER) + owns(RECEIVER) + queue_holds + free_bit == 1)

#define dead(m)     (side[m].file && !side[m].alive)
#define no_ends     (!side[SENDER].file && !side[RECEIVER].file)
#define to_recover  (dead(SENDER) || dead(RECEIVER) || (queue && no_ends))

/*
 * Every store of a member is written step(store): it happens, or the process
 * is killed in its place. The kernel then drops its locks.
 */
#define step(store) \
	if \
	:: atomic { store } \
	:: atomic { true -> die(me); goto killed } \
	fi

inline die(m)
{
	side[m].alive = false;
	n = 0; first = 0; tmp = false;
	if
	:: lock == m -> lock = NOBODY
	:: else
	fi
}

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

/* Rule 9: note the index where it will live, then clear its bit. */
#define claim(place) \
	step(tracked_or_other(place)); \
	step(clear_bit_if(place))

/* Rule 10: allocate under the segment lock, when all the dead are recovered. */
inline attach(me)
{
	atomic { lock == NOBODY && !to_recover -> lock = me };
	step(side[me].file = true);
	claim(side[me].slot[0]);
	claim(side[me].slot[1]);
	claim(side[me].held);
	/* A queue's buffers are noted in its own cells: were they noted in the
	 * maker's file first, both would own them for the time of a store. */
	if
	:: !queue ->
		step(queue = true);
#ifdef SABOTAGE_QUEUE_NOTED_IN_OWN_FILE
		claim(side[me].transit);
		step(side[RECEIVER].put[0] = side[me].transit);
		step(side[me].transit = false);
#else
		claim(side[RECEIVER].put[0]);
#endif
		claim(side[RECEIVER].put[1])
	:: else
	fi;
	step(lock = NOBODY)
}

#define room(me) (me == SENDER -> 2 - in_flight : in_flight)

/* One or two packets, from any slot. */
inline choose_batch(me)
{
	atomic {
		room(me) > 0;
		if
		:: n = 1
		:: n = 1; first = 1
		:: room(me) == 2 -> n = 2
		fi
	}
}

#define entry_of(me, k) ((side[me].index + k) & 1)
#define slot_at(k)      ((first + k) & 1)

#define put(me, k) \
	step(side[me].pending[k] = side[1 - me].put[entry_of(me, k)]); \
	step(side[me].put[entry_of(me, k)] = side[me].slot[slot_at(k)])

#define put_batch(me) \
	put(me, 0); \
	if \
	:: n == 2 -> put(me, 1) \
	:: else \
	fi

#define take(me, k) step(side[me].slot[slot_at(k)] = side[me].pending[k])

#define take_batch(me) \
	take(me, 0); \
	if \
	:: n == 2 -> take(me, 1) \
	:: else \
	fi

/* These in any order: txn is not set yet. */
inline fill_txn(me)
{
	side[me].txn_from = side[me].index;
	side[me].txn_count = n;
	side[me].txn_first = first
}

/* What an older txn left there. */
inline stale_txn(me)
{
	if
	:: side[me].txn_from = side[me].index
	:: side[me].txn_from = (side[me].index + 2) & 3
	fi;
	side[me].txn_count = 2
}

inline note_txn(me)
{
#ifdef SABOTAGE_TXN_VALID_FIRST
	step(stale_txn(me); side[me].txn = true);
#endif
	step(fill_txn(me));
	step(side[me].txn = true)
}

/* What nobody looks at while txn is 0 is set to 0, to save states. */
inline clear_txn(m)
{
	side[m].txn = false;
	side[m].txn_from = 0;
	side[m].txn_count = 0;
	side[m].txn_first = 0;
	side[m].pending[0] = false;
	side[m].pending[1] = false
}

inline commit(me)
{
	side[me].index = (side[me].index + n) & 3
}

/* Rules 3 and 4. Receive is the mirror image, so this is both. */
inline sync(me)
{
	choose_batch(me);
	put_batch(me);
#ifdef SABOTAGE_COMMIT_BEFORE_NOTE
	step(commit(me));
	note_txn(me);
#else
	note_txn(me);
#ifdef SABOTAGE_TAKE_BEFORE_COMMIT
	take_batch(me);
#endif
	step(commit(me));
#endif
	take_batch(me);
	step(clear_txn(me); n = 0; first = 0)
}

/* Rule 6: outside sync, a slot and a table cell change places. */
#ifdef SABOTAGE_TRANSIT_IN_A_REGISTER
#define exchange(me, destination, source) \
	step(tmp = destination); \
	step(destination = source); \
	step(source = tmp; tmp = false)
#else
#define exchange(me, destination, source) \
	step(side[me].transit = destination); \
	step(destination = source); \
	step(source = side[me].transit); \
	step(side[me].transit = false)
#endif

#define no_duplicate(m) \
	(side[m].slot[0] + side[m].slot[1] + side[m].held <= 1)

proctype member(byte me)
{
	byte n, first;
	bool tmp;

start:
	attach(me);
	do
	:: assert(no_duplicate(me)); sync(me)
	:: exchange(me, side[me].slot[0], side[me].held)
	od;
killed:
	atomic { !side[me].file -> side[me].alive = true; goto start }
}

/* The file is unlinked: what was in it is gone. */
inline forget(m)
{
	side[m].file = false;
	side[m].slot[0] = false;
	side[m].slot[1] = false;
	side[m].held = false;
	side[m].transit = false;
	clear_txn(m)
}

inline forget_queue()
{
	queue = false;
	side[SENDER].put[0] = false;
	side[SENDER].put[1] = false;
	side[RECEIVER].put[0] = false;
	side[RECEIVER].put[1] = false;
	side[SENDER].index = 0;
	side[RECEIVER].index = 0
}

#define set_bit_if(held_by_the_dead) \
	if \
	:: held_by_the_dead -> free_bit = true \
	:: else \
	fi

/*
 * Any member that comes for the segment lock (rule 10). When it dies, the
 * next one begins again: that is this process, back at its start.
 */
#define cleaner_step(store) \
	if \
	:: atomic { store } \
	:: atomic { true -> lock = NOBODY; goto start } \
	fi

active proctype cleaner()
{
start:
	atomic { lock == NOBODY && to_recover -> lock = CLEANER };
	do
	:: dead(SENDER) ->
		cleaner_step(set_bit_if(mentions(SENDER)));
		cleaner_step(forget(SENDER))
	:: dead(RECEIVER) ->
		cleaner_step(set_bit_if(mentions(RECEIVER)));
		cleaner_step(forget(RECEIVER))
	:: queue && no_ends ->    /* rule 17 */
		cleaner_step(set_bit_if(cell(0) || cell(1)));
		cleaner_step(forget_queue())
	:: !to_recover -> break
	od;
	atomic { lock = NOBODY; goto start }
}

active proctype monitor()
{
end:	atomic { !(exact_partition) -> assert(false) }
}

init {
	atomic {
		side[SENDER].alive = true;
		side[RECEIVER].alive = true;
		run member(SENDER);
		run member(RECEIVER)
	}
}
