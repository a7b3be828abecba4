/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a dead member held, and giving it back.  Only the dead one's own file is read, and the index of the one queue
 * that each of its rings was syncing: no living member has to stand still.  Every step can be repeated, for the
 * cleaner may die too. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/report.h"
#include "shm/switch.h"

/* An extent of full rings that have all buffers, generously: its tables are 28 bytes a slot, its rings 128 at most, each
 * with a mark for each buffer.  A member that said more would have whoever recovers it read for hours. */
static size_t max_extent_bytes(const struct nmx__segment *seg)
{
	size_t ring = sizeof(struct nmx__own_ring) + sizeof(struct netmap_ring) + 512 + seg->num_bufs;

	return 2 * NMX__PAGE + 2 * NMX__MAX_RINGS * ring + (size_t)seg->num_bufs * 32;
}

/* A structure of `bytes` at `offset`, or NULL when it would not be inside. */
static const void *inside(const uint8_t *file, size_t size, uint64_t offset, uint64_t bytes)
{
	return offset % 4 == 0 && offset <= size && bytes <= size - offset ? file + offset : NULL;
}

/* Has the sync in flight published its index?  Then the ring owns what it had noted as pending. */
static bool has_committed(const struct nmx__segment *seg, const struct nmx__own_extent *extent, const struct nmx__own_ring *ring,
                          uint64_t txn)
{
	struct nmx__record_geometry g;
	const struct nmx__queue *q;

	if (ring->order_ofs)
		return nmx__target_committed(seg, atomic_load_explicit(&ring->target, memory_order_relaxed), txn);
	if (extent->record >= NMX__MAX_RECORDS || !nmx__record_read(seg, &seg->records[extent->record], &g))
		return false;
	for (uint32_t end = 0; end < 2; end++)
		for (uint32_t i = 0; i < g.rings[end]; i++) {
			q = nmx__record_queue(seg, &seg->records[extent->record], &g, end, i);
			if (nmx__record_queue_number(&g, end, i) == ring->queue)
				return (int32_t)(atomic_load(ring->is_tx ? &q->tail : &q->head) - nmx__txn_committed(txn)) >= 0;
		}
	return false;
}

/* Received and not released; with what a committed sync had not yet added to the ring. */
static uint32_t count_unread(const struct netmap_ring *ring, uint32_t n, uint64_t committed)
{
	uint32_t tail = committed ? (nmx__txn_first(committed) + nmx__txn_slots(committed)) % n : ring->tail;

	return ring->head < n && tail < n ? nmx__distance(ring->head, tail, n) : 0;
}

static void add_counters(const struct nmx__own_ring *own, uint64_t counters[NMX__NUM_COUNTERS])
{
	for (unsigned i = 0; i < NMX__NUM_COUNTERS; i++)
		counters[i] += atomic_load_explicit(&own->counters.at[i], memory_order_relaxed);
}

/* The slots of a sync in flight, as bits: neighbours, or what the ring's table lists. */
static void mark_txn(const struct nmx__own_ring *own, const uint8_t *start, size_t size, uint64_t txn, uint64_t bits[NMX__MAX_SLOTS / 64])
{
	uint32_t n = own->num_slots, first = nmx__txn_first(txn), count = nmx__txn_slots(txn);
	const uint16_t *order = own->order_ofs ? inside(start, size, own->order_ofs, n * sizeof(uint16_t)) : NULL;

	for (uint32_t i = 0; i < count && i < n; i++) {
		uint32_t at = (first + i) % n, slot = order ? order[at] % n : at;

		bits[slot / 64] |= 1ull << slot % 64;
	}
}

static void collect_ring(const struct nmx__segment *seg, const struct nmx__own_extent *extent, const uint8_t *start, size_t size,
                         uint64_t *set, uint64_t counters[NMX__NUM_COUNTERS])
{
	const struct nmx__own_ring *own = inside(start, size, 0, sizeof(*own));
	if (!own || own->num_slots < NMX__MIN_SLOTS || own->num_slots > NMX__MAX_SLOTS)
		return;
	uint32_t n = own->num_slots;
	const uint64_t *pending = inside(start, size, own->pending_ofs, n * sizeof(uint64_t));
	const struct netmap_ring *ring = inside(start, size, own->ring_ofs, sizeof(*ring) + n * sizeof(struct netmap_slot));
	if (!pending || !ring)
		return;
	uint64_t txn = atomic_load_explicit(&own->txn, memory_order_relaxed), in_txn[NMX__MAX_SLOTS / 64] = { 0 };
	bool committed = txn && has_committed(seg, extent, own, txn);

	if (committed)
		mark_txn(own, start, size, txn, in_txn);
	for (uint32_t i = 0; i < n; i++)
		nmx__bufs_set_add(seg, set, in_txn[i / 64] >> i % 64 & 1 ? (uint32_t)pending[i] : ring->slot[i].buf_idx);
	nmx__bufs_set_add(seg, set, own->transit);
	add_counters(own, counters);
	if (!own->is_tx)
		counters[offsetof(struct nmx_stats, drop_unread) / sizeof(uint64_t)] += count_unread(ring, n, committed ? txn : 0);
}

