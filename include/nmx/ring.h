/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nmx/ring.h: packets.  Everything here is inline, plain loads and stores, except the syncs, the
 * waits and the calls that move a whole batch or a long packet.
 *
 * slot    one place of a ring: which buffer, how many bytes, flags
 * buffer  nmx_tx_max_len() usable bytes of a region; always in exactly one place
 * frame   a received buffer, still in its slot: yours until the next nmx_rx_sync() of its ring
 * buf     a buffer in your hand, in no slot: yours until you put it somewhere
 * packet  one frame, or a chain of frames where all but the last have NMX_MORE
 * batch   transmit slots that are being filled; nothing of it exists for others before commit
 * region  the memory that buffers live in; buffers move by exchange within one region
 *
 *  receive   head ---- cur ---------- tail        transmit   head ---- cur ---------- tail
 *             | yours:  | waiting:     |                      | chain   | free: yours  |
 *             | frames  | nmx_rx_recv  |                      | begun   | reserve, send|
 *
 *   nmx_rx_recv() moves cur.  nmx_rx_sync() gives [head, cur) back and brings a new tail.
 *   nmx_batch_commit(), nmx_tx_send(), _put(), _forward() move cur, and head with every whole
 *   packet.  nmx_tx_sync() hands over everything before head and brings a new tail.
 *
 * Three ways to receive, one rule for all: nmx_rx_for_each() for loops, nmx_rx_recv() for one,
 * nmx_rx_recv_batch() for an array.  A frame dies at the next nmx_rx_sync() of its ring, and at
 * nothing else.  Waiting, receiving more, and syncing other rings do not touch it.
 *
 * Threads: a ring, its frames and its batch belong to one thread at a time.  Nothing here locks.
 * Rings of one port may be used by as many threads as there are rings.  To hand one over, call
 * nmx_rx_unbind() or nmx_tx_unbind() and pass the pointer by anything that orders memory.
 *
 * Waiting, in one sentence: drain until a sync returns 0, then wait.  A sync that returns 0 has armed
 * the ring's descriptor, if that was ever asked for, so nothing that arrives after it can be missed.
 */
#ifndef NMX_RING_H
#define NMX_RING_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <nmx/error.h>
#include <nmx/netmap_abi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NMX_MORE NS_MOREFRAG /* frame.flags, buf.flags: the packet goes on in the next one */

/* Ring handles.  Owned by the library; get them from nmx_rx_ring() and nmx_tx_ring().
 * The fields are for the inlines below: use the functions. */
struct nmx_rx {
	struct netmap_ring *ring;
	uint8_t *bufs;      /* data of buffer 0 of the region */
	uint32_t *transit;  /* see nmx__exchange() */
	uint32_t num_slots;
	uint32_t buf_size;  /* bytes from one buffer to the next */
	uint32_t max_len;   /* bytes that a slot can carry */
	uint32_t region;
	uintptr_t owner;    /* checked builds: the thread that uses the ring */
	uint32_t turn;      /* checked library: syncs so far, never 0; 0 otherwise */
};

struct nmx_tx {
	struct netmap_ring *ring;
	uint8_t *bufs;
	uint32_t *transit;
	uint32_t num_slots;
	uint32_t buf_size;
	uint32_t max_len;
	uint32_t region;
	uintptr_t owner;
	uint32_t reserved;  /* slots in the batch that is open; 0 = none */
	uint32_t max_frags; /* slots that one packet may take */
};

/* A received frame.  data may be written (and the frame then forwarded); len may be shortened.
 * Dies at the next nmx_rx_sync() of its ring; nmx_frame_take() keeps the buffer beyond that.
 * Under AddressSanitizer a use after that stops at its line. */
struct nmx_frame {
	uint8_t *data;
	uint16_t len;   /* bytes of this frame; of a packet only when flags lacks NMX_MORE */
	uint16_t flags; /* NMX_MORE */
	uint32_t turn;            /* private: checked builds, which sync brought it; 0: not known */
	struct netmap_slot *slot; /* private */
	struct nmx_rx *rx;        /* private */
};

