/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Workers: a thread for each pair of rings, on whatever CPUs there are; errors, stops, and what is left of them. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include <nmx/worker.h>

#include "support.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

enum { RINGS = 4, SLOTS = 64, EACH = 150, LEN = 60, FOREVER_MS = 60000 };

/* Four rings each way, and the far end of them. */
static struct nmx_port *near, *far;

static void open_pair(void)
{
	struct nmx_options o = { .tx_rings = RINGS, .rx_rings = RINGS, .tx_slots = SLOTS, .rx_slots = SLOTS };

	near = support_open("work{1", &o);
	far = support_open("work}1", &o);
}

static void close_pair(void)
{
	nmx_close(near);
	nmx_close(far);
}

/* All of the rings can be checked out: nobody has kept one. */
static void require_rings_free(struct nmx_port *port)
{
	for (uint32_t i = 0; i < RINGS; i++) {
		nmx_rx_close(support_rx(port, i));
		nmx_tx_close(support_tx(port, i));
	}
}

/* ---- what workers do here */

struct tally {
	_Atomic uint64_t packets;
	_Atomic int cpu; /* where it ran, and -1 for more than one of them */
};

static int send_back(struct nmx_worker *self)
{
	int n = nmx_tx_sync(self->tx);

	while (n >= 0 && nmx_rx_waiting(self->rx) > 0) {
		uint32_t done = nmx_forward(self->rx, self->tx, UINT32_MAX);

		atomic_fetch_add(&((struct tally *)self->state)->packets, done);
		n = nmx_tx_sync(self->tx);
		if (n == 0)
			n = nmx_tx_wait(self->tx, 1, -1);
	}
	return n;
}

static int echo(struct nmx_worker *self)
{
	struct tally *tally = self->state;
	int n = 0;

	require_equal(tally->packets, 0);
	atomic_store(&tally->cpu, sched_getcpu());
	while (n >= 0 && !nmx_worker_stopping(self)) {
		while (n >= 0 && (n = nmx_rx_sync(self->rx)) > 0)
			n = send_back(self);
		if (sched_getcpu() != atomic_load(&tally->cpu))
			atomic_store(&tally->cpu, -1);
		if (n == 0)
			n = nmx_rx_wait(self->rx, -1);
	}
	return n < 0 ? n : 0;
}

static int sleep_until_told(struct nmx_worker *self)
{
	int n = 0;

	while (n >= 0 && !nmx_worker_stopping(self))
		n = nmx_rx_wait(self->rx, -1);
	return n < 0 ? n : 0;
}

/* ---- through all rings and back */

static void through(uint32_t ring)
{
	struct nmx_tx *tx = support_tx(near, ring);
	struct nmx_rx *rx = support_rx(near, ring);

	for (uint64_t sent = 0, received = 0; received < EACH;) {
		if (sent < EACH && nmx_tx_sync(tx) > 0) {
			support_send(tx, sent, 1, LEN);
			sent++;
		}
		if (sent == EACH || nmx_tx_space(tx) == 0)
			require_result(nmx_rx_wait(rx, FOREVER_MS), 1);
		while (nmx_rx_sync(rx) > 0)
			for (uint32_t n = nmx_rx_waiting(rx); n > 0; n--, received++)
				support_expect(rx, received, 1, LEN);
	}
	nmx_tx_close(tx);
	nmx_rx_close(rx);
}

