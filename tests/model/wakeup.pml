/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Sleeping and waking: no wake-up is lost, whoever is killed when.
 *
 * Models docs/segment-protocol.md, rules 25, 26 and 28: a receiver that sleeps
 * on its doorbell, and senders that may be killed between any two steps and
 * are succeeded. Two shapes:
 *   a pipe (default): one sender. The receiver also holds a pidfd of it; the
 *     slow tick does not exist here: the pidfd must suffice.
 *   -DQUEUE: two senders of one queue and no pidfd. A sender that died between
 *     its store of T and the doorbell leaves a packet that waits (`owed`) for
 *     the next packet of anybody, or for the slow tick; nothing else may.
 *     -DRECOVERY_RINGS: the recovery of a dead sender rings, and then nothing
 *     is left for the tick.
 *
 * The sleep word counts, odd is asleep. It is 32 bits wide and does not come
 * round while a waker stands still, so "equal to what I saw" is modelled as
 * "unchanged since I saw it": the word is its parity and, for each waker, a
 * flag. The doorbell is a FIFO, level triggered and drained whole: "has bytes".
 * T and H are one count of waiting packets, at most two.
 *
 * Spin's memory is sequentially consistent, and so are the seq_cst operations
 * that rule 25 asks for. -DSABOTAGE_NO_SEQ_CST gives each side a store buffer
 * of one entry, as x86 has, which a plain (release) store goes through and a
 * compare-and-swap or a death empties; -DSABOTAGE_COMMIT_NOT_SEQ_CST and
 * -DSABOTAGE_SLEEP_NOT_SEQ_CST give it to one side alone. For the pipe only:
 * in a queue the release of the lock word would need a place in the buffer.
 *
 * -DSABOTAGE_WORD_BEFORE_BELL (rule 26) fails for a queue only: in a pipe the
 * pidfd wakes the receiver of a sender that died between the two.
 *
 * The sender that waits for room is the mirror image: H for T, room for news,
 * its own sleep word and doorbell; so is the receiver's pidfd for its own.
 *
 * Left out: the bitmap of waiters of rule 30, arming (27), a stolen or flooded
 * doorbell (28: the tick), ownership (the other models).
 */

#ifdef SABOTAGE_NO_SEQ_CST
#define SABOTAGE_COMMIT_NOT_SEQ_CST
#define SABOTAGE_SLEEP_NOT_SEQ_CST
#endif
#ifdef SABOTAGE_COMMIT_NOT_SEQ_CST
#define STORE_BUFFERS
#define COMMIT_IS_BUFFERED
#endif
#ifdef SABOTAGE_SLEEP_NOT_SEQ_CST
#define STORE_BUFFERS
#define SLEEP_IS_BUFFERED
#endif

#ifdef QUEUE
#define SENDERS 2
#else
#define SENDERS 1
#endif
#define ROOM 2

mtype:state = { IDLE, BUSY, DEAD };
mtype:watch = { NOBODY, THE_SENDER, A_PREDECESSOR };

mtype:state sender_is[SENDERS] = IDLE;
byte  news;                  /* T - H */
bool  asleep;                /* the sleep word is odd */
bool  word_unchanged[SENDERS];
bool  bell;                  /* the doorbell has bytes */
mtype:watch pidfd_of = NOBODY;
bool  receiver_blocked;

/* For the property alone. */
bool  owed;                  /* a sender died before it rang: see above */
bool  answers[SENDERS];      /* its sync began after that */

#ifdef STORE_BUFFERS
bool  buffered_commit;       /* the sender's store buffer: T + 1 */
bool  buffered_sleep;        /* the receiver's: the word made odd */
#endif

#ifdef QUEUE
#define word_changed() \
	word_unchanged[0] = false; \
	word_unchanged[1] = false
#define nobody_answers() \
	answers[0] = false; \
	answers[1] = false
#define peer_died    false
#define senders_rest (sender_is[0] != BUSY && sender_is[1] != BUSY)
#else
#define word_changed() \
	word_unchanged[0] = false
#define nobody_answers() \
	answers[0] = false
#define peer_died    (pidfd_of == A_PREDECESSOR || \
		      (pidfd_of == THE_SENDER && sender_is[0] == DEAD))
#define senders_rest (sender_is[0] != BUSY)
#endif
#define can_wake (bell || peer_died)

#ifndef QUEUE
#define excused false
#else
#ifdef RECOVERY_RINGS
#define excused (sender_is[0] == DEAD || sender_is[1] == DEAD)
#else
#define excused owed
#endif
#endif

/* The sender is between its syncs or dead, and nothing will wake the sleeper
 * whose news are there to be seen. */
#define lost_wakeup \
	(receiver_blocked && !can_wake && news > 0 && senders_rest && !excused)

/* A step of a sender, or it is killed in its place. */
#define step(what) \
	if \
	:: atomic { what } \
	:: atomic { true -> goto killed } \
	fi

/* A sleeper in a foreign loop may come here with the word still odd: it gets a new number all the same, or a waker that
 * saw the old sleep, and rang for it, would wipe the new one. */
inline set_asleep()
{
#ifdef SABOTAGE_SAME_NUMBER_AGAIN
	if
	:: !asleep -> asleep = true; word_changed()
	:: else
	fi
#else
	asleep = true;
	word_changed()
#endif
}