/* A buffer outside every ring: a value that you own.  Get spares from nmx_buf_get(), give them
 * back with nmx_buf_put().  Copying the struct does not copy the buffer: one of them is stale. */
struct nmx_buf {
	uint8_t *data;
	uint16_t len;
	uint16_t flags; /* NMX_MORE */
	uint32_t region;
	uint32_t *home; /* private: where the library keeps the buffer's index */
};

/* Transmit slots being filled, in order.  Lives on the caller's stack. */
struct nmx_batch {
	struct nmx_tx *tx;
	struct netmap_slot *slots; /* these five are tx's, here so that they stay in registers */
	uint8_t *bufs;
	uint32_t num_slots;
	uint32_t buf_size;
	uint32_t max_len;
	uint32_t next;  /* slot that the next packet goes to */
	uint32_t left;  /* slots not filled yet */
	uint32_t whole; /* slot after the last complete packet: what commit publishes */
};

/* What a program built with NMX_CHECKED calls; nothing, not even an evaluation, in any other.  Checked and
 * plain objects can be linked together: the structs are the same.  Both stop the program with a sentence on
 * standard error that names the ring, the slot and the caller. */
void nmx__trap(const void *ring_handle, uint32_t slot, const char *what, const char *file, int line)
    __attribute__((__noreturn__, __cold__));
void nmx__check_thread(const void *ring_handle, uintptr_t *owner, const char *file, int line);
void nmx__at(const char *file, int line); /* where the call is made that comes next: <nmx/checked.h> */
#ifdef NMX_CHECKED
#define NMX__CHECK(handle, slot, cond, what)                                                       \
	((cond) ? (void)0 : nmx__trap(handle, slot, what, __FILE__, __LINE__))
#define NMX__CHECK_THREAD(handle) nmx__check_thread(handle, &(handle)->owner, __FILE__, __LINE__)
#define NMX__TURN(rx)             ((rx)->turn)
#define NMX__BATCH_CLOSED(batch)  ((void)((batch)->slots = NULL))
#else
#define NMX__CHECK(handle, slot, cond, what) ((void)0)
#define NMX__CHECK_THREAD(handle)            ((void)0)
#define NMX__TURN(rx)                        0
#define NMX__BATCH_CLOSED(batch)             ((void)0)
#endif
#define nmx__unlikely(x) __builtin_expect(!!(x), 0)
#define NMX__GLUE_(a, b) a##b
#define NMX__GLUE(a, b)  NMX__GLUE_(a, b)

static inline uint32_t nmx__next(uint32_t i, uint32_t num_slots)
{
	return i + 1 == num_slots ? 0 : i + 1;
}

/* Slots from `from` up to `to`, going forward. */
static inline uint32_t nmx__distance(uint32_t from, uint32_t to, uint32_t num_slots)
{
	return to >= from ? to - from : to + num_slots - from;
}

/* Only checked builds call it.  [head, tail) is the caller's, the slot still has the frame's buffer, and that did not
 * go round and come back. */
static inline bool nmx__frame_is_live(const struct nmx_frame *frame)
{
	const struct nmx_rx *rx = frame->rx;
	const struct netmap_ring *ring = rx->ring;
	uint32_t at = (uint32_t)(frame->slot - ring->slot), n = rx->num_slots;

	if (frame->turn && rx->turn && frame->turn != rx->turn)
		return false;
	return frame->data && nmx__distance(ring->head, at, n) < nmx__distance(ring->head, ring->tail, n) &&
	       frame->data == rx->bufs + (size_t)frame->slot->buf_idx * rx->buf_size;
}

/* Exchanges the buffers of two places of one process.  If the process is killed half way, its rings are
 * searched for buffers: one found twice is harmless, one found nowhere is lost.  So what is about to be
 * overwritten is first noted in *transit.  The stores are volatile because their order, as a signal
 * would see it, is what matters; no other thread looks. */
