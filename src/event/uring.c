/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Rings in a program's io_uring.  A multishot poll tells of changes only, so it may stay with the kernel while nobody
 * wants to know.  Completions are told from others' by user_data, which is no pointer, so that a stale one does no harm:
 *
 *   63      48 47 46       32 31              16 15          0
 *   | tag     |  | 0         | generation       | place      |       bit 47: of a removal
 */
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>

#include "event/watch.h"

#define PLACES       (1u << 16)
#define REMOVAL      (1ull << 47)
#define MOST_REFUSED 16 /* polls in a row that the kernel has ended with an error; then it is the ring's */

struct uring_watch {
	struct nmx__watch watch;
	struct nmx_uring *loop;
	nmx_on_closed *on_closed;
	uint64_t id;      /* user_data of its poll */
	int fd;
	bool due;         /* a turn, if the watch is on */
	bool waiting;     /* the poll is needed */
	bool polled;      /* the kernel has it */
	bool removed;     /* the kernel has a request to end it */
	bool closing;
	unsigned refused;
	int why_refused;  /* -errno */
};

struct nmx_uring_rx {
	struct uring_watch w;
};

struct nmx_uring_tx {
	struct uring_watch w;
};

struct nmx_uring {
	struct io_uring *uring;
	struct uring_watch **at; /* [num]: by place; NULL: free */
	uint32_t num;
	uint16_t generation;
	bool in_turn, closing;
};

/* ---- requests */

/* False: the submission queue is full. */
static bool prepare(struct uring_watch *w, bool removal)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(w->loop->uring);

	if (!sqe)
		return false;
	if (removal)
		io_uring_prep_poll_remove(sqe, w->id);
	else
		io_uring_prep_poll_multishot(sqe, w->fd, POLLIN);
	io_uring_sqe_set_data64(sqe, w->id | (removal ? REMOVAL : 0));
	return true;
}

static struct uring_watch *find(const struct nmx_uring *loop, uint64_t user_data)
{
	uint32_t place = (uint32_t)user_data % PLACES;
	struct uring_watch *w = place < loop->num ? loop->at[place] : NULL;

	return w && w->id == (user_data & ~REMOVAL) ? w : NULL;
}

static void poll_completed(struct uring_watch *w, const struct io_uring_cqe *cqe)
{
	w->polled = (cqe->flags & IORING_CQE_F_MORE) != 0;
	w->due = true;
	if (cqe->res >= 0) {
		w->refused = 0;
	} else {
		w->refused++;
		w->why_refused = cqe->res;
	}
}

bool nmx_uring_completion(struct nmx_uring *loop, const struct io_uring_cqe *cqe)
{
	uint64_t user_data = io_uring_cqe_get_data64(cqe);
	struct uring_watch *w;

	if (user_data >> 48 != NMX_URING_TAG)
		return false;
	w = find(loop, user_data);
	if (w && (user_data & REMOVAL))
		w->removed = false; /* in vain, if the poll was just at work: then once more */
	else if (w)
		poll_completed(w, cqe);
	return true;
}

/* ---- turns */

static void free_at(struct nmx_uring *loop, uint32_t place)
{
	struct uring_watch *w = loop->at[place];

	loop->at[place] = NULL;
	nmx__watch_close_ring(&w->watch);
	free(w);
}

static void close_on(struct nmx_uring *loop, uint32_t place)
{
	struct uring_watch *w = loop->at[place];
	nmx_on_closed *closed = w->on_closed;
	void *arg = w->watch.arg;

	if (w->polled && !w->removed)
		w->removed = prepare(w, true);
	if (w->polled || w->removed)
		return; /* until both have completed */
	free_at(loop, place);
	if (closed)
		closed(arg);
}

static void one_turn(struct uring_watch *w)
{
	w->due = false;
	if (w->refused > MOST_REFUSED) {
		w->refused = 0;
		w->waiting = false;
		nmx__watch_end(&w->watch, w->why_refused == -ENOMEM || w->why_refused == -ENOBUFS ? NMX_ERR_NO_MEMORY : NMX_ERR_IO);
		return;
	}
	switch (nmx__watch_turn(&w->watch)) {
	case NMX__AGAIN: w->due = true; break;
	case NMX__WAIT: w->waiting = true; break;
	case NMX__REST: w->waiting = false; break;
	}
}

/* Receivers first, so that what they forward goes in the same turn. */
static void turns_of(struct nmx_uring *loop, bool senders)
{
	for (uint32_t i = 0; i < loop->num && !loop->closing; i++) {
		struct uring_watch *w = loop->at[i];

		if (w && w->due && w->watch.on && !w->closing && (w->watch.tx != NULL) == senders)
			one_turn(w);
	}
}

static bool needs_poll(const struct uring_watch *w) { return w->waiting && w->watch.on && !w->polled; }

/* Something is to be done that no completion will tell of. */
static bool needs_turn(const struct uring_watch *w)
{
	return w->closing ? !w->removed : (w->due && w->watch.on) || needs_poll(w);
}

