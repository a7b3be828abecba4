/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/audit.h"

/* Owners of each buffer, by number: 0 nobody, 1 a queue, 2 + id a member. */
enum { NOBODY, A_QUEUE, FIRST_MEMBER };

struct walk {
	struct nmx__segment *seg;
	struct nmx__audit *audit;
	uint16_t *owner;
	bool quarantined[NMX__MAX_MEMBERS];
};

static bool is_used(const struct nmx__segment *seg, uint32_t index)
{
	return atomic_load_explicit(&seg->used[index / 64], memory_order_relaxed) >> index % 64 & 1;
}

static void note(struct walk *walk, uint32_t index, uint16_t owner)
{
	if (!nmx__seg_has_buf(walk->seg, index)) {
		walk->audit->nonsense++;
		return;
	}
	/* A queue's buffer that is free as well would be given to somebody else. */
	if (walk->owner[index] != NOBODY || !is_used(walk->seg, index)) {
		walk->audit->doubled++;
		if (!walk->audit->first_doubled)
			walk->audit->first_doubled = index;
	}
	walk->owner[index] = owner;
}

/* ---- queues */

/* Entry by entry, unlike nmx__queue_collect(): a set would hide a buffer that is there twice. */
static void walk_queue(struct walk *walk, const struct nmx__queue *q, uint32_t slots)
{
	uint32_t capacity = nmx__queue_capacity(slots), head = atomic_load(&q->head), full = atomic_load(&q->tail) - head;

	for (uint32_t i = 0; i < capacity; i++) {
		const struct nmx__entry *entry = &q->entry[(head + i) & (capacity - 1)];

		note(walk, i < full ? (uint32_t)atomic_load(&entry->full) : atomic_load(&entry->empty), A_QUEUE);
	}
}

static void walk_records(struct walk *walk)
{
	uint32_t n = atomic_load(&walk->seg->header->num_records);

	for (uint32_t i = 0; i < n && i < NMX__MAX_RECORDS; i++) {
		const struct nmx__record *record = &walk->seg->records[i];
		struct nmx__record_geometry g;

		if (!atomic_load(&record->live) || !nmx__record_read(walk->seg, record, &g))
			continue;
		walk->audit->records++;
		for (uint32_t end = 0; end < 2; end++)
			for (uint32_t ring = 0; ring < g.rings[end]; ring++)
				walk_queue(walk, nmx__record_queue(walk->seg, record, &g, end, ring), g.slots[end]);
	}
}

/* ---- members */

/* Inside one member's file a buffer may be mentioned twice (half an exchange), and a free one too (half a claim). */
static void note_set(struct walk *walk, const uint64_t *set, uint32_t id)
{
	for (uint32_t index = NMX__FIRST_BUF; index < walk->seg->num_bufs; index++) {
		if (!(set[index / 64] >> index % 64 & 1))
			continue;
		if (!is_used(walk->seg, index)) {
			walk->audit->free_mentioned++;
			continue;
		}
		note(walk, index, (uint16_t)(FIRST_MEMBER + id));
		walk->audit->held_by[id]++;
	}
}

static int collect_extent(const struct nmx__segment *seg, int fd, uint64_t where, uint64_t *set, uint64_t *in_kernel)
{
	uint64_t counters[NMX__NUM_COUNTERS] = { 0 };
	size_t bytes;
	uint8_t *extent;
	int err = nmx__extent_read(seg, fd, where, &extent, &bytes);

	if (err < 0)
		return err;
	if (extent)
		nmx__extent_collect(seg, extent, bytes, set, in_kernel, counters);
	free(extent);
	return 0;
}

static int collect_file(const struct nmx__segment *seg, int fd, struct nmx__own_header *header, uint64_t *set,
                        uint64_t *in_kernel)
{
	int err = 0;

	if (pread(fd, header, sizeof(*header), 0) != sizeof(*header))
		return NMX_ERR_IO;
	for (uint32_t i = 0; i < NMX__MAX_EXTENTS && err == 0; i++)
		if (atomic_load(&header->extent[i]))
			err = collect_extent(seg, fd, atomic_load(&header->extent[i]), set, in_kernel);
	return err;
}

static int walk_member(struct walk *walk, uint32_t id)
{
	struct nmx__own_header *header = malloc(sizeof(*header));
	uint64_t *set = nmx__bufs_set(walk->seg), *in_kernel = nmx__bufs_set(walk->seg);
	int fd = nmx__member_open(walk->seg, id), err = header && set && in_kernel ? 0 : NMX_ERR_NO_MEMORY;
	bool alive = nmx__member_alive(walk->seg, id);

	(*(alive ? &walk->audit->members : &walk->audit->dead))++;
	walk->quarantined[id] = !alive && atomic_load(&walk->seg->members[id].quarantine_ms);
	if (err == 0 && fd >= 0) /* no file: it has been recovered, all but for its id */
		err = collect_file(walk->seg, fd, header, set, in_kernel);
	for (uint32_t word = 0; err == 0 && word < (walk->seg->num_bufs + 63) / 64; word++)
		set[word] = in_kernel[word] | (walk->quarantined[id] ? 0 : set[word]);
	if (err == 0)
		note_set(walk, set, id);
	if (fd >= 0)
		close(fd);
	free(in_kernel);
	free(set);
	free(header);
	return err;
}

static int walk_members(struct walk *walk)
{
	int err = 0;

	for (uint32_t id = 0; id < NMX__MAX_MEMBERS && err == 0; id++)
		if (atomic_load(&walk->seg->members[id].gen))
			err = walk_member(walk, id);
	return err;
}

/* ---- the sum */

static void count(struct walk *walk)
{
	struct nmx__audit *audit = walk->audit;

	for (uint32_t index = NMX__FIRST_BUF; index < walk->seg->num_bufs; index++) {
		uint16_t owner = walk->owner[index];

		audit->buffers++;
		if (!is_used(walk->seg, index))
			audit->free++;
		else if (owner == A_QUEUE)
			audit->queued++;
		else if (owner != NOBODY)
			(*(walk->quarantined[owner - FIRST_MEMBER] ? &audit->quarantined : &audit->held))++;
		else if (audit->lost++ == 0)
			audit->first_lost = index;
	}
}

int nmx__audit(struct nmx__segment *seg, struct nmx__audit *audit)
{
	struct walk walk = { .seg = seg, .audit = audit, .owner = calloc(seg->num_bufs, sizeof(*walk.owner)) };
	int err;

	memset(audit, 0, sizeof(*audit));
	if (!walk.owner)
		return NMX_ERR_NO_MEMORY;
	walk_records(&walk);
	err = walk_members(&walk);
	if (err == 0)
		count(&walk);
	free(walk.owner);
	return err;
}