static inline void nmx__exchange(uint32_t *transit, uint32_t *to, uint32_t *from)
{
	uint32_t spare = *to;

	*(volatile uint32_t *)transit = spare;
	*(volatile uint32_t *)to = *from;
	*(volatile uint32_t *)from = spare;
	*(volatile uint32_t *)transit = 0;
}

/* ---------------------------------------------------------------- receive */

/* Gives back every frame received so far (they are dead after this call, also when it fails) and brings in
 * what has arrived.  Returns the number of slots waiting, unread ones included; 0 = nothing, and the
 * descriptor, if it was ever asked for, is armed.  netmap(4), NIOCRXSYNC.
 * Errors: NMX_ERR_RESET      head, cur or a buffer index was out of range (only a program that writes the
 *                            ring itself can do that); the cursors were put right and the ring can be
 *                            used again (an index must be put right by who overwrote it)
 *         NMX_ERR_PEER_GONE  everything that the other end sent has been received, and it has closed or
 *                            died; said once, the ring can be used again and another end may come.  Of a
 *                            capture: it has ended; said each time
 *         NMX_ERR_LINK_DOWN  the interface is down; said once each time, the ring can be used again and
 *                            traffic goes on when it is up: no reason to end
 *         NMX_ERR_CORRUPT    the other end, or a device, wrote nonsense into shared memory: close
 *         NMX_ERR_GONE       interface, peer memory or port is no more: close
 *         NMX_ERR_IO         the kernel refused, or a capture ended badly
 *         NMX_ERR_FORKED     this process is a child of the one that opened the port */
NMX_MUST_CHECK int nmx_rx_sync(struct nmx_rx *rx);

/* Waits until a sync of rx would find something or fail, timeout_ms passed (-1: for ever), a signal came, or
 * this thread is a worker (<nmx/worker.h>) that is asked to stop.
 * Never touches the ring: frames stay valid; returns 1 at once while frames have been received and not
 * given back, or are waiting, for a sync would then do something.  Returns 1, 0 (time is up, a signal, a stop),
 * or an error as nmx_rx_sync(). */
NMX_MUST_CHECK int nmx_rx_wait(struct nmx_rx *rx, int timeout_ms);

/* For foreign loops: the descriptor and the events to ask for, level triggered.  The same for the life of
 * rx; do not read, write or close it.  After it was asked for, every sync that finds nothing arms it.
 * It may also become ready for nothing, at most once a second.  fd is -1 when it cannot be had (no
 * descriptors left, or a forked child). */
struct pollfd nmx_rx_pollfd(struct nmx_rx *rx);

/* Slots waiting to be received, as of the last sync. */
static inline uint32_t nmx_rx_waiting(const struct nmx_rx *rx)
{
	return nmx__distance(rx->ring->cur, rx->ring->tail, rx->num_slots);
}

/* Looks at the first waiting frame and leaves it there.  False: nothing is waiting. */
static inline bool nmx_rx_peek(struct nmx_rx *rx, struct nmx_frame *frame)
{
	struct netmap_ring *ring = rx->ring;
	uint32_t cur = ring->cur;

	NMX__CHECK_THREAD(rx);
	if (cur == ring->tail)
		return false;
	struct netmap_slot *slot = &ring->slot[cur];
	frame->data = rx->bufs + (size_t)slot->buf_idx * rx->buf_size;
	frame->len = slot->len;
	frame->flags = slot->flags & NMX_MORE;
	frame->turn = NMX__TURN(rx);
	frame->slot = slot;
	frame->rx = rx;
	return true;
}

/* Steps over the frame that nmx_rx_peek() showed: it is received now. */
static inline void nmx_rx_next(struct nmx_rx *rx)
{
	NMX__CHECK_THREAD(rx);
	NMX__CHECK(rx, rx->ring->cur, rx->ring->cur != rx->ring->tail, "nmx_rx_next: nothing is waiting");
	rx->ring->cur = nmx__next(rx->ring->cur, rx->num_slots);
}