static void settle(struct nmx_uring *loop, uint32_t place)
{
	struct uring_watch *w = loop->at[place];

	if (w->closing)
		close_on(loop, place);
	else if (needs_poll(w))
		w->polled = prepare(w, false);
}

static void destroy(struct nmx_uring *loop)
{
	for (uint32_t i = 0; i < loop->num; i++)
		if (loop->at[i])
			free_at(loop, i);
	free(loop->at);
	free(loop);
}

int nmx_uring_turn(struct nmx_uring *loop)
{
	bool more = false;

	loop->in_turn = true;
	turns_of(loop, false);
	turns_of(loop, true);
	for (uint32_t i = 0; i < loop->num && !loop->closing; i++)
		if (loop->at[i])
			settle(loop, i);
	for (uint32_t i = 0; i < loop->num && !more; i++)
		more = loop->at[i] && needs_turn(loop->at[i]);
	loop->in_turn = false;
	if (loop->closing) {
		destroy(loop);
		return 0;
	}
	return more;
}

/* ---- life */

int nmx_uring_open(struct nmx_uring **out, struct io_uring *uring)
{
	struct nmx_uring *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NMX_ERR_NO_MEMORY;
	loop->uring = uring;
	*out = loop;
	return 0;
}

void nmx_uring_close(struct nmx_uring *loop)
{
	if (!loop)
		return;
	loop->closing = true;
	if (!loop->in_turn)
		destroy(loop);
}

static int add(struct nmx_uring *loop, struct uring_watch *w)
{
	struct uring_watch **more;
	uint32_t place = 0;

	for (uint32_t i = 0; i < loop->num; i++)
		if (loop->at[i] && loop->at[i]->fd == w->fd)
			return NMX_ERR_BUSY;
	while (place < loop->num && loop->at[place])
		place++;
	if (place == loop->num) {
		more = place < PLACES ? realloc(loop->at, (place + 1) * sizeof(struct uring_watch *)) : NULL;
		if (!more)
			return NMX_ERR_NO_MEMORY;
		loop->at = more;
		loop->num++;
	}
	loop->at[place] = w;
	w->loop = loop;
	w->id = (uint64_t)NMX_URING_TAG << 48 | (uint64_t)loop->generation++ << 16 | place;
	return 0;
}

static int open_watch(struct nmx_uring *loop, struct uring_watch *w)
{
	w->fd = nmx__watch_fd(&w->watch);
	return w->fd < 0 ? w->fd : add(loop, w);
}

static void close_watch(struct uring_watch *w, nmx_on_closed *closed)
{
	if (w->closing)
		return;
	w->on_closed = closed;
	w->closing = true;
	nmx__watch_start(&w->watch, false);
}

/* ---- receive */

int nmx_uring_rx_open(struct nmx_uring_rx **out, struct nmx_uring *loop, struct nmx_rx *rx, nmx_on_packets *fn, void *arg)
{
	struct nmx_uring_rx *receiver = calloc(1, sizeof(*receiver));
	int err;

	if (!receiver)
		return NMX_ERR_NO_MEMORY;
	receiver->w.watch = (struct nmx__watch){ .rx = rx, .on_packets = fn, .arg = arg };
	if ((err = open_watch(loop, &receiver->w)) < 0) {
		free(receiver);
		return err;
	}
	*out = receiver;
	nmx_uring_rx_start(receiver);
	return 0;
}

void nmx_uring_rx_stop(struct nmx_uring_rx *receiver) { nmx__watch_start(&receiver->w.watch, false); }

void nmx_uring_rx_start(struct nmx_uring_rx *receiver)
{
	nmx__watch_start(&receiver->w.watch, true);
	receiver->w.due = true;
}

void nmx_uring_rx_close(struct nmx_uring_rx *receiver, nmx_on_closed *closed)
{
	if (receiver)
		close_watch(&receiver->w, closed);
}

/* ---- send */

int nmx_uring_tx_open(struct nmx_uring_tx **out, struct nmx_uring *loop, struct nmx_tx *tx, nmx_on_room *fn, void *arg)
{
	struct nmx_uring_tx *sender = calloc(1, sizeof(*sender));
	int err;

	if (!sender)
		return NMX_ERR_NO_MEMORY;
	sender->w.watch = (struct nmx__watch){ .tx = tx, .on_room = fn, .arg = arg };
	if ((err = open_watch(loop, &sender->w)) < 0) {
		free(sender);
		return err;
	}
	*out = sender;
	return 0;
}

void nmx_uring_tx_flush(struct nmx_uring_tx *sender)
{
	sender->w.watch.on = true;
	sender->w.due = true;
}

void nmx_uring_tx_want(struct nmx_uring_tx *sender, uint32_t slots)
{
	nmx__watch_want(&sender->w.watch, slots);
	sender->w.due = true;
}

void nmx_uring_tx_close(struct nmx_uring_tx *sender, nmx_on_closed *closed)
{
	if (sender)
		close_watch(&sender->w, closed);
}