/* Every worker has its own ring, CPU and state; expected_cpus: how many different ones, 0: not pinned. */
static void echo_through_all(const struct nmx_worker_options *options, uint32_t expected_cpus)
{
	struct nmx_worker_options o = options ? *options : (struct nmx_worker_options){ 0 };
	struct nmx_workers *workers = NULL;
	struct nmx_report why;
	uint32_t cpus = 0;
	int seen[RINGS];

	o.state_bytes = sizeof(struct tally);
	open_pair();
	if (nmx_workers_start(&workers, far, echo, &o, &o, &why) < 0)
		support_fail(__FILE__, __LINE__, "%s", why.text);
	if (expected_cpus > 0 && expected_cpus < RINGS && !o.cpus)
		require_contains(why.text, "share");
	for (uint32_t i = 0; i < RINGS; i++) {
		const struct nmx_worker *worker = nmx_workers_get(workers, i);
		uint32_t known = 0;

		require(worker->index == i && worker->arg == &o && (uintptr_t)worker->state % 128 == 0);
		while (known < cpus && seen[known] != worker->cpu)
			known++;
		if (known == cpus)
			seen[cpus++] = worker->cpu;
		require_equal(worker->cpu == -1, expected_cpus == 0);
		through(i);
		require_equal(((struct tally *)worker->state)->packets, EACH);
		if (worker->cpu >= 0)
			require_equal(((struct tally *)worker->state)->cpu, worker->cpu);
	}
	require(nmx_workers_get(workers, RINGS) == NULL);
	require_equal(cpus, expected_cpus ? expected_cpus : 1);
	require_equal(nmx_workers_join(workers, 0, NULL), RINGS);
	nmx_workers_stop(workers);
	require_equal(nmx_workers_join(workers, -1, &why), 0);
	require(why.text[0] == '\0');
	require_rings_free(far);
	nmx_workers_close(workers);
	close_pair();
}

static uint32_t allowed(cpu_set_t *set, int *first)
{
	require(sched_getaffinity(0, sizeof(*set), set) == 0);
	for (*first = 0; !CPU_ISSET(*first, set);)
		++*first;
	return (uint32_t)CPU_COUNT(set);
}

static void each_pair_of_rings_has_its_worker(void **state)
{
	cpu_set_t set;
	int first;
	uint32_t n = allowed(&set, &first);

	(void)state;
	echo_through_all(NULL, n < RINGS ? n : RINGS);
}

/* As in a container, or under taskset: the mask is what there is. */
static void with_one_cpu_they_take_turns(void **state)
{
	cpu_set_t before, one;
	int first;

	(void)state;
	allowed(&before, &first);
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	require(sched_setaffinity(0, sizeof(one), &one) == 0);
	echo_through_all(NULL, 1);
	require(sched_setaffinity(0, sizeof(before), &before) == 0);
}

static void the_second_cpu_alone_is_one_too(void **state)
{
	cpu_set_t before, others;
	int first;

	(void)state;
	if (allowed(&before, &first) < 2) {
		print_message("skipped: this process may use one CPU only\n");
		skip();
	}
	others = before;
	CPU_CLR(first, &others);
	require(sched_setaffinity(0, sizeof(others), &others) == 0);
	echo_through_all(NULL, (uint32_t)CPU_COUNT(&others) < RINGS ? (uint32_t)CPU_COUNT(&others) : RINGS);
	require(sched_setaffinity(0, sizeof(before), &before) == 0);
}

static void cpus_can_be_named(void **state)
{
	cpu_set_t set;
	int first, cpus[2];

	(void)state;
	allowed(&set, &first);
	cpus[0] = cpus[1] = first;
	for (int cpu = first + 1; cpu < CPU_SETSIZE; cpu++)
		cpus[1] = CPU_ISSET(cpu, &set) ? cpu : cpus[1];
	echo_through_all(&(struct nmx_worker_options){ .cpus = cpus, .num_cpus = 2 }, cpus[0] == cpus[1] ? 1 : 2);
	echo_through_all(&(struct nmx_worker_options){ .cpus = &first, .num_cpus = 1 }, 1);
}

static void they_can_be_left_to_the_kernel(void **state)
{
	(void)state;
	echo_through_all(&(struct nmx_worker_options){ .flags = NMX_UNPINNED }, 0);
}

/* ---- refused: nothing is left */

static void require_refused(const struct nmx_worker_options *o, int err, const char *part)
{
	struct nmx_workers *workers = (struct nmx_workers *)&o;
	struct nmx_report why;

	require_result(nmx_workers_start(&workers, far, echo, NULL, o, &why), err);
	require(workers == (struct nmx_workers *)&o);
	require_result(why.err, err);
	require_contains(why.text, part);
	require_result(nmx_workers_start(&workers, far, echo, NULL, o, NULL), err);
}

