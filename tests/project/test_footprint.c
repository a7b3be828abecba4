/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What an open pipe end costs: memory while it is idle, and the time to open it.  The figures are printed; a machine
 * that does other things as well is slow at times, so the bound that fails is wider than the goal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <nmx/nmx.h>

enum { GOAL_KIB = 1024, OPENS = 50, SLOTS = 256 };
#define GOAL_MS  2.0
#define BOUND_MS 20.0

static char directory[] = "/tmp/nmx-footprint-XXXXXX";

static struct nmx_port *open_end(const char *name, uint32_t slots)
{
	struct nmx_options options = { .directory = directory, .tx_slots = slots, .rx_slots = slots };
	struct nmx_report why;
	struct nmx_port *port = NULL;

	if (nmx_open(&port, name, &options, &why) < 0)
		fail_msg("%s: %s", name, why.text);
	return port;
}

/* Private memory, and what is resident of own files (SEGMENT.mID): KiB.  The segment's own pages are everybody's. */
static long resident_kib(void)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	long sum = 0, kib;
	bool own = false;
	char line[512];

	if (!smaps)
		return -1;
	while (fgets(line, sizeof(line), smaps))
		if (strchr("0123456789abcdef", line[0]) && strchr(line, '-')) /* a mapping begins; attributes are capitalised */
			own = strstr(line, directory) && strstr(line, ".m");
		else if ((own && sscanf(line, "Rss: %ld", &kib) == 1) || (!own && sscanf(line, "Anonymous: %ld", &kib) == 1))
			sum += kib;
	fclose(smaps);
	return sum;
}

static void idle_pipe_end_is_small(void **state)
{
	struct nmx_port *other, *port;
	struct nmx_rx *rx;
	struct nmx_tx *tx;
	long before, after;

	(void)state;
	if (resident_kib() < 0) {
		print_message("skipped: there is no /proc/self/smaps\n");
		skip();
	}
	other = open_end("warm{1", 0); /* what the first open of a process sets up is not this port's */
	before = resident_kib();
	port = open_end("small{1", 0);
	assert_int_equal(nmx_tx_ring(port, 0, &tx), 0);
	assert_int_equal(nmx_rx_ring(port, 0, &rx), 0);
	after = resident_kib();
	print_message("an idle pipe end of 1024 slots: %ld KiB, at most %d\n", after - before, GOAL_KIB);
	nmx_tx_close(tx);
	nmx_rx_close(rx);
	nmx_close(port);
	nmx_close(other);
	assert_true(after - before <= GOAL_KIB);
}

/* The whole of what a process with one port has more than one without. */
static void first_pipe_end_is_small(void **state)
{
	long before = resident_kib();
	struct nmx_port *port = open_end("small{1", 0);
	long after = resident_kib();

	(void)state;
	print_message("the first one of a process, with what it sets up: %ld KiB, at most %d\n", after - before, GOAL_KIB);
	nmx_close(port);
	assert_true(after - before <= GOAL_KIB);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static void pipe_end_opens_quickly(void **state)
{
	struct nmx_port *keep = open_end("keep{1", SLOTS);
	double ms[OPENS];

	(void)state;
	for (int i = 0; i < OPENS; i++) {
		double start = now_ms();
		struct nmx_port *port = open_end("quick{1", SLOTS);

		ms[i] = now_ms() - start;
		nmx_close(port);
	}
	nmx_close(keep);
	qsort(ms, OPENS, sizeof(*ms), by_value);
	print_message("opening a pipe of %d slots in a segment that exists: %.2f ms (median of %d), goal %.0f, bound %.0f\n",
	              SLOTS, ms[OPENS / 2], OPENS, GOAL_MS, BOUND_MS);
	assert_true(ms[OPENS / 2] <= BOUND_MS);
}

static int make_directory(void **state)
{
	(void)state;
	if (access("/dev/shm", W_OK) == 0) /* tmpfs, as by default */
		memcpy(directory, "/dev/shm/nmx-foot-XXXXXX", sizeof("/dev/shm/nmx-foot-XXXXXX"));
	return mkdtemp(directory) ? 0 : -1;
}

/* Fails when something was left there. */
static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_pipe_end_is_small),
		cmocka_unit_test(idle_pipe_end_is_small),
		cmocka_unit_test(pipe_end_opens_quickly),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