/* No queue of ours to ask: what is marked is the kernel's, also where the file mentions it elsewhere. */
static void collect_device_ring(const struct nmx__segment *seg, const uint8_t *start, size_t size, uint64_t *set,
                                uint64_t *in_kernel, uint64_t counters[NMX__NUM_COUNTERS])
{
	const struct nmx__own_ring *own = inside(start, size, 0, sizeof(*own));
	if (!own || own->num_slots < NMX__MIN_SLOTS || own->num_slots > NMX__MAX_SLOTS)
		return;
	const uint8_t *held = inside(start, size, own->held_ofs, own->held_bufs);
	const struct netmap_ring *ring =
	    inside(start, size, own->ring_ofs, sizeof(*ring) + own->num_slots * sizeof(struct netmap_slot));

	for (uint32_t i = 0; held && i < own->held_bufs && i < seg->num_bufs; i++)
		if (held[i])
			nmx__bufs_set_add(seg, in_kernel, i);
	for (uint32_t i = 0; ring && i < own->num_slots; i++)
		nmx__bufs_set_add(seg, set, ring->slot[i].buf_idx);
	nmx__bufs_set_add(seg, set, own->transit);
	add_counters(own, counters);
}

/* Staged buffers belong to the record's queues once it is live. */
static bool is_void(const struct nmx__segment *seg, const struct nmx__own_extent *extent)
{
	if (extent->kind == NMX__EXTENT_PORT || extent->kind == NMX__EXTENT_DEVICE || extent->kind == NMX__EXTENT_CLOSED)
		return false;
	return extent->kind != NMX__EXTENT_STAGING || extent->record >= NMX__MAX_RECORDS ||
	       (extent->record_gen && atomic_load(&seg->records[extent->record].live) == extent->record_gen);
}

void nmx__extent_collect(const struct nmx__segment *seg, const uint8_t *file, size_t bytes, uint64_t *set, uint64_t *in_kernel,
                         uint64_t counters[NMX__NUM_COUNTERS])
{
	const struct nmx__own_extent *extent = inside(file, bytes, 0, sizeof(*extent));
	const uint32_t *held;

	if (!extent || is_void(seg, extent))
		return;
	held = inside(file, bytes, extent->held_ofs, (uint64_t)extent->num_held * sizeof(uint32_t));
	for (uint32_t i = 0; held && i < extent->num_held; i++)
		nmx__bufs_set_add(seg, set, held[i]);
	for (uint32_t i = 0; extent->kind != NMX__EXTENT_STAGING && i < extent->num_rings && i < 2 * NMX__MAX_RINGS; i++) {
		uint32_t at = extent->ring_ofs[i];

		if (at % 128 != 0 || at >= bytes)
			continue;
		if (extent->kind == NMX__EXTENT_DEVICE)
			collect_device_ring(seg, file + at, bytes - at, set, in_kernel, counters);
		else if (extent->kind == NMX__EXTENT_CLOSED)
			collect_device_ring(seg, file + at, bytes - at, set, set, counters);
		else
			collect_ring(seg, extent, file + at, bytes - at, set, counters);
	}
}

void nmx__extent_credit(struct nmx__segment *seg, uint32_t id, const struct nmx__own_extent *extent,
                        const uint64_t counters[NMX__NUM_COUNTERS])
{
	struct nmx__record *record = &seg->records[extent->record % NMX__MAX_RECORDS];

	if (extent->kind == NMX__EXTENT_PORT && extent->record < NMX__MAX_RECORDS && extent->end < 2 &&
	    atomic_load(&record->end[extent->end]) == nmx__end_make(id, extent->attach_gen))
		nmx__totals_add(&record->totals[extent->end], extent->attach_gen, counters);
}

/* ---- the dead one's file */

static bool read_all(int fd, void *out, size_t bytes, uint64_t offset)
{
	return pread(fd, out, bytes, (off_t)offset) == (ssize_t)bytes;
}