static void bad_options_are_refused(void **state)
{
	struct {
		struct nmx_worker_options known;
		uint64_t newer;
	} later = { .newer = 1 };
	struct nmx_workers *workers;
	struct nmx_report why;
	int cpu = 1023;

	(void)state;
	open_pair();
	require_refused(&(struct nmx_worker_options){ .cpus = &cpu, .num_cpus = 1 }, NMX_ERR_BAD_OPTION, "CPU 1023; this process runs on CPUs ");
	cpu = -1;
	require_refused(&(struct nmx_worker_options){ .cpus = &cpu, .num_cpus = 1 }, NMX_ERR_BAD_OPTION, "cpus[0] is -1");
	cpu = 1024;
	require_refused(&(struct nmx_worker_options){ .cpus = &cpu, .num_cpus = 1 }, NMX_ERR_BAD_OPTION, "numbered from 0 to 1023");
	cpu = 0;
	require_refused(&(struct nmx_worker_options){ .cpus = &cpu, .num_cpus = 1, .flags = NMX_UNPINNED }, NMX_ERR_BAD_OPTION, "exclude");
	require_refused(&(struct nmx_worker_options){ .cpus = &cpu }, NMX_ERR_BAD_OPTION, "go together");
	require_refused(&(struct nmx_worker_options){ .num_cpus = 1 }, NMX_ERR_BAD_OPTION, "go together");
	require_refused(&(struct nmx_worker_options){ .flags = 0x80 }, NMX_ERR_BAD_OPTION, "0x80");
	require_refused(&(struct nmx_worker_options){ .state_bytes = SIZE_MAX }, NMX_ERR_NO_MEMORY, "bytes each");
	require_refused(&(struct nmx_worker_options){ .state_bytes = PTRDIFF_MAX / 2 }, NMX_ERR_NO_MEMORY, "state of worker 0");
	require_result(nmx_workers_start_sized(&workers, far, echo, NULL, &later.known, sizeof(later), &why), NMX_ERR_BAD_OPTION);
	require_contains(why.text, "does not know");
	require_rings_free(far);
	close_pair();
}

static void a_ring_in_use_is_named(void **state)
{
	struct nmx_tx *tx;

	(void)state;
	open_pair();
	tx = support_tx(far, 2);
	require_refused(NULL, NMX_ERR_BUSY, "transmit ring 2 of \"work}1\" is checked out");
	nmx_tx_close(tx);
	require_rings_free(far);
	close_pair();
}

static void without_descriptors_they_do_not_start(void **state)
{
	struct rlimit before, none;

	(void)state;
	open_pair();
	require(getrlimit(RLIMIT_NOFILE, &before) == 0);
	none = before;
	none.rlim_cur = 0;
	require(setrlimit(RLIMIT_NOFILE, &none) == 0);
	require_refused(NULL, NMX_ERR_NO_MEMORY, "descriptor");
	require(setrlimit(RLIMIT_NOFILE, &before) == 0);
	require_rings_free(far);
	close_pair();
}

#if defined(__GLIBC__) && !defined(SANITIZED)
static void without_room_for_a_stack_they_do_not_start(void **state)
{
	pthread_attr_t before, huge;

	(void)state;
	open_pair();
	require(pthread_getattr_default_np(&before) == 0 && pthread_attr_init(&huge) == 0);
	require(pthread_attr_setstacksize(&huge, 1ul << 46) == 0 && pthread_setattr_default_np(&huge) == 0);
	require_refused(NULL, NMX_ERR_NO_MEMORY, "cannot start thread 1 of 4");
	require(pthread_setattr_default_np(&before) == 0);
	require_rings_free(far);
	close_pair();
}
#endif

/* ---- errors and ends */

static int second_fails(struct nmx_worker *self) { return self->index == 2 ? NMX_ERR_CORRUPT : sleep_until_told(self); }

static void an_error_of_one_ends_all_and_is_told(void **state)
{
	struct nmx_workers *workers;
	struct nmx_report why;

	(void)state;
	open_pair();
	require_result(nmx_workers_start(&workers, far, second_fails, NULL, NULL, NULL), 0);
	for (int again = 0; again < 2; again++) {
		require_result(nmx_workers_join(workers, -1, &why), NMX_ERR_CORRUPT);
		require_result(why.err, NMX_ERR_CORRUPT);
		require_contains(why.text, "worker 2 of \"work}1\"");
		require_contains(why.text, nmx_strerror(NMX_ERR_CORRUPT));
	}
	require_result(nmx_workers_join(workers, 0, NULL), NMX_ERR_CORRUPT);
	require_rings_free(far);
	nmx_workers_close(workers);
	close_pair();
}

