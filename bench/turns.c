/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Round trips: a packet there and back, spinning and sleeping, against the least that does the same: the bare queue of
 * stream.c in both directions, and two eventfds without any packet. */
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <nmx/nmx.h>

#include "bench.h"

/* ---- the bare queue, both ways */

enum { STRIDE = 2048, MAX_SLOTS = 4096 };

struct lane {
	_Atomic uint32_t tail;
	uint8_t pad[124];
	struct {
		uint32_t buffer, len;
		uint64_t reserved;
	} queue[MAX_SLOTS];
};

static struct lanes {
	struct lane lane[2];
	uint8_t buffers[2][MAX_SLOTS + 2][STRIDE];
} * lanes;

static void lanes_prepare(const struct plan *plan)
{
	if (!lanes) {
		lanes = mmap(NULL, sizeof(*lanes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (lanes == MAP_FAILED)
			die("mmap", "no memory");
	}
	for (int way = 0; way < 2; way++) {
		lanes->lane[way].tail = 0;
		for (uint32_t i = 0; i < plan->slots; i++)
			lanes->lane[way].queue[i].buffer = i;
	}
}

/* One side: sends on `way`, receives on the other; each exchanges its own buffer for the one in the descriptor. */
struct side {
	uint32_t way, sent, received, full, empty, mask;
};

static struct side side_of(const struct plan *plan, uint32_t way)
{
	return (struct side){ .way = way, .full = plan->slots, .empty = plan->slots + 1, .mask = plan->slots - 1 };
}

static void lane_put(struct side *s, uint64_t seed)
{
	struct lane *lane = &lanes->lane[s->way];
	uint32_t at = s->sent++ & s->mask, spare = lane->queue[at].buffer;

	write_payload(lanes->buffers[s->way][s->full], 64, seed);
	lane->queue[at].buffer = s->full;
	lane->queue[at].len = 64;
	s->full = spare;
	atomic_store_explicit(&lane->tail, s->sent, memory_order_release);
}

static bool lane_get(struct side *s, struct meeting *m, uint64_t *sum)
{
	struct lane *lane = &lanes->lane[!s->way];
	uint32_t at = s->received & s->mask;

	while (atomic_load_explicit(&lane->tail, memory_order_acquire) == s->received)
		if (atomic_load_explicit(&m->stop, memory_order_relaxed))
			return false;
	uint32_t full = lane->queue[at].buffer;

	lane->queue[at].buffer = s->empty;
	s->empty = full;
	s->received++;
	*sum = read_payload(lanes->buffers[!s->way][full], lane->queue[at].len);
	return true;
}

static void lanes_answer(const struct plan *plan, struct meeting *m)
{
	struct side s = side_of(plan, 1);
	uint64_t sum;

	meet(m);
	while (lane_get(&s, m, &sum))
		lane_put(&s, sum);
}

static void lanes_ask(const struct plan *plan, struct meeting *m)
{
	uint64_t i = 0, sum = 0, all = 0;
	struct side s = side_of(plan, 0);
	struct window window;

	meet(m);
	window = window_open(plan);
	do {
		i++;
		lane_put(&s, i);
		if (!lane_get(&s, m, &sum))
			die("the bare queue", "no answer");
		all += sum;
	} while (!window_over(&window, i, m));
	m->checksum = all;
}

/* ---- two eventfds */

static int events[2] = { -1, -1 };

static void events_prepare(const struct plan *plan)
{
	(void)plan;
	for (int i = 0; i < 2; i++) {
		if (events[i] >= 0)
			close(events[i]);
		events[i] = eventfd(0, 0);
	}
}

static void events_answer(const struct plan *plan, struct meeting *m)
{
	uint64_t one = 1, got;

	(void)plan;
	meet(m);
	while (read(events[0], &got, sizeof(got)) == sizeof(got) && !m->stop)
		if (write(events[1], &one, sizeof(one)) < 0)
			die("write", "eventfd");
}

static void events_ask(const struct plan *plan, struct meeting *m)
{
	uint64_t one = 1, got, i = 0;
	struct window window;

	meet(m);
	window = window_open(plan);
	do {
		i++;
		if (write(events[0], &one, sizeof(one)) < 0 || read(events[1], &got, sizeof(got)) < 0)
			die("eventfd", "cannot be used");
	} while (!window_over(&window, i, m));
	if (write(events[0], &one, sizeof(one)) < 0) /* the other one sees the stop */
		die("write", "eventfd");
}

/* ---- nmx */

struct link {
	struct nmx_port *port;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
};

static struct link open_link(const struct plan *plan, const char *name)
{
	struct nmx_report why;
	struct link l;

	if (nmx_open(&l.port, name, &(struct nmx_options){ .directory = plan->directory, .tx_slots = plan->slots, .rx_slots = plan->slots }, &why) < 0)
		die("nmx_open", why.text);
	if (nmx_tx_ring(l.port, 0, &l.tx) < 0 || nmx_rx_ring(l.port, 0, &l.rx) < 0)
		die("nmx", "no rings");
	return l;
}

static void close_link(struct link *l)
{
	nmx_tx_close(l->tx);
	nmx_rx_close(l->rx);
	nmx_close(l->port);
}

/* The next packet; false when it is over. */
static bool get(struct link *l, struct nmx_frame *frame, bool sleeping, struct meeting *m)
{
	for (;;) {
		int n = nmx_rx_sync(l->rx);

		if (n > 0)
			return nmx_rx_recv(l->rx, frame);
		if (n < 0 || m->stop)
			return false;
		if (sleeping && nmx_rx_wait(l->rx, -1) < 0)
			return false;
	}
}

static void put(struct link *l, uint64_t seed)
{
	struct nmx_batch batch;
	uint8_t *data = NULL;

	if (nmx_tx_reserve(l->tx, 1, &batch) == 1)
		data = nmx_batch_packet(&batch, 64);
	if (!data)
		die("nmx", "no room");
	write_payload(data, 64, seed);
	nmx_batch_commit(&batch);
	int err = nmx_tx_sync(l->tx);
	if (err < 0 && err != NMX_ERR_PEER_GONE) /* it may be over already */
		die("nmx", nmx_strerror(err));
}

static void nmx_answer(const struct plan *plan, struct meeting *m, bool sleeping)
{
	struct link l = open_link(plan, "turn{1");
	struct nmx_frame frame;

	meet(m);
	while (get(&l, &frame, sleeping, m))
		put(&l, read_payload(frame.data, 64));
	close_link(&l);
}

static void nmx_ask(const struct plan *plan, struct meeting *m, bool sleeping)
{
	struct link l = open_link(plan, "turn}1");
	uint64_t i = 0, sum = 0;
	struct nmx_frame frame;
	struct window window;

	meet(m);
	window = window_open(plan);
	do {
		i++;
		put(&l, i);
		if (!get(&l, &frame, sleeping, m))
			die("nmx", "no answer");
		sum += read_payload(frame.data, 64);
	} while (!window_over(&window, i, m));
	m->checksum = sum;
	close_link(&l);
}

static void spin_answer(const struct plan *plan, struct meeting *m) { nmx_answer(plan, m, false); }
static void spin_ask(const struct plan *plan, struct meeting *m) { nmx_ask(plan, m, false); }
static void sleep_answer(const struct plan *plan, struct meeting *m) { nmx_answer(plan, m, true); }
static void sleep_ask(const struct plan *plan, struct meeting *m) { nmx_ask(plan, m, true); }

const struct contest bare_spin = { lanes_answer, lanes_ask, lanes_prepare };
const struct contest nmx_spin = { spin_answer, spin_ask, NULL };
const struct contest bare_sleep = { events_answer, events_ask, events_prepare };
const struct contest nmx_sleep = { sleep_answer, sleep_ask, NULL };