int nmx__extent_read(const struct nmx__segment *seg, int fd, uint64_t where, uint8_t **extent, size_t *bytes)
{
	*bytes = (size_t)(uint32_t)where * NMX__PAGE;
	*extent = NULL;
	if (*bytes == 0 || *bytes > max_extent_bytes(seg))
		return 0;
	*extent = aligned_alloc(128, *bytes);
	if (!*extent)
		return NMX_ERR_NO_MEMORY;
	if (!read_all(fd, *extent, *bytes, (where >> 32) * NMX__PAGE)) {
		free(*extent);
		*extent = NULL;
	}
	return 0;
}

/* Gives one extent's buffers to the sets, and its counters to the totals of its end. */
static int recover_extent(struct nmx__segment *seg, int fd, uint32_t id, uint64_t where, uint64_t *set, uint64_t *in_kernel)
{
	uint64_t counters[NMX__NUM_COUNTERS] = { 0 };
	size_t bytes;
	uint8_t *file;
	int err = nmx__extent_read(seg, fd, where, &file, &bytes);

	if (file) {
		nmx__extent_collect(seg, file, bytes, set, in_kernel, counters);
		nmx__extent_credit(seg, id, (const struct nmx__own_extent *)file, counters);
	}
	free(file);
	return err;
}

/* What the kernel holds leaves the one set, and what is free leaves the other.  False: the kernel holds nothing. */
static bool part(const struct nmx__segment *seg, uint64_t *set, uint64_t *in_kernel)
{
	bool some = false;

	for (uint32_t word = 0; word < (seg->num_bufs + 63) / 64; word++) {
		set[word] &= ~in_kernel[word];
		in_kernel[word] &= atomic_load_explicit(&seg->used[word], memory_order_relaxed);
		some |= in_kernel[word] != 0;
	}
	return some;
}

enum share { THE_REST, OF_THE_KERNEL };

/* Frees one share of what the file names.  *quarantine: the kernel holds something of it. */
static int recover_file(struct nmx__segment *seg, int fd, uint32_t id, enum share share, bool *quarantine)
{
	struct nmx__own_header *header = malloc(sizeof(*header));
	uint64_t *set = nmx__bufs_set(seg), *in_kernel = nmx__bufs_set(seg);
	int err = header && set && in_kernel ? 0 : NMX_ERR_NO_MEMORY;

	if (err == 0 && read_all(fd, header, sizeof(*header), 0) && atomic_load(&header->magic) == NMX__OWN_MAGIC &&
	    header->version == NMX__SHM_VERSION && header->segment_id == seg->id) {
		for (uint32_t i = 0; i < NMX__MAX_EXTENTS && err == 0; i++)
			if (atomic_load(&header->extent[i]))
				err = recover_extent(seg, fd, id, atomic_load(&header->extent[i]), set, in_kernel);
		if (err == 0) {
			*quarantine = part(seg, set, in_kernel);
			nmx__bufs_free_set(seg, share == THE_REST ? set : in_kernel);
		}
	}
	free(header);
	free(set);
	free(in_kernel);
	return err;
}

/* Those of the attachment, or all when it is 0. */
static void release_ends(struct nmx__segment *seg, uint32_t id, uint32_t attach_gen)
{
	uint32_t n = atomic_load(&seg->header->num_records);

	for (uint32_t i = 0; i < n && i < NMX__MAX_RECORDS; i++)
		for (uint32_t end = 0; end < 2; end++) {
			nmx__end_t who = atomic_load(&seg->records[i].end[end]);

			if (atomic_load(&seg->records[i].live) && who && nmx__end_member(who) == id &&
			    (!attach_gen || nmx__end_gen(who) == attach_gen)) {
				nmx__record_release(seg, &seg->records[i], end);
				nmx__record_wake(seg, &seg->records[i]);
			}
		}
}

/* A time that cannot be is over: nobody can make it last for ever by writing one. */
static bool quarantine_lasts(uint64_t since_ms)
{
	uint64_t now = nmx__now_ms();

	return since_ms > now ? since_ms - now <= NMX__QUARANTINE_MS : now - since_ms < NMX__QUARANTINE_MS;
}

/* What others wait for: the locks that it held, and its ends. */
static void let_go(struct nmx__segment *seg, uint32_t id)
{
	nmx__lanes_release(seg, id);
	release_ends(seg, id, 0);
}