/* Receives the next frame: peek and next.  False: nothing is waiting; sync. */
static inline bool nmx_rx_recv(struct nmx_rx *rx, struct nmx_frame *frame)
{
	if (!nmx_rx_peek(rx, frame))
		return false;
	nmx_rx_next(rx);
	return true;
}

/* Receives every waiting frame, the cursor in a register.  A frame counts as received when its turn of
 * the loop ends or continues; leaving the loop by break, return or goto leaves the frame at hand
 * waiting, as if it had not been looked at.  Do not receive or sync rx inside.
 *     nmx_rx_for_each (rx, frame)
 *         if (nmx_tx_forward(tx, &frame) < 0)
 *             break;                                      // full: it stays first in line          */
struct nmx__walk {
	struct nmx_rx *rx;
	struct netmap_slot *slots;
	uint8_t *bufs;
	uint32_t at, tail, num_slots, buf_size;
	bool once;
};

static inline struct nmx__walk nmx__walk_start(struct nmx_rx *rx)
{
	struct netmap_ring *ring = rx->ring;
	struct nmx__walk walk = { rx, ring->slot, rx->bufs, ring->cur, ring->tail, rx->num_slots, rx->buf_size, true };

	NMX__CHECK_THREAD(rx);
	return walk;
}

static inline bool nmx__walk_frame(struct nmx__walk *walk, struct nmx_frame *frame)
{
	if (walk->at == walk->tail)
		return false;
	struct netmap_slot *slot = &walk->slots[walk->at];
	frame->data = walk->bufs + (size_t)slot->buf_idx * walk->buf_size;
	frame->len = slot->len;
	frame->flags = slot->flags & NMX_MORE;
	frame->turn = NMX__TURN(walk->rx);
	frame->slot = slot;
	frame->rx = walk->rx;
	return true;
}

static inline void nmx__walk_end(struct nmx__walk *walk) { walk->rx->ring->cur = walk->at; }

#define nmx_rx_for_each(rx_, frame_)            NMX__FOR_EACH(rx_, frame_, NMX__GLUE(nmx__walk_, __LINE__))
#define NMX__FOR_EACH(rx_, frame_, walk_)                                                          \
	for (struct nmx__walk walk_ __attribute__((__cleanup__(nmx__walk_end))) = nmx__walk_start(rx_);  \
	     walk_.once; walk_.once = false)                                                       \
		for (struct nmx_frame frame_; nmx__walk_frame(&walk_, &frame_);                    \
		     walk_.at = nmx__next(walk_.at, walk_.num_slots))

/* Receives up to max frames into an array, for code that wants to look at several at once.  Returns how
 * many.  Costs about twice nmx_rx_for_each(): the frames go through memory. */
static inline uint32_t nmx_rx_recv_batch(struct nmx_rx *rx, struct nmx_frame *frames, uint32_t max)
{
	struct nmx__walk walk = nmx__walk_start(rx);
	uint32_t n = 0;

	for (; n < max && nmx__walk_frame(&walk, &frames[n]); n++)
		walk.at = nmx__next(walk.at, walk.num_slots);
	nmx__walk_end(&walk);
	return n;
}

/* Receives the next packet by copying it, all fragments joined, into data.  Returns its bytes, or 0 when
 * nothing is waiting.
 * Errors: NMX_ERR_PACKET_TOO_LARGE  it has more than size bytes; it stays waiting, nothing was copied */
NMX_MUST_CHECK int nmx_rx_recv_copy(struct nmx_rx *rx, void *data, uint32_t size);

/* Keeps a frame beyond the next sync by exchanging its buffer with the spare in *buf: afterwards *buf is the
 * received data (len and flags included), the slot has the spare, and the frame is dead.
 * Errors: NMX_ERR_OTHER_REGION  the spare is of another region; nothing has changed. */
