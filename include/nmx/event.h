/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nmx/event.h: rings in event loops.  nmx_uv_*: in a loop of libuv, library nmx-uv.  nmx_uring_*: in a program's own
 * io_uring, library nmx-uring.  Both are built on <nmx/ring.h> alone, and behave the same.
 *
 * receiver  a receive ring in a loop: calls back when packets are waiting
 * sender    a transmit ring in a loop: hands over what was committed, calls back when there is room
 * turn      what a loop does between two waits
 *
 * Receiving: the callback takes as many of the waiting frames as it likes, with any call of <nmx/ring.h> but
 * nmx_rx_sync().  They are valid until it returns; nmx_frame_take() keeps one longer.  What it leaves is offered
 * again in the next turn; if it takes none at all, the receiver stops, until it is started again: so to hold a packet
 * back, leave it where it is and start the receiver when there is room for it.
 *
 * Sending: write packets into the ring with any call of <nmx/ring.h> and flush: they are handed over, all at once, before
 * the loop sleeps.  A full ring refuses (NMX_ERR_WOULD_BLOCK, or a batch of fewer slots), nothing is dropped: want()
 * then calls back when there is room, and when asked for all slots, once the other end has taken everything, as
 * nmx_tx_drain() has it.
 *
 * Errors: a receiver that met one has stopped, a sender wants nothing any more; the callback has it as err, once.  After
 * NMX_ERR_PEER_GONE, NMX_ERR_LINK_DOWN and NMX_ERR_RESET (see nmx_rx_sync()) one can go on: start, or want, again.
 * After others, and at the end of a capture, close.
 *
 * Life: opening one takes the ring over: it is closed with it and must not be closed otherwise.  The port may be closed
 * before or after.  Closing is right at any time, in any callback, in any order: nothing is called back from then on but
 * `closed` (may be NULL), a turn later, when the ring has been closed and all of it is free.  Until then frames at hand
 * stay valid, and a second close does nothing; then there is nothing to close any more.  What was flushed is handed over;
 * of a pipe it is lost if both ends are closed before it was taken.
 *
 * Fairness: each receiver and each sender has one sync and one callback in a turn of the loop, for at most a ring full of
 * packets, and then another turn at once.  It sleeps when a sync has found nothing, and wakes up for packets, for room, and
 * about once a second.
 *
 * Threads: all calls are made by the thread that runs the loop, and callbacks come there.  A ring that another thread has
 * used is handed over with nmx_rx_unbind() or nmx_tx_unbind() before.  After a fork the child has none of this.
 */
#ifndef NMX_EVENT_H
#define NMX_EVENT_H

#include <nmx/nmx.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s; /* uv_loop_t */
struct io_uring;
struct io_uring_cqe;

/* err: 0: frames are waiting, nmx_rx_for_each() shows them; otherwise there are none, and the receiver has stopped. */
typedef void nmx_on_packets(struct nmx_rx *rx, int err, void *arg);
/* err: 0: there is as much room as was wanted; otherwise nothing is wanted any more. */
typedef void nmx_on_room(struct nmx_tx *tx, int err, void *arg);
typedef void nmx_on_closed(void *arg);

/* ---------------------------------------------------------------- libuv */

struct nmx_uv_rx;
struct nmx_uv_tx;

/* Receives on rx in the loop, from its next turn on, until stopped or closed.  *receiver is written only on success;
 * otherwise the ring stays the caller's.  A receiver that is started keeps uv_run() running.
 * Errors: NMX_ERR_NO_MEMORY  of the heap, or no descriptor for the ring is to be had (see nmx_rx_pollfd())
 *         NMX_ERR_BUSY       the ring is in this loop already
 *         NMX_ERR_FORKED     this process is a child of the one that opened the port
 *         NMX_ERR_IO         the loop cannot watch the descriptor */
NMX_MUST_CHECK int nmx_uv_rx_open(struct nmx_uv_rx **receiver, struct uv_loop_s *loop, struct nmx_rx *rx, nmx_on_packets *fn,
                                  void *arg);
void nmx_uv_rx_stop(struct nmx_uv_rx *receiver);  /* no callbacks from now on; packets wait.  Stopped already: nothing */
void nmx_uv_rx_start(struct nmx_uv_rx *receiver); /* goes on; what is waiting is offered in the loop's next turn */
void nmx_uv_rx_close(struct nmx_uv_rx *receiver, nmx_on_closed *closed); /* NULL is fine.  Closing already: nothing */

/* Sends on tx in the loop.  arg is for fn and `closed`.  Keeps uv_run() running while something is to be flushed or
 * wanted.  Errors as nmx_uv_rx_open(). */