/* The others go on when one is through with its work, and keep ring and port. */
static int first_is_through(struct nmx_worker *self) { return self->index == 0 ? 7 : sleep_until_told(self); }

static void one_that_is_through_stops_nobody(void **state)
{
	struct nmx_workers *workers;

	(void)state;
	open_pair();
	require_result(nmx_workers_start(&workers, far, first_is_through, NULL, NULL, NULL), 0);
	while (nmx_workers_join(workers, 1, NULL) == RINGS)
		;
	require_equal(nmx_workers_join(workers, 30, NULL), RINGS - 1);
	nmx_close(far);
	require_equal(nmx_workers_join(workers, 0, NULL), RINGS - 1);
	nmx_workers_stop(workers);
	require_equal(nmx_workers_join(workers, -1, NULL), 0);
	nmx_workers_close(workers);
	far = NULL;
	close_pair();
}

static int takes_its_ring_away(struct nmx_worker *self)
{
	*((struct nmx_rx **)self->arg + self->index) = self->rx;
	nmx_rx_unbind(self->rx);
	self->rx = NULL;
	return 0;
}

static void a_ring_that_is_taken_away_stays_open(void **state)
{
	struct nmx_rx *taken[RINGS] = { NULL };
	struct nmx_workers *workers;
	struct nmx_rx *again;

	(void)state;
	open_pair();
	require_result(nmx_workers_start(&workers, far, takes_its_ring_away, taken, NULL, NULL), 0);
	require_equal(nmx_workers_join(workers, -1, NULL), 0);
	nmx_workers_close(workers);
	for (uint32_t i = 0; i < RINGS; i++) {
		require_result(nmx_rx_ring(far, i, &again), NMX_ERR_BUSY);
		require_result(nmx_rx_sync(taken[i]), 0);
		nmx_rx_close(taken[i]);
	}
	require_rings_free(far);
	close_pair();
}

/* ---- stops */

/* If a stop did not wake them they would sleep for a second each time. */
static void a_stop_wakes_sleepers(void **state)
{
	int64_t before = support_now_ms();
	struct nmx_workers *workers;

	(void)state;
	open_pair();
	for (int i = 0; i < 40; i++) {
		require_result(nmx_workers_start(&workers, far, sleep_until_told, NULL, NULL, NULL), 0);
		(void)!nmx_workers_join(workers, i % 4 * 5, NULL);
		nmx_workers_close(workers); /* which stops, and waits */
	}
	require(support_now_ms() - before < 30000);
	close_pair();
}

static struct nmx_workers *to_stop;

static void on_alarm(int sig)
{
	(void)sig;
	nmx_workers_stop(to_stop);
}

static void a_signal_handler_can_stop_them(void **state)
{
	struct sigaction action = { .sa_handler = on_alarm }, before;
	struct itimerval soon = { { 0, 0 }, { 0, 20000 } };

	(void)state;
	open_pair();
	require_result(nmx_workers_start(&to_stop, far, sleep_until_told, NULL, NULL, NULL), 0);
	require(sigaction(SIGALRM, &action, &before) == 0);
	require(setitimer(ITIMER_REAL, &soon, NULL) == 0);
	require_equal(nmx_workers_join(to_stop, -1, NULL), 0);
	require(sigaction(SIGALRM, &before, NULL) == 0);
	nmx_workers_close(to_stop);
	close_pair();
}

/* Once told, a worker can wait again: for room, or until all is taken. */
static int waits_after_the_stop(struct nmx_worker *self)
{
	struct pollfd stop = { .fd = self->stop_fd, .events = POLLIN };
	int64_t before;

	require_equal(poll(&stop, 1, FOREVER_MS), 1);
	require_equal(nmx_rx_wait(self->rx, -1), 0);
	require_equal(nmx_rx_wait(self->rx, FOREVER_MS), 0); /* as long as it has not asked */
	require_result(nmx_tx_send(self->tx, "x", 1), 0);
	require_result(nmx_tx_drain(self->tx, -1), NMX_ERR_TIMED_OUT);
	require(nmx_worker_stopping(self));
	require(nmx_worker_stopping(self));
	before = support_now_ms();
	require_equal(nmx_rx_wait(self->rx, 40), 0);
	require(support_now_ms() - before >= 39);
	require_result(nmx_tx_drain(self->tx, 20), NMX_ERR_TIMED_OUT);
	require(support_now_ms() - before >= 58);
	return 0;
}