NMX_MUST_CHECK static inline int nmx_frame_take(struct nmx_frame *frame, struct nmx_buf *buf)
{
	struct netmap_slot *slot = frame->slot;
	struct nmx_rx *rx = frame->rx;

	NMX__CHECK_THREAD(rx);
	NMX__CHECK(rx, (uint32_t)(slot - rx->ring->slot), nmx__frame_is_live(frame), "nmx_frame_take: the frame is dead");
	if (nmx__unlikely(buf->region != rx->region))
		return NMX_ERR_OTHER_REGION;
	nmx__exchange(rx->transit, buf->home, &slot->buf_idx);
	slot->flags = NS_BUF_CHANGED;
	buf->data = frame->data;
	buf->len = frame->len;
	buf->flags = frame->flags;
	frame->data = NULL;
	return 0;
}

/* ---------------------------------------------------------------- transmit */

/* Hands over every committed packet and takes back the slots that are done.  Returns the number of free
 * slots; 0 = full, and the descriptor, if it was ever asked for, is armed.  When it has returned, what was
 * handed over survives the death of this process on pipes and switches.  An open batch is left alone.
 * netmap(4), NIOCTXSYNC.  Errors: as nmx_rx_sync(); NMX_ERR_PEER_GONE says that what is sent from now on
 * waits in the pipe for another end. */
NMX_MUST_CHECK int nmx_tx_sync(struct nmx_tx *tx);

/* Waits until a sync of tx would find at least `slots` free slots (0: 1; more than the ring has: all of
 * them), or fail.  Otherwise as nmx_rx_wait(). */
NMX_MUST_CHECK int nmx_tx_wait(struct nmx_tx *tx, uint32_t slots, int timeout_ms);

/* Syncs and waits until the other end has taken everything that was sent: before a close that must not lose
 * packets.  (A pipe keeps what was synced while either of its ends is open; with the last one it is gone.  Of
 * an interface the other end is its device: what that did not take is in drop_kernel.  Of a switch it is the
 * destinations' queues, which go with the ports they belong to.)
 * Returns 0, NMX_ERR_TIMED_OUT (time is up, or this is a worker that is asked to stop and has not been told:
 * <nmx/worker.h>), or as nmx_tx_sync(): NMX_ERR_PEER_GONE may come although everything was taken;
 * what nmx_tx_space() says after another nmx_tx_sync() tells. */
NMX_MUST_CHECK int nmx_tx_drain(struct nmx_tx *tx, int timeout_ms);

/* As nmx_rx_pollfd(): ready when there is room, and also as POLLIN. */
struct pollfd nmx_tx_pollfd(struct nmx_tx *tx);

/* Free slots as of the last sync. */
static inline uint32_t nmx_tx_space(const struct nmx_tx *tx)
{
	return nmx__distance(tx->ring->cur, tx->ring->tail, tx->num_slots) - tx->reserved;
}

/* Bytes that one slot can carry. */
static inline uint32_t nmx_tx_max_len(const struct nmx_tx *tx) { return tx->max_len; }

/* Opens a batch of up to `want` slots.  Returns how many it got; 0 (the ring is full) is an empty batch,
 * which may be committed like any other.  Commit or cancel must follow.
 * Errors: NMX_ERR_BUSY  a batch of this ring is open, or a chain begun by _put() or _forward() lacks
 * its end; *batch is then not one. */
NMX_MUST_CHECK static inline int nmx_tx_reserve(struct nmx_tx *tx, uint32_t want, struct nmx_batch *batch)
{
	NMX__CHECK_THREAD(tx);
	if (nmx__unlikely(tx->reserved != 0 || tx->ring->head != tx->ring->cur))
		return NMX_ERR_BUSY;
	uint32_t space = nmx_tx_space(tx);
	uint32_t got = want < space ? want : space;
	batch->tx = tx;
	batch->slots = tx->ring->slot;
	batch->bufs = tx->bufs;
	batch->num_slots = tx->num_slots;
	batch->buf_size = tx->buf_size;
	batch->max_len = tx->max_len;
	batch->next = batch->whole = tx->ring->head;
	batch->left = got;
	tx->reserved = got;
	return (int)got;
}

