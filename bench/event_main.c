/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nmx-bench-event [--quick] [--json] [CASE...]
 *
 * Receiving in an event loop, against the plain spinning loop on the same pipe; waking up in it, against an eventfd in the
 * same loop; and how often it wakes up when there is nothing to do.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "event.h"

enum { ASLEEP_US = 60 /* after so long the other one has fallen asleep */, REST_SECONDS = 5 };

bool event_stop;

static struct nmx_port *open_end(const struct plan *plan, const char *name)
{
	struct nmx_report why;
	struct nmx_port *port;

	if (nmx_open(&port, name, &(struct nmx_options){ .directory = plan->directory, .tx_slots = plan->slots, .rx_slots = plan->slots }, &why) < 0)
		die("nmx_open", why.text);
	return port;
}

static struct nmx_rx *receiver_of(struct nmx_port *port)
{
	struct nmx_rx *rx;

	if (nmx_rx_ring(port, 0, &rx) < 0)
		die("nmx", "no receive ring");
	return rx;
}

static struct nmx_tx *sender_of(struct nmx_port *port)
{
	struct nmx_tx *tx;

	if (nmx_tx_ring(port, 0, &tx) < 0)
		die("nmx", "no transmit ring");
	return tx;
}

/* What the callbacks of a receiver know. */
struct seat {
	const struct plan *plan;
	struct meeting *m;
	struct window window;
	uint64_t count, sum, calls, late_ns, late_before;
};

static void sit_down(struct seat *seat, const struct plan *plan, struct meeting *m)
{
	*seat = (struct seat){ .plan = plan, .m = m };
	event_stop = false;
	meet(m);
	seat->window = window_open(plan);
}

/* ---- rate */

static void take_stream(struct nmx_rx *rx, int err, void *arg)
{
	struct seat *seat = arg;

	if (err < 0)
		die("nmx", nmx_strerror(err));
	seat->count += nmx_rx_waiting(rx);
	nmx_rx_for_each (rx, frame)
		seat->sum += read_payload(frame.data, frame.len);
	if (++seat->calls % 16 == 0 && window_over(&seat->window, seat->count, seat->m))
		event_stop = true;
}

static void stream_send(const struct plan *plan, struct meeting *m) { nmx_stream.first(plan, m); }

static void stream_receive(const struct plan *plan, struct meeting *m)
{
	struct nmx_port *port = open_end(plan, "bench}1");
	struct seat seat;

	sit_down(&seat, plan, m);
	plan->loop->receive(receiver_of(port), take_stream, &seat);
	m->checksum = seat.sum;
	nmx_close(port);
}

static const struct contest event_stream = { stream_send, stream_receive, NULL };

/* ---- waking up: the one waits until the other sleeps, and says when it woke it */

/* False: it is over. */
static bool until_it_sleeps(struct meeting *m, uint64_t turn)
{
	uint64_t asleep;

	while (atomic_load(&m->turn) < turn)
		if (atomic_load(&m->stop))
			return false;
	for (asleep = now_ns() + ASLEEP_US * 1000; now_ns() < asleep;)
		spin_hint();
	return !atomic_load(&m->stop);
}

static void woken(struct seat *seat, uint64_t sent_ns)
{
	seat->late_ns += now_ns() - sent_ns;
	seat->count++;
	if (window_over(&seat->window, seat->count, seat->m)) {
		seat->m->elapsed_ns = seat->late_ns - seat->late_before;
		event_stop = true;
	} else if (seat->window.began_at && seat->late_before == 0) {
		seat->late_before = seat->late_ns;
	}
	atomic_fetch_add(&seat->m->turn, 1);
}

static void wake_send(const struct plan *plan, struct meeting *m)
{
	struct nmx_port *port = open_end(plan, "wake{1");
	struct nmx_tx *tx = sender_of(port);

	meet(m);
	for (uint64_t turn = 0; until_it_sleeps(m, turn); turn++) {
		uint64_t now = now_ns();
		int err = nmx_tx_send(tx, &now, sizeof(now));

		if (err == 0)
			err = nmx_tx_sync(tx);
		if (err < 0 && err != NMX_ERR_PEER_GONE) /* by what it got with this it may have ended */
			die("nmx", nmx_strerror(err));
	}
	nmx_tx_close(tx);
	nmx_close(port);
}

