/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Waiting for room in a queue with several senders: no wake-up is lost.
 *
 * Models docs/segment-protocol.md, "Waiting for room": two senders that do not
 * drop, each with a sleep word of its own (it counts, odd is asleep), and a map
 * of waiters beside the queue, in which each has a bit. Who waits makes its word
 * odd, sets its bit, and looks for room; who has made room takes the bits away,
 * and rings those whose word is odd: the bell first, then the word. The receiver
 * may be killed between any two of these; its port is recovered then, and the
 * recovery rings every sleeper of the switch, whatever the map says.
 *
 * The word is its parity and, for the waker, "unchanged since I saw it"; a bell
 * has bytes or not (as in wakeup.pml, which has the receiver's own sleep). A
 * queue of a port that is gone has room: what waits goes elsewhere.
 *
 * -DSABOTAGE_SLEEP_NOT_SEQ_CST and -DSABOTAGE_ROOM_NOT_SEQ_CST give the waiters,
 * or the receiver, a store buffer of one entry that a plain store goes through,
 * and a read-modify-write empties.
 */

#define SENDERS 2
#define SIZE    1               /* entries of the queue */

byte queued;                    /* packets in it */
bool there = true;              /* the port; a new one comes in its place */
bool bit_of[SENDERS];
bool asleep[SENDERS];
bool word_unchanged[SENDERS];   /* since the waker saw it */
bool bell[SENDERS];
bool blocked[SENDERS];
bool receiver_rests = true;     /* between two turns */
#ifdef SABOTAGE_ROOM_NOT_SEQ_CST
bool buffered_room;             /* the receiver's store of head */
#endif

#define room (queued < SIZE || !there)

/* Nobody is about to do anything for it, there is room, and it sleeps. */
#define lost_wakeup(w) (blocked[w] && !bell[w] && room && receiver_rests)

inline set_asleep(w)
{
	asleep[w] = true;
	word_unchanged[w] = false
}

inline set_awake(w)
{
	if
	:: asleep[w] -> asleep[w] = false; word_unchanged[w] = false
	:: else
	fi
}

proctype sender(byte me)
{
	bool has_room;
#ifdef SABOTAGE_SLEEP_NOT_SEQ_CST
	bool buffered_bit;
#endif

	do
	:: atomic { there && queued < SIZE -> queued++ }
	:: true ->
		bell[me] = false;
#ifdef SABOTAGE_BIT_BEFORE_WORD
		bit_of[me] = true;
		atomic { set_asleep(me) };
#else
		atomic { set_asleep(me) };
#ifdef SABOTAGE_SLEEP_NOT_SEQ_CST
		buffered_bit = true;
#else
#ifndef SABOTAGE_LOOK_BEFORE_BIT
		bit_of[me] = true;
#endif
#endif
#endif
		has_room = room;
#ifdef SABOTAGE_LOOK_BEFORE_BIT
		bit_of[me] = true;
#endif
		if
		:: has_room
		:: !has_room ->
			blocked[me] = true;
			atomic { bell[me] -> blocked[me] = false }
		fi;
		atomic {
#ifdef SABOTAGE_SLEEP_NOT_SEQ_CST
			if
			:: buffered_bit -> bit_of[me] = true; buffered_bit = false
			:: else
			fi;
#endif
			has_room = false;
			set_awake(me)
		}
	od
}

/* The bell first: who dies in between leaves a word that says asleep. */
inline ring(w)
{
	atomic { seen = asleep[w]; word_unchanged[w] = asleep[w] };
	if
	:: seen ->
		bell[w] = true;
		atomic {
			if
			:: word_unchanged[w] -> asleep[w] = false
			:: else
			fi;
			word_unchanged[w] = false;
			seen = false
		}
	:: else
	fi
}

inline may_die()
{
	if
	:: true
	:: goto killed
	fi
}

inline serve(w)
{
#ifdef SABOTAGE_BIT_TAKEN_LAST
	if
	:: bit_of[w] -> ring(w); may_die(); bit_of[w] = false
	:: else
	fi
#else
	atomic { taken = bit_of[w]; bit_of[w] = false };
	may_die();
	if
	:: taken -> ring(w); taken = false
	:: else
	fi;
#endif
	may_die()
}

active proctype receiver()
{
	bool seen, taken;

again:
	do
	:: atomic { there && queued > 0 -> receiver_rests = false };
	   may_die();
#ifdef SABOTAGE_MAP_BEFORE_ROOM
	   serve(0);
	   serve(1);
	   queued--;
#else
#ifdef SABOTAGE_ROOM_NOT_SEQ_CST
	   buffered_room = true;
#else
	   queued--;
#endif
	   may_die();
	   serve(0);
	   serve(1);
#ifdef SABOTAGE_ROOM_NOT_SEQ_CST
	   atomic {
		if
		:: buffered_room -> queued--; buffered_room = false
		:: else
		fi
	   };
#endif
#endif
	   receiver_rests = true
	:: atomic { there -> receiver_rests = false; goto killed }
	od;
killed:
	/* Recovered by somebody: the word is taken away, then all who sleep are rung. */
	taken = false;
	seen = false;
	there = false;
#ifdef SABOTAGE_ROOM_NOT_SEQ_CST
	buffered_room = false;
#endif
#ifndef SABOTAGE_RECOVERY_IS_SILENT
	ring(0);
	ring(1);
#endif
	receiver_rests = true;
	atomic { !there -> queued = 0; there = true };
	goto again
}

#ifdef SABOTAGE_ROOM_NOT_SEQ_CST
active proctype memory()
{
end:	do
	:: atomic { buffered_room -> queued--; buffered_room = false }
	od
}
#endif

active proctype monitor()
{
end:	atomic { lost_wakeup(0) || lost_wakeup(1) -> assert(false) }
}

init {
	atomic {
		run sender(0);
		run sender(1)
	}
}
