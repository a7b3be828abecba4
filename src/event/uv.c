/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Rings in a loop of libuv.  A turn that is due at once is an idle handle: the loop does not sleep while one is active,
 * and comes to timers and other descriptors in between.
 */
#include <stdlib.h>
#include <uv.h>

#include "event/watch.h"

struct uv_watch {
	struct nmx__watch watch;
	uv_poll_t poll; /* stays active for a while when there is nothing to wait for: starting costs a system call */
	uv_idle_t idle;
	nmx_on_closed *on_closed;
	int handles; /* of these two, that libuv has */
};

struct nmx_uv_rx {
	struct uv_watch w;
};

struct nmx_uv_tx {
	struct uv_watch w;
};

static bool is_closing(const struct uv_watch *w) { return uv_is_closing((const uv_handle_t *)&w->idle); }
static bool is_due(const struct uv_watch *w) { return uv_is_active((const uv_handle_t *)&w->idle); }
static bool is_polling(const struct uv_watch *w) { return uv_is_active((const uv_handle_t *)&w->poll); }

static void on_idle(uv_idle_t *idle);
static void on_poll(uv_poll_t *poll, int status, int events);

static void make_due(struct uv_watch *w)
{
	if (!is_closing(w))
		uv_idle_start(&w->idle, on_idle);
}

static void rest(struct uv_watch *w)
{
	if (is_closing(w))
		return;
	uv_idle_stop(&w->idle);
	uv_unref((uv_handle_t *)&w->poll); /* active or not, it does not keep the loop running */
}

static void give_up(struct uv_watch *w)
{
	nmx__watch_end(&w->watch, NMX_ERR_IO);
	if (w->watch.on)
		make_due(w);
	else
		rest(w);
}

static void wait_for_it(struct uv_watch *w)
{
	if (is_closing(w))
		return;
	uv_idle_stop(&w->idle);
	uv_ref((uv_handle_t *)&w->poll);
	if (!is_polling(w) && uv_poll_start(&w->poll, UV_READABLE, on_poll) < 0)
		give_up(w);
}

static void go_on(struct uv_watch *w, enum nmx__next next)
{
	switch (next) {
	case NMX__REST: rest(w); break;
	case NMX__WAIT: wait_for_it(w); break;
	case NMX__AGAIN: make_due(w); break;
	}
}

static void on_idle(uv_idle_t *idle)
{
	struct uv_watch *w = idle->data;

	go_on(w, nmx__watch_turn(&w->watch));
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct uv_watch *w = poll->data;

	(void)events;
	if (is_due(w))
		return; /* comes anyway */
	if (!w->watch.on) {
		uv_poll_stop(poll);
		return;
	}
	if (status < 0)
		give_up(w);
	else
		go_on(w, nmx__watch_turn(&w->watch));
}

/* ---- life */

static int error_of(int uv) { return uv == UV_EEXIST ? NMX_ERR_BUSY : uv == UV_ENOMEM ? NMX_ERR_NO_MEMORY : NMX_ERR_IO; }

struct search {
	int fd;
	bool found;
};

static void compare(uv_handle_t *handle, void *arg)
{
	struct search *search = arg;
	uv_os_fd_t fd;

	if (handle->type == UV_POLL && uv_fileno(handle, &fd) == 0 && fd == search->fd)
		search->found = true;
}

/* uv_poll_init() looks at what the loop polls now; a ring that is busy, or stopped, is in the loop as well. */
static bool is_in_loop(uv_loop_t *loop, int fd)
{
	struct search search = { .fd = fd };

	uv_walk(loop, compare, &search);
	return search.found;
}

static int open_watch(struct uv_watch *w, uv_loop_t *loop)
{
	int fd = nmx__watch_fd(&w->watch), err;

	if (fd < 0)
		return fd;
	if (is_in_loop(loop, fd))
		return NMX_ERR_BUSY;
	if ((err = uv_poll_init(loop, &w->poll, fd)) < 0)
		return error_of(err);
	uv_idle_init(loop, &w->idle);
	w->poll.data = w->idle.data = w;
	w->handles = 2;
	rest(w);
	return 0;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct uv_watch *w = handle->data;
	nmx_on_closed *closed = w->on_closed;
	void *arg = w->watch.arg;

	if (--w->handles > 0)
		return;
	nmx__watch_close_ring(&w->watch);
	free(w);
	if (closed)
		closed(arg);
}

static void close_watch(struct uv_watch *w, nmx_on_closed *closed)
{
	if (is_closing(w))
		return;
	w->on_closed = closed;
	nmx__watch_start(&w->watch, false);
	uv_close((uv_handle_t *)&w->poll, on_handle_closed);
	uv_close((uv_handle_t *)&w->idle, on_handle_closed);
}

/* ---- receive */

int nmx_uv_rx_open(struct nmx_uv_rx **out, uv_loop_t *loop, struct nmx_rx *rx, nmx_on_packets *fn, void *arg)
{
	struct nmx_uv_rx *receiver = calloc(1, sizeof(*receiver));
	int err;

	if (!receiver)
		return NMX_ERR_NO_MEMORY;
	receiver->w.watch = (struct nmx__watch){ .rx = rx, .on_packets = fn, .arg = arg };
	if ((err = open_watch(&receiver->w, loop)) < 0) {
		free(receiver);
		return err;
	}
	*out = receiver;
	nmx_uv_rx_start(receiver);
	return 0;
}

void nmx_uv_rx_stop(struct nmx_uv_rx *receiver)
{
	nmx__watch_start(&receiver->w.watch, false);
	rest(&receiver->w);
}

void nmx_uv_rx_start(struct nmx_uv_rx *receiver)
{
	nmx__watch_start(&receiver->w.watch, true);
	make_due(&receiver->w);
}

void nmx_uv_rx_close(struct nmx_uv_rx *receiver, nmx_on_closed *closed)
{
	if (receiver)
		close_watch(&receiver->w, closed);
}

/* ---- send */

int nmx_uv_tx_open(struct nmx_uv_tx **out, uv_loop_t *loop, struct nmx_tx *tx, nmx_on_room *fn, void *arg)
{
	struct nmx_uv_tx *sender = calloc(1, sizeof(*sender));
	int err;

	if (!sender)
		return NMX_ERR_NO_MEMORY;
	sender->w.watch = (struct nmx__watch){ .tx = tx, .on_room = fn, .arg = arg };
	if ((err = open_watch(&sender->w, loop)) < 0) {
		free(sender);
		return err;
	}
	*out = sender;
	return 0;
}

void nmx_uv_tx_flush(struct nmx_uv_tx *sender)
{
	sender->w.watch.on = true;
	make_due(&sender->w);
}

void nmx_uv_tx_want(struct nmx_uv_tx *sender, uint32_t slots)
{
	nmx__watch_want(&sender->w.watch, slots);
	make_due(&sender->w);
}

void nmx_uv_tx_close(struct nmx_uv_tx *sender, nmx_on_closed *closed)
{
	if (sender)
		close_watch(&sender->w, closed);
}
