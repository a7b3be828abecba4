/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "event/watch.h"

int nmx__watch_fd(const struct nmx__watch *w)
{
	int fd = w->rx ? nmx_rx_pollfd(w->rx).fd : nmx_tx_pollfd(w->tx).fd;

	if (fd >= 0)
		return fd;
	/* Only a sync tells a forked child what it is, and does nothing else there. */
	int n = w->rx ? nmx_rx_sync(w->rx) : nmx_tx_sync(w->tx);
	return n == NMX_ERR_FORKED ? n : NMX_ERR_NO_MEMORY;
}

static void tell(struct nmx__watch *w, int err)
{
	if (w->rx)
		w->on_packets(w->rx, err, w->arg);
	else
		w->on_room(w->tx, err, w->arg);
}

void nmx__watch_end(struct nmx__watch *w, int err)
{
	w->on = false;
	w->want = 0;
	tell(w, err);
}

void nmx__watch_close_ring(struct nmx__watch *w)
{
	nmx_rx_close(w->rx);
	nmx_tx_close(w->tx);
}

static enum nmx__next rx_turn(struct nmx__watch *w)
{
	const struct netmap_ring *ring = w->rx->ring;
	int n = nmx_rx_sync(w->rx);
	uint32_t before = ring->cur;

	if (n == 0)
		return NMX__WAIT;
	if (n < 0) {
		nmx__watch_end(w, n);
	} else {
		w->said = false;
		tell(w, 0);
		if (!w->said) /* frames that nobody takes would be offered for ever */
			w->on = ring->cur != before;
	}
	return w->on ? NMX__AGAIN : NMX__REST;
}

/* cur is the point to wake up at, as in netmap(4): from there on there is nothing free now.  0: the descriptor is armed
 * for whatever comes beyond it. */
static int sync_for_more(struct nmx_tx *tx)
{
	uint32_t cur = tx->ring->cur;
	int n;

	tx->ring->cur = tx->ring->tail;
	n = nmx_tx_sync(tx);
	if (n != NMX_ERR_RESET) /* which puts the cursors right itself */
		tx->ring->cur = cur;
	return n;
}

static uint32_t free_slots(const struct nmx_tx *tx)
{
	return nmx__distance(tx->ring->head, tx->ring->tail, tx->num_slots);
}

static enum nmx__next tx_turn(struct nmx__watch *w)
{
	uint32_t all = w->tx->num_slots - 1, want = w->want < all ? w->want : all;
	int n = nmx_tx_sync(w->tx);

	w->on = want > 0;
	if (n >= 0 && !w->on)
		return NMX__REST;
	if (n >= 0 && free_slots(w->tx) < want) {
		if (n > 0) /* otherwise it is armed */
			n = sync_for_more(w->tx);
		if (n >= 0)
			return n > 0 ? NMX__AGAIN : NMX__WAIT;
	}
	nmx__watch_end(w, n < 0 ? n : 0);
	return w->on ? NMX__AGAIN : NMX__REST;
}

enum nmx__next nmx__watch_turn(struct nmx__watch *w) { return w->rx ? rx_turn(w) : tx_turn(w); }