NMX_MUST_CHECK int nmx_uv_tx_open(struct nmx_uv_tx **sender, struct uv_loop_s *loop, struct nmx_tx *tx, nmx_on_room *fn,
                                  void *arg);
/* Hands over what is committed, and what will be until then, before the loop sleeps: call it as often as you like. */
void nmx_uv_tx_flush(struct nmx_uv_tx *sender);
/* Flushes, and calls fn once, in one of the loop's next turns, when so many slots are free.  0: 1.  More than the ring
 * has: all of them, that is when the other end has taken everything.  A second call before that replaces the first. */
void nmx_uv_tx_want(struct nmx_uv_tx *sender, uint32_t slots);
void nmx_uv_tx_close(struct nmx_uv_tx *sender, nmx_on_closed *closed); /* NULL is fine.  Closing already: nothing */

/* ---------------------------------------------------------------- io_uring
 *
 * The program has the io_uring, submits and waits; the loop's turn is nmx_uring_turn(), and nothing is called back but
 * by it:
 *
 *     for (;;) {
 *         int more = nmx_uring_turn(loop);              // calls back, and queues what there is to submit
 *         if (more)
 *             io_uring_submit_and_get_events(uring);
 *         else
 *             io_uring_submit_and_wait(uring, 1);
 *         io_uring_for_each_cqe(uring, head, cqe) {
 *             if (!nmx_uring_completion(loop, cqe))
 *                 mine(cqe);
 *             count++;
 *         }
 *         io_uring_cq_advance(uring, count);
 *     }
 *
 * Each ring has one poll request, multishot, of which nothing is submitted here: a full submission queue makes the turn
 * ask for another, after the program has submitted.  A multishot request that the kernel has ended (no
 * IORING_CQE_F_MORE: an overflow of the completion queue, lack of memory) is made again.  Completions that the program
 * does not hand in are wake-ups lost.  The kernel needs multishot polls: Linux 5.13. */

/* Bits 63 to 48 of user_data of our requests.  Pointers and small numbers have others, and so must the program's own. */
#define NMX_URING_TAG 0x6e6du

struct nmx_uring;
struct nmx_uring_rx;
struct nmx_uring_tx;

/* One for each io_uring, which the program has initialised, with any flags but IORING_SETUP_IOPOLL, and which it uses in
 * this thread alone.  It may be exited before or after nmx_uring_close().
 * Errors: NMX_ERR_NO_MEMORY */
NMX_MUST_CHECK int nmx_uring_open(struct nmx_uring **loop, struct io_uring *uring);
/* Closes also what is still open in it, without calling back; in a callback, when the turn is over.  The kernel keeps the
 * polls of that until the io_uring is exited: who goes on with the io_uring closes receivers and senders first, and turns
 * until they are.  NULL is fine. */
void nmx_uring_close(struct nmx_uring *loop);

/* One turn.  Call it before every wait, not in a callback.  Returns 1: more is due, submit and call it again without
 * sleeping; 0: submit, and sleep until there is a completion. */
int nmx_uring_turn(struct nmx_uring *loop);
/* Whether it was one of ours; then it has been noted, and the next turn acts on it.  To be called for each completion,
 * before it is marked as seen. */
bool nmx_uring_completion(struct nmx_uring *loop, const struct io_uring_cqe *cqe);

/* As nmx_uv_rx_open() and so on.  Errors: NMX_ERR_NO_MEMORY, NMX_ERR_BUSY, NMX_ERR_FORKED.  A ring whose descriptor the kernel does not
 * let an io_uring poll has NMX_ERR_IO or NMX_ERR_NO_MEMORY in its callback. */
NMX_MUST_CHECK int nmx_uring_rx_open(struct nmx_uring_rx **receiver, struct nmx_uring *loop, struct nmx_rx *rx,
                                     nmx_on_packets *fn, void *arg);
void nmx_uring_rx_stop(struct nmx_uring_rx *receiver);
void nmx_uring_rx_start(struct nmx_uring_rx *receiver);
void nmx_uring_rx_close(struct nmx_uring_rx *receiver, nmx_on_closed *closed);

NMX_MUST_CHECK int nmx_uring_tx_open(struct nmx_uring_tx **sender, struct nmx_uring *loop, struct nmx_tx *tx, nmx_on_room *fn,
                                     void *arg);
void nmx_uring_tx_flush(struct nmx_uring_tx *sender);
void nmx_uring_tx_want(struct nmx_uring_tx *sender, uint32_t slots);
void nmx_uring_tx_close(struct nmx_uring_tx *sender, nmx_on_closed *closed);

#ifdef __cplusplus
}
#endif
#endif