/* NS_BUF_CHANGED outlives a cancel: the backend has not seen the exchange yet. */
static inline void nmx__slot_fill(struct netmap_slot *slot, uint32_t len, uint32_t flags)
{
	slot->len = (uint16_t)len;
	slot->flags = (uint16_t)((slot->flags & NS_BUF_CHANGED) | flags);
}

static inline uint8_t *nmx__batch_add(struct nmx_batch *batch, uint32_t len, uint32_t flags)
{
	NMX__CHECK(batch->tx, batch->next, batch->slots, "nmx_batch_packet: the batch is not open");
	if (nmx__unlikely(batch->left == 0 || len - 1 >= batch->max_len)) /* len 0 wraps: refused */
		return NULL;
	struct netmap_slot *slot = &batch->slots[batch->next];
	nmx__slot_fill(slot, len, flags);
	batch->next = nmx__next(batch->next, batch->num_slots);
	batch->left--;
	if (!flags)
		batch->whole = batch->next;
	return batch->bufs + (size_t)slot->buf_idx * batch->buf_size;
}

/* The next packet of the batch: where to write its len bytes.  The buffer's content is arbitrary.
 * NULL: the batch is used up, or len is 0 or more than nmx_tx_max_len(). */
NMX_MUST_CHECK static inline uint8_t *nmx_batch_packet(struct nmx_batch *batch, uint32_t len)
{
	return nmx__batch_add(batch, len, 0);
}

/* As nmx_batch_packet(), for a packet that goes on in the next slot; nmx_batch_packet() ends it.
 * NULL also when the packet would take more than the ring can chain (tx->max_frags slots). */
NMX_MUST_CHECK static inline uint8_t *nmx_batch_fragment(struct nmx_batch *batch, uint32_t len)
{
	if (nmx__unlikely(nmx__distance(batch->whole, batch->next, batch->num_slots) + 1 >= batch->tx->max_frags))
		return NULL;
	return nmx__batch_add(batch, len, NMX_MORE);
}

/* Shortens the packet or fragment just added, for when its length is known only after writing. */
static inline void nmx_batch_trim(struct nmx_batch *batch, uint32_t len)
{
	uint32_t last = (batch->next ? batch->next : batch->num_slots) - 1;

	NMX__CHECK(batch->tx, last, batch->slots, "nmx_batch_trim: the batch is not open");
	NMX__CHECK(batch->tx, last, len - 1 < batch->slots[last].len, "nmx_batch_trim: longer than it was, or empty");
	if (len - 1 < batch->slots[last].len)
		batch->slots[last].len = (uint16_t)len;
}

/* The slot of the packet or fragment just added, for what else netmap(4) keeps there: of a packet's first slot at a port of
 * a switch NS_NO_LEARN and NS_PORT_MASK in flags; NS_INDIRECT in flags of any, with ptr.  NULL: none was added yet. */
static inline struct netmap_slot *nmx_batch_slot(struct nmx_batch *batch)
{
	NMX__CHECK(batch->tx, batch->next, batch->slots, "nmx_batch_slot: the batch is not open");
	if (batch->next == batch->tx->ring->head)
		return NULL;
	return &batch->slots[(batch->next ? batch->next : batch->num_slots) - 1];
}

/* Closes the batch and makes its packets the ring's: they go at the next nmx_tx_sync().  Slots not
 * filled, and a chain without its end, are not sent.  Of a batch that is closed already, nothing is. */