static void take_stamp(struct nmx_rx *rx, int err, void *arg)
{
	uint64_t sent_ns;

	if (err < 0)
		die("nmx", nmx_strerror(err));
	nmx_rx_for_each (rx, frame) {
		memcpy(&sent_ns, frame.data, sizeof(sent_ns));
		woken(arg, sent_ns);
	}
}

static void wake_receive(const struct plan *plan, struct meeting *m)
{
	struct nmx_port *port = open_end(plan, "wake}1");
	struct seat seat;

	sit_down(&seat, plan, m);
	plan->loop->receive(receiver_of(port), take_stamp, &seat);
	nmx_close(port);
}

static int event_fd = -1;

static void bare_prepare(const struct plan *plan)
{
	(void)plan;
	if (event_fd >= 0)
		close(event_fd);
	event_fd = eventfd(0, EFD_NONBLOCK);
	if (event_fd < 0)
		die("eventfd", strerror(errno));
}

static void bare_wake(const struct plan *plan, struct meeting *m)
{
	uint64_t one = 1;

	(void)plan;
	meet(m);
	for (uint64_t turn = 0; until_it_sleeps(m, turn); turn++) {
		m->checksum = now_ns(); /* an eventfd does not carry it */
		if (write(event_fd, &one, sizeof(one)) < 0)
			die("eventfd", strerror(errno));
	}
}

static void take_event(void *arg)
{
	struct seat *seat = arg;

	woken(seat, seat->m->checksum);
}

static void bare_wait(const struct plan *plan, struct meeting *m)
{
	struct seat seat;

	sit_down(&seat, plan, m);
	plan->loop->read_events(event_fd, take_event, &seat);
}

static const struct contest event_wake = { wake_send, wake_receive, NULL }, bare_event = { bare_wake, bare_wait, bare_prepare };

/* ---- rest */

static void *end_the_rest(void *arg)
{
	struct nmx_tx *tx = arg;

	sleep(REST_SECONDS);
	if (nmx_tx_send(tx, "end", 3) < 0 || nmx_tx_sync(tx) < 0)
		die("nmx", "cannot send");
	nmx_tx_close(tx);
	return NULL;
}

static void take_end(struct nmx_rx *rx, int err, void *arg)
{
	(void)err, (void)arg;
	nmx_rx_for_each (rx, frame)
		event_stop = frame.len > 0;
}

/* Turns of the loop a second, those of the beginning and of the end included. */
static double rest(const struct plan *plan)
{
	struct nmx_port *ends[2] = { open_end(plan, "rest{1"), open_end(plan, "rest}1") };
	pthread_t thread;
	uint64_t turns;

	event_stop = false;
	if (pthread_create(&thread, NULL, end_the_rest, sender_of(ends[0])) != 0)
		die("threads", "none to be had");
	turns = plan->loop->receive(receiver_of(ends[1]), take_end, NULL);
	pthread_join(thread, NULL);
	nmx_close(ends[0]);
	nmx_close(ends[1]);
	return (double)turns / REST_SECONDS;
}

/* ---- */

#define TOUCH64  .batch = 256, .len = 64, .touch = true
#define COPY1500 .batch = 256, .len = 1500, .touch = true, .copy = true
#define CASES(label, event_loop)                                                                                          \
	{ label "-touch64", &event_stream, &nmx_stream, { TOUCH64, .loop = event_loop }, false, 0.8, .what = "64 bytes written and read, batch 256, against spinning" }, \
	{ label "-copy1500", &event_stream, &nmx_stream, { COPY1500, .loop = event_loop }, false, 0.8, .what = "1500 bytes copied in and read, batch 256, against spinning" }, \
	{ label "-wake", &event_wake, &bare_event, { .loop = event_loop }, true, 1.3, .what = "from the sync to the callback, against an eventfd" }, \
	{ label "-rest", NULL, NULL, { .loop = event_loop }, true, 2, "turns a second when nothing comes", rest, "1/s" }

static const struct bench_case cases[] = {
#ifdef HAVE_UV
	CASES("uv", &event_uv),
#endif
#ifdef HAVE_URING
	CASES("uring", &event_uring),
#endif
	{ 0 },
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
