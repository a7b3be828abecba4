/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "wakeups.h"

enum { HEADER = 14, LEN = 50, NEVER_MS = 30000 };

uint64_t wakeups_sleeps = 12000;

/* Only the tests' own process has these, and all of them are ticks. */
void wakeups_switch_ticks_off(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct itimerspec never = { { 0, 0 }, { 0, 0 } };
	char path[300], target[64];

	require(dir != NULL);
	for (struct dirent *entry; (entry = readdir(dir));) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		n = readlink(path, target, sizeof(target) - 1);
		if (n > 0 && (target[n] = 0, strcmp(target, "anon_inode:[timerfd]") == 0))
			require(timerfd_settime(atoi(entry->d_name), 0, &never, NULL) == 0);
	}
	closedir(dir);
}

/* From nothing to about as long as it takes to fall asleep. */
static void pause_a_little(struct side *side)
{
	uint32_t choice = support_random(&side->random, 8);

	if (choice == 0)
		sched_yield();
	for (volatile uint32_t i = support_random(&side->random, 1u << (2 * choice)); i > 0; i--)
		;
}

/* A frame from one side to the other, for a switch looks at addresses. */
static void put(struct side *side)
{
	uint8_t data[HEADER + LEN] = { 2, 0, 0, 0, 0, side->first, 2, 0, 0, 0, 0, !side->first, 0x88, 0xb5 };

	support_write(data + HEADER, LEN, side->sent++);
	require_result(nmx_tx_send(side->tx, data, sizeof(data)), 0);
}

static void put_and_sync(struct side *side)
{
	int n;

	put(side);
	n = nmx_tx_sync(side->tx);
	require(n >= 0 || n == NMX_ERR_PEER_GONE); /* it may have had the last one and gone */
}

static void take(struct side *side)
{
	nmx_rx_for_each (side->rx, frame)
		support_check(frame.data + HEADER, frame.len - HEADER, side->received++);
}

/* ---- plain descriptors */

static void sleep_in_poll(struct side *side, struct pollfd p)
{
	side->slept++;
	require_equal(poll(&p, 1, NEVER_MS), 1);
}

static void poll_begin(struct side *side) { require(nmx_rx_pollfd(side->rx).fd >= 0); }
static void poll_sleep(struct side *side) { sleep_in_poll(side, nmx_rx_pollfd(side->rx)); }

static void epoll_begin(struct side *side)
{
	struct epoll_event event = { .events = EPOLLIN };

	side->fd = epoll_create1(0);
	require(side->fd >= 0 && epoll_ctl(side->fd, EPOLL_CTL_ADD, nmx_port_fd(side->port), &event) == 0);
}

static void epoll_sleep(struct side *side)
{
	struct epoll_event event;

	side->slept++;
	require_equal(epoll_wait(side->fd, &event, 1, NEVER_MS), 1);
}

static void to_and_fro(struct side *side, void (*sleep)(struct side *))
{
	if (side->first)
		put_and_sync(side);
	while (side->received < side->turns) {
		int n = nmx_rx_sync(side->rx);

		if (n == 0) {
			sleep(side);
			continue;
		}
		require(n > 0);
		take(side);
		pause_a_little(side);
		if (side->sent < side->turns)
			put_and_sync(side);
	}
}

static void poll_run(struct side *side) { to_and_fro(side, poll_sleep); }

static void epoll_run(struct side *side)
{
	to_and_fro(side, epoll_sleep);
	close(side->fd);
}

/* The first sends as fast as there is room in a ring of a few slots; both sleep now and then. */
static void room_begin(struct side *side)
{
	require((side->first ? nmx_tx_pollfd(side->tx) : nmx_rx_pollfd(side->rx)).fd >= 0);
}

static void room_run(struct side *side)
{
	int n;

	while ((side->first ? side->sent : side->received) < side->turns) {
		n = side->first ? nmx_tx_sync(side->tx) : nmx_rx_sync(side->rx);
		if (n == 0)
			sleep_in_poll(side, side->first ? nmx_tx_pollfd(side->tx) : nmx_rx_pollfd(side->rx));
		require(n >= 0);
		if (!side->first)
			take(side);
		for (; side->first && n > 0 && side->sent < side->turns; n--)
			put(side);
		pause_a_little(side);
	}
	if (side->first)
		require_result(nmx_tx_drain(side->tx, NEVER_MS), 0);
	else
		require_result(nmx_rx_sync(side->rx), 0); /* gives the last ones back */
}

/* ---- loops */