/* Frees what can be now.  1: a share has to wait. */
static int recover_share(struct nmx__segment *seg, uint32_t id, int fd)
{
	_Atomic uint64_t *since_ms = &seg->members[id].quarantine_ms;
	enum share share = atomic_load(since_ms) ? OF_THE_KERNEL : THE_REST;
	bool quarantine = false;
	int err = 0;

	/* Before the first of them is free: a cleaner after us, should its clock differ, must not find that the quarantine
	 * lasts, claim a buffer that we have freed, and have it freed again later. */
	if (share == OF_THE_KERNEL)
		atomic_store(since_ms, NMX__QUARANTINE_OVER);
	if (fd >= 0)
		err = recover_file(seg, fd, id, share, &quarantine);
	if (err < 0)
		return err;
	/* After the rest is free, and before anybody may claim it (which is in this same lock): from here on the file's
	 * other mentions are void.  And before its locks are let go, for it is they that say what a sync in flight owns: a
	 * cleaner after us must not ask again. */
	if (share == THE_REST)
		atomic_store(since_ms, quarantine ? (uint64_t)nmx__now_ms() | 1 : NMX__QUARANTINE_OVER);
	let_go(seg, id);
	return share == THE_REST && quarantine;
}

int nmx__recover_member(struct nmx__segment *seg, uint32_t id, struct nmx_report *why)
{
	uint64_t since_ms = atomic_load(&seg->members[id].quarantine_ms);
	char file[NMX__FILE_NAME_MAX];
	int fd, err;

	nmx__seg_file(seg, file, "m%u", id);
	if (atomic_load(&seg->members[id].gen) == 0) {
		unlinkat(seg->dir.fd, file, 0); /* it died before it was one */
		return 0;
	}
	if (since_ms && quarantine_lasts(since_ms)) {
		let_go(seg, id); /* who noted it may have died before it came to that */
		return 0;
	}
	fd = nmx__member_open(seg, id);
	if (fd < 0 && errno != ENOENT)
		return nmx__fail(why, NMX_ERR_IO, errno, "cannot read \"%s/%s\" of a dead member", seg->dir.path, file);
	err = recover_share(seg, id, fd);
	if (fd >= 0)
		close(fd);
	if (err < 0)
		return nmx__fail(why, err, ENOMEM, "cannot recover what a dead member left");
	if (err > 0)
		return 0; /* the file is still needed */
	unlinkat(seg->dir.fd, file, 0);
	atomic_store(&seg->members[id].gen, 0);
	seg->num_recovered++;
	return 0;
}

static int recover_own_extent(struct nmx__segment *seg, uint32_t slot, uint32_t attach_gen)
{
	uint64_t *set = nmx__bufs_set(seg);
	int err = set ? recover_extent(seg, seg->own_fd, seg->member, atomic_load(&seg->own->extent[slot]), set, set) : NMX_ERR_NO_MEMORY;

	if (err == 0) {
		nmx__bufs_free_set(seg, set);
		release_ends(seg, seg->member, attach_gen);
		nmx__extent_forget(seg, slot);
	}
	free(set);
	return err;
}

void nmx__recover_abandoned(struct nmx__segment *seg)
{
	for (uint32_t i = 0; i < NMX__MAX_EXTENTS && atomic_load(&seg->num_abandoned); i++) {
		uint32_t attach_gen = atomic_load(&seg->abandoned[i]);

		if (!attach_gen || recover_own_extent(seg, i, attach_gen) < 0)
			continue;
		atomic_store(&seg->abandoned[i], 0);
		atomic_fetch_sub(&seg->num_abandoned, 1);
	}
}

int nmx__recover_dead(struct nmx__segment *seg, struct nmx_report *why)
{
	int err = 0;

	for (uint32_t id = 0; id < NMX__MAX_MEMBERS && err == 0; id++)
		if (atomic_load_explicit(&seg->members[id].gen, memory_order_relaxed) && !nmx__member_alive(seg, id))
			err = nmx__recover_member(seg, id, why);
	if (err == 0)
		nmx__record_sweep(seg);
	return err;
}

int nmx__seg_lock_to_claim(struct nmx__segment *seg, struct nmx_report *why)
{
	int err = nmx__seg_lock(seg, why);

	if (err < 0)
		return err;
	err = nmx__seg_is_linked(seg) ? nmx__recover_dead(seg, why)
	                              : nmx__fail(why, NMX_ERR_GONE, 0,
	                                          "somebody removed \"%s/%s\" while this process uses it: close all its ports first",
	                                          seg->dir.path, seg->name);
	if (err < 0)
		nmx__seg_unlock(seg);
	return err;
}