static void after_it_was_told_a_worker_waits_as_ever(void **state)
{
	struct nmx_workers *workers;

	(void)state;
	open_pair();
	require_result(nmx_workers_start(&workers, far, waits_after_the_stop, NULL, NULL, NULL), 0);
	nmx_workers_stop(workers);
	nmx_workers_stop(workers);
	require_equal(nmx_workers_join(workers, -1, NULL), 0);
	nmx_workers_close(workers);
	close_pair();
}

/* ---- more and fewer rings than pairs */

static int look_at_rings(struct nmx_worker *self)
{
	uint32_t *seen = self->arg;

	seen[self->index] = (self->rx ? 1u : 0u) | (self->tx ? 2u : 0u);
	return 0;
}

static void what_has_no_partner_works_alone(void **state)
{
	static const struct {
		struct nmx_options options;
		uint32_t rings[3];
	} rows[] = {
		{ { .tx_rings = 3, .rx_rings = 1 }, { 3, 2, 2 } },
		{ { .tx_rings = 1, .rx_rings = 3 }, { 3, 1, 1 } },
		{ { .rx_rings = 2, .flags = NMX_RX_ONLY }, { 1, 1, 0 } },
		{ { .flags = NMX_TX_ONLY }, { 2, 0, 0 } },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct nmx_port *port = support_open("null:", &rows[i].options);
		struct nmx_workers *workers;
		uint32_t seen[3] = { 0 };

		require_result(nmx_workers_start(&workers, port, look_at_rings, seen, NULL, NULL), 0);
		require_equal(nmx_workers_join(workers, -1, NULL), 0);
		nmx_workers_close(workers);
		for (int k = 0; k < 3; k++)
			require_equal(seen[k], rows[i].rings[k]);
		nmx_close(port);
	}
}

/* ---- fork */

static void look_as_a_child(void *arg)
{
	struct nmx_workers *workers = arg;
	struct nmx_report why;

	require_result(nmx_workers_join(workers, -1, &why), NMX_ERR_FORKED);
	require_contains(why.text, "parent");
	nmx_workers_stop(workers); /* not the parent's */
	nmx_workers_close(workers);
	require_result(nmx_workers_start(&workers, far, echo, NULL, NULL, NULL), NMX_ERR_FORKED);
}

static void a_child_leaves_its_parents_workers_alone(void **state)
{
	struct nmx_workers *workers;

	(void)state;
	open_pair();
	require_result(nmx_workers_start(&workers, far, sleep_until_told, NULL, NULL, NULL), 0);
	support_join(support_fork(look_as_a_child, workers));
	require_equal(nmx_workers_join(workers, 30, NULL), RINGS);
	nmx_workers_close(workers);
	close_pair();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_pair_of_rings_has_its_worker),
		cmocka_unit_test(with_one_cpu_they_take_turns),
		cmocka_unit_test(the_second_cpu_alone_is_one_too),
		cmocka_unit_test(cpus_can_be_named),
		cmocka_unit_test(they_can_be_left_to_the_kernel),
		cmocka_unit_test(bad_options_are_refused),
		cmocka_unit_test(a_ring_in_use_is_named),
		cmocka_unit_test(without_descriptors_they_do_not_start),
#if defined(__GLIBC__) && !defined(SANITIZED)
		cmocka_unit_test(without_room_for_a_stack_they_do_not_start),
#endif
		cmocka_unit_test(an_error_of_one_ends_all_and_is_told),
		cmocka_unit_test(one_that_is_through_stops_nobody),
		cmocka_unit_test(a_ring_that_is_taken_away_stays_open),
		cmocka_unit_test(a_stop_wakes_sleepers),
		cmocka_unit_test(a_signal_handler_can_stop_them),
		cmocka_unit_test(after_it_was_told_a_worker_waits_as_ever),
		cmocka_unit_test(what_has_no_partner_works_alone),
		cmocka_unit_test(a_child_leaves_its_parents_workers_alone),
	};

	return cmocka_run_group_tests(tests, support_make_directory, support_remove_directory);
}