static const struct loop_kind *kind_of(const struct side *side) { return *side->way->kind; }

static void answer(struct nmx_rx *rx, int err, void *arg)
{
	struct side *side = arg;

	(void)rx;
	require_result(err, 0);
	take(side);
	pause_a_little(side);
	if (side->sent < side->turns) {
		put(side);
		kind_of(side)->tx_flush(side->sender);
	}
	if (side->received == side->turns) {
		kind_of(side)->rx_close(side->receiver, NULL);
		kind_of(side)->tx_close(side->sender, NULL);
		side->done = true;
	}
}

static void no_room(struct nmx_tx *tx, int err, void *arg)
{
	(void)tx, (void)arg;
	require_result(err, NMX_ERR_PEER_GONE);
}

static void loop_begin(struct side *side)
{
	const char *why = "";

	side->loop = kind_of(side)->open(&why);
	require(side->loop != NULL);
	require_result(kind_of(side)->rx_open(&side->receiver, side->loop, side->rx, answer, side), 0);
	require_result(kind_of(side)->tx_open(&side->sender, side->loop, side->tx, no_room, side), 0);
}

static void loop_side_run(struct side *side)
{
	if (side->first) {
		put(side);
		kind_of(side)->tx_flush(side->sender);
	}
	while (!side->done) {
		int64_t before = support_now_ms();

		side->slept += kind_of(side)->turn(side->loop, NEVER_MS) == LOOP_WOKEN;
		require(side->done || support_now_ms() - before < NEVER_MS);
	}
	for (int i = 0; i < 5; i++)
		kind_of(side)->turn(side->loop, 1);
	kind_of(side)->close(side->loop);
	side->tx = NULL; /* closed with the sender */
	side->rx = NULL;
}

const struct way wakeups_by_poll = { "poll", NULL, poll_begin, poll_run }, wakeups_by_epoll = { "epoll", NULL, epoll_begin, epoll_run };
const struct way wakeups_by_room = { "room", NULL, room_begin, room_run };
const struct way wakeups_by_uv = { "uv", &loop_uv, loop_begin, loop_side_run };
const struct way wakeups_by_uring = { "uring", &loop_uring, loop_begin, loop_side_run };

/* ---- two sides */

struct side wakeups_side(const struct way *way, bool first)
{
	const char *why = "";
	void *loop = way->kind ? (*way->kind)->open(&why) : NULL;

	if (way->kind && !loop) {
		print_message("skipped: %s\n", why);
		skip();
	}
	if (loop)
		(*way->kind)->close(loop);
	return (struct side){ .way = way, .first = first, .random = first + 1u, .turns = wakeups_sleeps / 2 };
}

static void *side_thread(void *arg)
{
	struct side *side = arg;

	side->way->run(side);
	return NULL;
}

void wakeups_run(struct side sides[2])
{
	for (int i = 0; i < 2; i++) {
		sides[i].way->begin(&sides[i]);
		nmx_tx_unbind(sides[i].tx);
		nmx_rx_unbind(sides[i].rx);
	}
	wakeups_switch_ticks_off();
	for (int i = 0; i < 2; i++)
		require(pthread_create(&sides[i].thread, NULL, side_thread, &sides[i]) == 0);
	for (int i = 0; i < 2; i++)
		require(pthread_join(sides[i].thread, NULL) == 0);
	for (int i = 0; i < 2; i++) {
		nmx_tx_close(sides[i].tx);
		nmx_rx_close(sides[i].rx);
	}
	print_message("%s: %llu packets, %llu sleeps\n", sides[0].way->label, (unsigned long long)sides[1].received,
	              (unsigned long long)(sides[0].slept + sides[1].slept));
}

void wakeups_between(const struct way *way, const char *const names[2], const struct nmx_options *options)
{
	struct side sides[2] = { wakeups_side(way, true), wakeups_side(way, false) };

	for (int i = 0; i < 2; i++) {
		sides[i].port = support_open(names[i], options);
		sides[i].tx = support_tx(sides[i].port, 0);
		sides[i].rx = support_rx(sides[i].port, 0);
	}
	wakeups_run(sides);
	nmx_close(sides[0].port);
	nmx_close(sides[1].port);
}

bool wakeups_arguments(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "-n") == 0)
		wakeups_sleeps = strtoull(argv[2], NULL, 10);
	if (argc == 1 || (argc == 3 && wakeups_sleeps > 0))
		return true;
	fprintf(stderr, "usage: %s [-n SLEEPS]\n", argv[0]);
	return false;
}