static inline void nmx_batch_commit(struct nmx_batch *batch)
{
	struct nmx_tx *tx = batch->tx;

	NMX__CHECK_THREAD(tx);
	NMX__CHECK(tx, batch->whole, batch->slots && (tx->reserved || batch->whole == tx->ring->head),
	           "nmx_batch_commit: the batch is not open");
	NMX__BATCH_CLOSED(batch);
	if (nmx__unlikely(tx->reserved == 0)) /* empty, or closed already: what it knows of the ring is old */
		return;
	tx->ring->head = tx->ring->cur = batch->whole;
	tx->reserved = 0;
}

/* Closes the batch; nothing of it is sent. */
static inline void nmx_batch_cancel(struct nmx_batch *batch)
{
	batch->tx->reserved = 0;
	NMX__BATCH_CLOSED(batch);
}

/* Forgets the fragments of a packet that _put() or _forward() began and that will not be finished. */
static inline void nmx_tx_abandon(struct nmx_tx *tx) { tx->ring->cur = tx->ring->head; }

/* Private: the slot at cur, or NULL when there is none to give; nmx__tx_refuse() then says why. */
static inline struct netmap_slot *nmx__tx_slot(struct nmx_tx *tx, uint32_t flags)
{
	struct netmap_ring *ring = tx->ring;

	NMX__CHECK_THREAD(tx);
	if (nmx__unlikely(ring->cur == ring->tail || tx->reserved))
		return NULL;
	if (nmx__unlikely(flags & NMX_MORE) &&
	    nmx__distance(ring->head, ring->cur, tx->num_slots) + 1 >= tx->max_frags)
		return NULL;
	return &ring->slot[ring->cur];
}

static inline int nmx__tx_refuse(const struct nmx_tx *tx, uint32_t flags)
{
	const struct netmap_ring *ring = tx->ring;

	if (tx->reserved)
		return NMX_ERR_BUSY;
	if ((flags & NMX_MORE) && nmx__distance(ring->head, ring->cur, tx->num_slots) + 1 >= tx->max_frags)
		return NMX_ERR_PACKET_TOO_LARGE;
	return NMX_ERR_WOULD_BLOCK;
}

/* cur is where the next fragment goes, head follows when a packet is whole: a sync in the middle of
 * a chain sends nothing of it. */
static inline void nmx__tx_advance(struct nmx_tx *tx, uint32_t flags)
{
	struct netmap_ring *ring = tx->ring;
	uint32_t cur = nmx__next(ring->cur, tx->num_slots);

	ring->cur = cur;
	if (!(flags & NMX_MORE))
		ring->head = cur;
}

/* Copies one packet into the ring.  It goes at the next nmx_tx_sync().
 * Errors: NMX_ERR_WOULD_BLOCK       full: sync, wait
 *         NMX_ERR_PACKET_TOO_LARGE  len is 0 or more than nmx_tx_max_len(): nmx_tx_send_long()
 *         NMX_ERR_BUSY              a batch is open */
NMX_MUST_CHECK static inline int nmx_tx_send(struct nmx_tx *tx, const void *data, uint32_t len)
{
	struct netmap_slot *slot = nmx__tx_slot(tx, 0);

	if (nmx__unlikely(len - 1 >= tx->max_len))
		return NMX_ERR_PACKET_TOO_LARGE;
	if (nmx__unlikely(!slot))
		return nmx__tx_refuse(tx, 0);
	memcpy(tx->bufs + (size_t)slot->buf_idx * tx->buf_size, data, len);
	nmx__slot_fill(slot, len, 0);
	nmx__tx_advance(tx, 0);
	return 0;
}

/* As nmx_tx_send(), for a packet of any length: as many fragments as it takes, all or none.
 * Errors: NMX_ERR_PACKET_TOO_LARGE  len is 0 or takes more than tx->max_frags slots: it can never pass */
NMX_MUST_CHECK int nmx_tx_send_long(struct nmx_tx *tx, const void *data, uint32_t len);

