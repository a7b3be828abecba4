/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Workers in a switch: four threads at each of two ports, and every one of them sees its own ring and nothing else.
 *
 *   near ring i --> far ring i, sent back --> near ring i
 */
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include <nmx/worker.h>

#include "support.h"

enum { RINGS = 4, SLOTS = 64, UNDER_WAY = 32, EACH = 10000, LEN = 60, HEADER = 14, FOREVER_MS = 60000 };

struct tally {
	_Atomic uint64_t packets, first_ns, last_ns;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* To the other port, and which ring it is from: no other may show it. */
static void put(const struct nmx_worker *self, uint64_t number)
{
	static const uint8_t header[HEADER] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5 };
	uint8_t data[LEN] = { 0 };

	memcpy(data, header, HEADER);
	memcpy(data + HEADER, &self->index, sizeof(self->index));
	support_write(data + HEADER + sizeof(self->index), LEN - HEADER - sizeof(self->index), number);
	require_result(nmx_tx_send(self->tx, data, LEN), 0);
}

static void take(const struct nmx_worker *self, const struct nmx_frame *frame)
{
	struct tally *tally = self->state;
	uint64_t number = atomic_fetch_add(&tally->packets, 1);
	uint32_t ring;

	atomic_store(number ? &tally->last_ns : &tally->first_ns, now_ns());
	require_equal(frame->len, LEN);
	memcpy(&ring, frame->data + HEADER, sizeof(ring));
	require_equal(ring, self->index);
	support_check(frame->data + HEADER + sizeof(ring), LEN - HEADER - sizeof(ring), number);
}

static int send_and_take(struct nmx_worker *self)
{
	const struct tally *tally = self->state;
	uint64_t sent = 0;

	while (atomic_load(&tally->packets) < EACH) {
		int n;

		for (; sent < EACH && sent < atomic_load(&tally->packets) + UNDER_WAY; sent++)
			put(self, sent);
		require(nmx_tx_sync(self->tx) >= 0);
		n = nmx_rx_sync(self->rx);
		require(n >= 0);
		nmx_rx_for_each (self->rx, frame)
			take(self, &frame);
		if (n == 0)
			require_result(nmx_rx_wait(self->rx, FOREVER_MS), 1);
	}
	return 0;
}

static int send_back(struct nmx_worker *self)
{
	uint8_t from[6];
	int n = 0;

	while (n >= 0 && !nmx_worker_stopping(self)) {
		while ((n = nmx_rx_sync(self->rx)) > 0) {
			nmx_rx_for_each (self->rx, frame) {
				take(self, &frame);
				memcpy(from, frame.data + 6, 6);
				memcpy(frame.data + 6, frame.data, 6);
				memcpy(frame.data, from, 6);
				require_result(nmx_tx_forward(self->tx, &frame), 0);
			}
			require(nmx_tx_sync(self->tx) >= 0);
		}
		if (n == 0)
			n = nmx_rx_wait(self->rx, -1);
	}
	return n;
}

static struct nmx_port *open_port(const char *name)
{
	return support_open(name, &(struct nmx_options){ .tx_rings = RINGS, .rx_rings = RINGS, .tx_slots = SLOTS, .rx_slots = SLOTS,
	                                                 .flags = NMX_BLOCKING });
}

static struct nmx_workers *start(struct nmx_port *port, int (*fn)(struct nmx_worker *worker))
{
	struct nmx_worker_options options = { .state_bytes = sizeof(struct tally) };
	struct nmx_workers *workers = NULL;
	struct nmx_report why;

	if (nmx_workers_start(&workers, port, fn, NULL, &options, &why) < 0)
		support_fail(__FILE__, __LINE__, "%s", why.text);
	return workers;
}

static void require_moved(const struct nmx_workers *workers, const char *what)
{
	for (uint32_t i = 0; i < RINGS; i++) {
		const struct nmx_worker *worker = nmx_workers_get(workers, i);
		const struct tally *tally = worker->state;

		require_equal(tally->packets, EACH);
		print_message("%s worker %u on CPU %d: %.3f Mpps\n", what, i, worker->cpu, 1e3 * EACH / (double)(tally->last_ns - tally->first_ns));
	}
}

static void there_and_back(void)
{
	struct nmx_port *near = open_port("vale0:near"), *far = open_port("vale0:far");
	struct nmx_workers *away = start(far, send_back), *here;

	here = start(near, send_and_take);
	require_result(nmx_workers_join(here, -1, NULL), 0);
	nmx_workers_stop(away);
	require_result(nmx_workers_join(away, -1, NULL), 0);
	require_moved(here, "near");
	require_moved(away, "far");
	require_equal(support_stats(near).drop_full + support_stats(far).drop_full, 0);
	nmx_workers_close(here);
	nmx_workers_close(away);
	nmx_close(near);
	nmx_close(far);
}

static void every_worker_of_a_switch_port_has_its_ring_alone(void **state)
{
	(void)state;
	there_and_back();
}

static void eight_of_them_get_along_on_one_cpu(void **state)
{
	cpu_set_t before, one;
	int first = 0;

	(void)state;
	require(sched_getaffinity(0, sizeof(before), &before) == 0);
	while (!CPU_ISSET(first, &before))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	require(sched_setaffinity(0, sizeof(one), &one) == 0);
	there_and_back();
	require(sched_setaffinity(0, sizeof(before), &before) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_worker_of_a_switch_port_has_its_ring_alone),
		cmocka_unit_test(eight_of_them_get_along_on_one_cpu),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
