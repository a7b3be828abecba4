/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Which buffers are free.  A clear bit wins over any mention of the buffer in a member's file, so: note, then mark as
 * used; and mark as free, then forget. */
#include <stdlib.h>

#include "base/report.h"
#include "shm/segment.h"
#include "shm/space.h"

static uint32_t num_words(const struct nmx__segment *seg) { return (seg->num_bufs + 63) / 64; }

/* Free buffers among the 64 of a word. */
static uint64_t free_bits(const struct nmx__segment *seg, uint32_t word)
{
	uint64_t bits = ~atomic_load_explicit(&seg->used[word], memory_order_relaxed);

	if (word == 0)
		bits &= ~0ull << NMX__FIRST_BUF;
	if (word == num_words(seg) - 1 && seg->num_bufs % 64)
		bits &= (1ull << seg->num_bufs % 64) - 1;
	return bits;
}

static int reserve_run(struct nmx__segment *seg, uint32_t first, uint32_t count)
{
	return nmx__fd_reserve(seg->fd, (size_t)(seg->bufs - seg->map) + (size_t)first * seg->buf_stride, (size_t)count * seg->buf_stride);
}

/* What a device may have registered stays: without its pages, the device would go on with others than the file's. */
static int give_back_run(struct nmx__segment *seg, uint32_t first, uint32_t count)
{
	uint32_t keep = atomic_load(&seg->header->device_bufs), end = first + count;

	first = first > keep ? first : keep;
	if (first >= end)
		return 0;
	count = end - first;
	nmx__fd_give_back(seg->fd, (size_t)(seg->bufs - seg->map) + (size_t)first * seg->buf_stride, (size_t)count * seg->buf_stride);
	return 0;
}

/* Neighbours in one go: the calls cost more than the pages. */
static int for_runs(struct nmx__segment *seg, uint32_t n, uint32_t *(*cell)(void *arg, uint32_t i), void *arg,
                    int (*fn)(struct nmx__segment *seg, uint32_t first, uint32_t count))
{
	uint32_t first = 0, count = 0;
	int err = 0;

	for (uint32_t i = 0; i < n && err == 0; i++) {
		uint32_t index = *cell(arg, i);

		if (count && index == first + count) {
			count++;
			continue;
		}
		if (count)
			err = fn(seg, first, count);
		first = index;
		count = 1;
	}
	return err ? err : count ? fn(seg, first, count) : 0;
}

static void give_back(struct nmx__segment *seg, uint32_t n, uint32_t *(*cell)(void *arg, uint32_t i), void *arg)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t index = *cell(arg, i);

		atomic_fetch_and(&seg->used[index / 64], ~(1ull << index % 64));
		*(volatile uint32_t *)cell(arg, i) = 0;
	}
}

static uint32_t claim(struct nmx__segment *seg, uint32_t n, uint32_t *(*cell)(void *arg, uint32_t i), void *arg)
{
	uint32_t got = 0;

	for (uint32_t word = 0; word < num_words(seg) && got < n; word++)
		for (uint64_t bits = free_bits(seg, word); bits && got < n; bits &= bits - 1) {
			*(volatile uint32_t *)cell(arg, got++) = word * 64 + (uint32_t)__builtin_ctzll(bits);
			atomic_fetch_or(&seg->used[word], bits & -bits);
		}
	return got;
}

int nmx__bufs_claim(struct nmx__segment *seg, uint32_t n, uint32_t *(*cell)(void *arg, uint32_t i), void *arg,
                    struct nmx_report *why)
{
	uint32_t got = claim(seg, n, cell, arg);
	int err = 0;

	if (got < n) {
		give_back(seg, got, cell, arg);
		return nmx__fail(why, NMX_ERR_NO_MEMORY, 0,
		                 "%u buffers are needed, and %u of the %u in the segment \"%s/%s\" are free; ask for fewer slots, or make "
		                 "it larger when it is next made (segment_bufs), or use another (@segment=)",
		                 n, got, seg->num_bufs - NMX__FIRST_BUF, seg->dir.path, seg->name);
	}
	err = for_runs(seg, n, cell, arg, reserve_run);
	if (err == 0)
		return 0;
	for_runs(seg, n, cell, arg, give_back_run); /* so that others find some */
	give_back(seg, n, cell, arg);
	return nmx__fail(why, NMX_ERR_NO_MEMORY, err, "no room in \"%s\" for %u buffers of %u bytes (df -h %s)", seg->dir.path, n,
	                 seg->buf_stride, seg->dir.path);
}

/* ---- devices */

uint32_t nmx__bufs_end(const struct nmx__segment *seg)
{
	for (uint32_t word = num_words(seg); word-- > 0;) {
		uint64_t bits = atomic_load_explicit(&seg->used[word], memory_order_relaxed);
		uint32_t end = bits ? word * 64 + 64 - (uint32_t)__builtin_clzll(bits) : 0;

		if (end)
			return end < seg->num_bufs ? end : seg->num_bufs;
	}
	return 0;
}

/* The space of those that nobody has. */
static void give_back_free(struct nmx__segment *seg, uint32_t from, uint32_t to)
{
	uint32_t first = from;

	for (uint32_t i = from; i < to; i++)
		if (!(free_bits(seg, i / 64) >> i % 64 & 1)) {
			give_back_run(seg, first, i - first);
			first = i + 1;
		}
	give_back_run(seg, first, to - first);
}

int nmx__seg_reserve_for_device(struct nmx__segment *seg, uint32_t num_bufs, struct nmx_report *why)
{
	size_t bytes = nmx__seg_area_bytes(seg, num_bufs);
	int err = 0;

	/* Not what the header says is reserved, but what we know to be: anybody may have written it. */
	if (num_bufs > seg->reserved_bufs)
		err = nmx__fd_reserve(seg->fd, (size_t)(seg->area - seg->map), bytes);
	if (err) {
		give_back_free(seg, NMX__FIRST_BUF, num_bufs);
		return nmx__fail(why, NMX_ERR_NO_MEMORY, err,
		                 "no room in \"%s\" for the %zu MiB of the segment \"%s\" that a device is to use (df -h %s)", seg->dir.path,
		                 (bytes >> 20) + 1, seg->name, seg->dir.path);
	}
	if (num_bufs > seg->reserved_bufs)
		seg->reserved_bufs = num_bufs;
	if (num_bufs > atomic_load(&seg->header->device_bufs))
		atomic_store(&seg->header->device_bufs, num_bufs);
	return 0;
}

uint64_t *nmx__bufs_set(const struct nmx__segment *seg) { return calloc(num_words(seg), sizeof(uint64_t)); }

void nmx__bufs_free_set(struct nmx__segment *seg, const uint64_t *set)
{
	for (uint32_t word = 0; set && word < num_words(seg); word++)
		if (set[word])
			atomic_fetch_and(&seg->used[word], ~set[word]);
}