/* Sends buf without a copy by exchanging it with the free slot's buffer: afterwards *buf is an empty spare.
 * Errors: NMX_ERR_WOULD_BLOCK, NMX_ERR_BUSY, NMX_ERR_OTHER_REGION, NMX_ERR_PACKET_TOO_LARGE (its length is 0
 * or more than a slot carries, or the chain has too many fragments: nmx_tx_abandon()); *buf is as it was. */
NMX_MUST_CHECK static inline int nmx_tx_put(struct nmx_tx *tx, struct nmx_buf *buf)
{
	struct netmap_slot *slot = nmx__tx_slot(tx, buf->flags);

	if (nmx__unlikely(!slot))
		return nmx__tx_refuse(tx, buf->flags);
	if (nmx__unlikely(buf->region != tx->region))
		return NMX_ERR_OTHER_REGION;
	if (nmx__unlikely((uint32_t)buf->len - 1 >= tx->max_len))
		return NMX_ERR_PACKET_TOO_LARGE;
	nmx__exchange(tx->transit, &slot->buf_idx, buf->home);
	slot->len = buf->len;
	slot->flags = (uint16_t)(NS_BUF_CHANGED | (buf->flags & NMX_MORE));
	nmx__tx_advance(tx, buf->flags);
	buf->data = tx->bufs + (size_t)*buf->home * tx->buf_size;
	buf->len = buf->flags = 0;
	return 0;
}

int nmx__forward_copy(struct nmx_tx *tx, struct nmx_frame *frame);

/* Sends a received (or peeked) frame on without a copy, as many bytes as frame->len says, by exchanging its
 * buffer with the free slot's; the frame is dead then.  Copies where the rings are of different regions
 * (nmx_same_region() tells).
 * Errors: NMX_ERR_WOULD_BLOCK       full; the frame is as it was: leave it waiting, do not step over it
 *         NMX_ERR_PACKET_TOO_LARGE  more than tx carries in a slot or a chain; nmx_tx_abandon() a chain */
NMX_MUST_CHECK static inline int nmx_tx_forward(struct nmx_tx *tx, struct nmx_frame *frame)
{
	struct netmap_slot *to = nmx__tx_slot(tx, frame->flags), *from = frame->slot;
	struct nmx_rx *rx = frame->rx;

	NMX__CHECK(rx, (uint32_t)(from - rx->ring->slot), nmx__frame_is_live(frame), "nmx_tx_forward: the frame is dead");
	if (nmx__unlikely(!to))
		return nmx__tx_refuse(tx, frame->flags);
	if (nmx__unlikely(rx->region != tx->region))
		return nmx__forward_copy(tx, frame);
	if (nmx__unlikely((uint32_t)frame->len - 1 >= tx->max_len))
		return NMX_ERR_PACKET_TOO_LARGE;
	nmx__exchange(tx->transit, &to->buf_idx, &from->buf_idx);
	to->len = frame->len;
	to->flags = (uint16_t)(NS_BUF_CHANGED | frame->flags);
	from->flags = NS_BUF_CHANGED;
	frame->data = NULL;
	nmx__tx_advance(tx, frame->flags);
	return 0;
}

/* Moves up to max waiting frames from rx to tx, by exchange where it can: nmx_tx_forward() for all, as one
 * call.  Waiting are those that have not been received: a program that has looked at them with
 * nmx_rx_for_each() has none left, and forwards one by one in that loop instead.
 * Stops before a packet that does not fit as a whole, so no chain is ever left half way.  Returns how many;
 * the rest stays waiting in rx.  A packet that can never pass tx is dropped and counted there
 * (drop_too_long).  Syncs nothing. */
uint32_t nmx_forward(struct nmx_rx *rx, struct nmx_tx *tx, uint32_t max);

static inline bool nmx_same_region(const struct nmx_rx *rx, const struct nmx_tx *tx)
{
	return rx->region == tx->region;
}

#ifdef __cplusplus
}
#endif
#include <nmx/checked.h> /* last: it gives the calls above other names */
#endif