/* s to s + 1, by whoever still sees the s that it saw. */
inline wake_word(me)
{
#ifdef SABOTAGE_ADD_WITHOUT_COMPARE
	asleep = !asleep;
	word_changed()
#else
#ifdef SABOTAGE_WORD_DOES_NOT_COUNT
	if
	:: asleep -> asleep = false; word_changed()
	:: else
	fi
#else
	if
	:: word_unchanged[me] -> asleep = false; word_changed()
	:: else
	fi
#endif
#endif
}

inline commit(me)
{
#ifdef COMMIT_IS_BUFFERED
	buffered_commit = true
#else
	news++
#endif
}

inline flush_commit()
{
#ifdef STORE_BUFFERS
	if
	:: buffered_commit -> news++; buffered_commit = false
	:: else
	fi
#else
	skip
#endif
}

inline flush_sleep()
{
#ifdef STORE_BUFFERS
	if
	:: buffered_sleep -> set_asleep(); buffered_sleep = false
	:: else
	fi
#else
	skip
#endif
}

#ifdef STORE_BUFFERS
#define still_buffered buffered_commit
#else
#define still_buffered false
#endif

/* Whoever sends after a death rings for the packet of the dead, too. */
inline rang_for_the_dead(me)
{
	if
	:: answers[me] -> owed = false
	:: else
	fi;
	answers[me] = false
}

/* Rules 25 and 26. */
inline transmit(me)
{
	atomic {
		news < ROOM && !still_buffered ->
		sender_is[me] = BUSY;
		answers[me] = owed
	};
#ifdef SABOTAGE_LOOK_BEFORE_COMMIT
	step(seen_asleep = asleep; word_unchanged[me] = asleep);
	step(commit(me));
#else
	step(commit(me));
	step(seen_asleep = asleep; word_unchanged[me] = asleep);
#endif
	if
	:: seen_asleep ->
#ifdef SABOTAGE_WORD_BEFORE_BELL
		step(wake_word(me));
		step(bell = true)
#else
		step(bell = true);
		step(flush_commit(); wake_word(me))
#endif
	:: else
	fi;
	step(seen_asleep = false;
	     word_unchanged[me] = false;
	     rang_for_the_dead(me);
	     sender_is[me] = IDLE)
}

proctype sender(byte me)
{
	bool seen_asleep;

idle:
	do
	:: transmit(me)
	:: atomic { true -> goto killed }
	od;
killed:
	atomic {
		flush_commit();
		if
		:: sender_is[me] == BUSY && news > 0 ->
			owed = true;
			nobody_answers()
		:: else
		fi;
		seen_asleep = false;
		word_unchanged[me] = false;
		answers[me] = false;
		sender_is[me] = DEAD
	};
	/* Its death is dealt with, and there is a successor. */
#ifdef RECOVERY_RINGS
#ifndef SABOTAGE_RECOVERY_IS_SILENT
	bell = true;
#endif
#endif
	atomic {
		sender_is[me] = IDLE;
		if
		:: pidfd_of == THE_SENDER -> pidfd_of = A_PREDECESSOR
		:: else
		fi
	};
#ifndef QUEUE
#ifndef SABOTAGE_SUCCESSOR_IS_SILENT
	/* The receiver may sleep without a pidfd, having closed that of the dead:
	 * ring before the first packet, so that it opens the new one. */
	step(bell = true);
#endif
#endif
	goto idle
}

/* A new peer's pidfd is opened, a dead one's closed; T is looked at later. */
inline look_at_peer()
{
	pidfd_of = (sender_is[0] == DEAD -> NOBODY : THE_SENDER)
}

active proctype receiver()
{
	bool nothing;

	do
	:: news > 0 ->
		atomic { news--; if :: news == 0 -> owed = false :: else fi }
	:: true ->
#ifdef SABOTAGE_PEER_BEFORE_DRAIN
		look_at_peer();
		bell = false;
#else
		bell = false;
		look_at_peer();
#endif
#ifdef SABOTAGE_LOOK_BEFORE_SLEEP_WORD
		nothing = (news == 0);
		set_asleep();
#else
#ifdef SLEEP_IS_BUFFERED
		buffered_sleep = true;
#else
		atomic { set_asleep() };
#endif
		nothing = (news == 0);
#endif
		if
		:: nothing ->
			receiver_blocked = true;
			atomic {
				can_wake ->
				receiver_blocked = false;
				nothing = false
			}
		:: !nothing
		fi;
		atomic {
			flush_sleep();
			if
			:: asleep -> asleep = false; word_changed()
			:: true /* a foreign loop: its descriptor was ready, and nothing is taken back */
			fi
		}
	od
}

#ifdef STORE_BUFFERS
active proctype memory()
{
	do
	:: atomic { buffered_commit -> flush_commit() }
	:: atomic { buffered_sleep -> flush_sleep() }
	od
}
#endif

active proctype monitor()
{
end:	atomic { lost_wakeup -> assert(false) }
}

init {
	byte k;

	atomic {
		do
		:: k < SENDERS -> run sender(k); k++
		:: else -> break
		od
	}
}
