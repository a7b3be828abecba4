/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Everything used up, one thing at a time: each open says so in a sentence, leaks nothing, and the next one works.
 * Memory is refused by the allocator itself: this program brings its own in front of the library's.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash.h"
#include "exhaustion.h"

/* ---- the n-th allocation fails */

static int64_t allocations_left = -1; /* negative: as many as wanted */
static uint32_t allocations;

static bool refused(void)
{
	allocations++;
	if (allocations_left < 0 || allocations_left-- > 0)
		return false;
	allocations_left = 0;
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_malloc(size_t size) { return refused() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t n, size_t size) { return refused() ? NULL : __real_calloc(n, size); }
void *__wrap_realloc(void *old, size_t size) { return refused() ? NULL : __real_realloc(old, size); }
void *__wrap_aligned_alloc(size_t alignment, size_t size) { return refused() ? NULL : __real_aligned_alloc(alignment, size); }

/* ---- nothing leaks */

struct holdings snapshot(void)
{
	return (struct holdings){ .fds = count_fds(), .maps = count_maps(), .files = count_files(attack.dir, "") };
}

void must_hold(const struct holdings *before, const char *when)
{
	struct holdings now = snapshot();

	must(now.fds == before->fds, "%s: %u descriptors, before %u", when, now.fds, before->fds);
	must(now.maps == before->maps, "%s: %u mappings of the directory's files, before %u", when, now.maps, before->maps);
	must(now.files == before->files, "%s: %u files, before %u", when, now.files, before->files);
}

void must_explain(int err, const struct nmx_report *why, const char *when)
{
	must(err < 0 && why->err == err, "%s: %s, and the report says %s", when, nmx_error_name(err), nmx_error_name(why->err));
	must(strlen(why->text) > 15, "%s: no sentence: \"%s\"", when, why->text);
}

/* Opens both ends, waits on one, asks for a descriptor, closes.  0 or the first error. */
static int use(struct nmx_report *why)
{
	struct nmx_options o = { .tx_slots = 8, .rx_slots = 8, .extra_bufs = 4 };
	struct nmx_port *a, *b;
	struct nmx_rx *rx;
	int err = open_port(&a, "x{1", &o, why);

	if (err < 0)
		return err;
	err = open_port(&b, "x}1", &o, why);
	if (err < 0)
		goto close_a;
	err = nmx_rx_ring(a, 0, &rx);
	if (err == 0) {
		int n = nmx_rx_wait(rx, 1);

		must(n == 0 || n == NMX_ERR_NO_MEMORY, "a wait without resources says %s", nmx_error_name(n));
		(void)nmx_rx_pollfd(rx);
		(void)nmx_port_fd(a);
		n = nmx_rx_sync(rx);
		must(n == 0 || n == NMX_ERR_NO_MEMORY, "a sync without resources says %s", nmx_error_name(n));
		nmx_rx_close(rx);
	}
	nmx_close(b);
close_a:
	nmx_close(a);
	return err;
}

/* Another member, so that what a close forgets does not go with the segment. */
static void be_anchor(void *unused)
{
	struct nmx_report why;
	struct nmx_port *port;

	(void)unused;
	must(open_port(&port, "anchor{1", &(struct nmx_options){ .tx_slots = 4, .rx_slots = 4 }, &why) == 0, "anchor: %s", why.text);
	for (;;)
		nap_us(100000);
}

static pid_t start_anchor(void)
{
	pid_t pid = spawn(be_anchor, NULL);

	for (int i = 0; count_files(attack.dir, "default.b") < 1 && i < 100; i++)
		nap_us(1000); /* no bell is made: it is given a while */
	return pid;
}

static uint32_t no_memory(void)
{
	pid_t anchor = start_anchor();
	struct holdings before = snapshot();
	struct nmx_report why;
	uint32_t n = 0;
	int err;

	for (;; n++) {
		char when[64];

		attack.round = n;
		snprintf(when, sizeof(when), "allocation %u fails", n);
		allocations = 0;
		allocations_left = n;
		err = use(&why);
		allocations_left = -1;
		if (err < 0) {
			must_explain(err, &why, when);
			must(err == NMX_ERR_NO_MEMORY, "%s: %s: %s", when, nmx_error_name(err), why.text);
		}
		must_add_up(when, NULL);
		must_work(when);
		must_hold(&before, when);
		if (err == 0 && allocations <= n)
			break;
		must(n < 500, "allocations never end");
	}
	kill_now(anchor);
	must_work("after want of memory");
	return n;
}

/* ---- descriptors and address space */

static uint32_t no_descriptors(void)
{
	struct holdings before = snapshot();
	struct rlimit old, now;
	struct nmx_report why;
	uint32_t n;
	int err = -1;

	getrlimit(RLIMIT_NOFILE, &old);
	for (n = 3; err < 0 || n < 40; n++) {
		char when[64];

		attack.round = n;
		snprintf(when, sizeof(when), "at most %u descriptors", n);
		now = (struct rlimit){ n, old.rlim_max };
		setrlimit(RLIMIT_NOFILE, &now);
		err = use(&why);
		setrlimit(RLIMIT_NOFILE, &old);
		if (err < 0) {
			must_explain(err, &why, when);
			must(err == NMX_ERR_NO_MEMORY && strstr(why.text, "ulimit"), "%s: %s: %s", when, nmx_error_name(err), why.text);
		}
		must_work(when);
		must_hold(&before, when);
	}
	return n;
}

static void no_address_space(void *megabytes)
{
	size_t limit = *(size_t *)megabytes << 20;
	struct nmx_report why;
	int err;

	setrlimit(RLIMIT_AS, &(struct rlimit){ limit, limit });
	err = use(&why);
	if (err < 0) {
		must_explain(err, &why, "no address space");
		must(err == NMX_ERR_NO_MEMORY, "no address space: %s: %s", nmx_error_name(err), why.text);
	}
}

static uint32_t little_address_space(void)
{
	uint32_t n = 0;

	if (getenv("ASAN_OPTIONS") || built_with_sanitizer())
		return 0; /* its shadow takes all there is */
	for (size_t megabytes = 4; megabytes <= 64; megabytes += 2, n++) {
		reap_ok(spawn(no_address_space, &megabytes), 10000, "the one without address space");
		must(count_files(attack.dir, "") == 0, "no address space (%zu MiB): files are left", megabytes);
	}
	must_work("after want of address space");
	return n;
}

/* ---- buffers, records, rings, members */

static void no_buffers(void)
{
	struct holdings before = snapshot();

	for (uint32_t bufs = 64; bufs < 200; bufs++) {
		struct nmx_options o = { .tx_slots = 33, .rx_slots = 33, .extra_bufs = 8, .segment_bufs = bufs };
		struct nmx_port *a, *b;
		struct nmx_report why;
		int err = open_port(&a, "x{1", &o, &why);

		attack.round = bufs;
		if (err < 0) {
			must_explain(err, &why, "too few buffers");
			must(err == NMX_ERR_NO_MEMORY && strstr(why.text, "segment_bufs"), "too few buffers: %s", why.text);
			must_hold(&before, "too few buffers");
			continue;
		}
		err = open_port(&b, "x}1", &o, &why);
		if (err < 0)
			must_explain(err, &why, "too few buffers for the other end");
		else
			nmx_close(b);
		must_add_up("few buffers", NULL);
		nmx_close(a);
		must_hold(&before, "few buffers");
	}
	must_work("after want of buffers");
}

static void no_records(void)
{
	enum { PIPES = 600 };
	struct holdings before = snapshot();
	struct nmx_options o = { .tx_slots = 2, .rx_slots = 2 };
	static struct nmx_port *ports[PIPES];
	struct nmx_report why;
	uint32_t n = 0;
	int err = 0;

	for (; n < PIPES && err == 0; n++) {
		char name[16];

		snprintf(name, sizeof(name), "p%u{1", n);
		err = open_port(&ports[n], name, &o, &why);
	}
	n -= err < 0;
	must(err < 0, "%u pipes in a segment with control pages for %u", n, SEGMENT_BUFS / 32 + 64);
	must_explain(err, &why, "no more pipes");
	must(err == NMX_ERR_NO_MEMORY && strstr(why.text, "segment="), "no more pipes: %s", why.text);
	must_add_up("all pipes are open", NULL);
	for (uint32_t i = 0; i < n; i++)
		nmx_close(ports[i]);
	must_hold(&before, "after all pipes are closed");
	must_work("after want of pipes");
}

static void be_one_too_many(void *unused)
{
	struct nmx_report why;
	struct nmx_port *port;
	int err = open_port(&port, "x{1", NULL, &why);

	(void)unused;
	must_explain(err, &why, "no more members");
	must(err == NMX_ERR_NO_MEMORY && strstr(why.text, "segment="), "no more members: %s", why.text);
}

static void no_members(void)
{
	struct holdings before = snapshot();
	uint32_t taken = fake_members();

	must(taken > 1000, "only %u ids could be taken", taken);
	reap_ok(spawn(be_one_too_many, NULL), 10000, "one member too many");
	release_fake_members();
	must_work("after want of member ids");
	must_hold(&before, "after want of member ids");
}

int main(int argc, char **argv)
{
	uint32_t failed_allocations, descriptors, spaces, disks, files;

	attack_begin("exhaustion", argc, argv, 1, 0);
	must_work("at first");
	failed_allocations = no_memory();
	descriptors = no_descriptors();
	spaces = little_address_space();
	no_buffers();
	no_records();
	no_members();
	files = wrong_files();
	files += wrong_directories();
	disks = full_disks();
	return attack_end("%u allocations refused, up to %u descriptors, %u sizes of address space, %u of a file system%s, %u wrong files and "
	                  "directories",
	                  failed_allocations, descriptors, spaces, disks, disks ? "" : " (no right to mount one)", files);
}
