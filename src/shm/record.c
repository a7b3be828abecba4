/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The pipes and switches of a segment: names, ends, queues.  A record is there when its `live` is set, and gone when it is not:
 * space in the control area is whatever no live record has. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/report.h"
#include "shm/space.h"
#include "shm/switch.h"

static bool is_live(const struct nmx__record *record) { return atomic_load(&record->live) != 0; }

struct nmx__record *nmx__record_find(const struct nmx__segment *seg, enum nmx__record_kind kind, const char *name)
{
	for (uint32_t i = 0; i < nmx__num_records(seg); i++)
		if (is_live(&seg->records[i]) && seg->records[i].kind == kind &&
		    strncmp(seg->records[i].name, name, sizeof(seg->records[i].name)) == 0)
			return &seg->records[i];
	return NULL;
}

/* It may go to a terminal, and a member may have written anything there: what the name of no port has is replaced, and of
 * C1's controls, in UTF-8, the second byte. */
void nmx__record_name(const struct nmx__record *record, char name[NMX__RECORD_NAME])
{
	memcpy(name, record->name, NMX__RECORD_NAME - 1);
	name[NMX__RECORD_NAME - 1] = '\0';
	for (unsigned char *c = (unsigned char *)name; *c; c++)
		if (*c <= ' ' || *c == 0x7f || (*c >= 0x80 && *c < 0xa0 && (c == (unsigned char *)name || c[-1] < 0x80 || c[-1] == 0xc2)))
			*c = '?';
}

/* ---- queues */

static uint32_t control_bytes(const struct nmx__record_geometry *g)
{
	if (g->kind == NMX__RECORD_SWITCH)
		return sizeof(struct nmx__switch);
	return g->rings[0] * nmx__queue_bytes(g->slots[0]) + g->rings[1] * nmx__queue_bytes(g->slots[1]);
}

static uint32_t control_pages(const struct nmx__record_geometry *g)
{
	return (control_bytes(g) + NMX__PAGE - 1) / NMX__PAGE;
}

/* Rings of an end: none on the side of a port's owner, who sends on others' queues. */
static bool end_is_valid(const struct nmx__record_geometry *g, int end)
{
	uint32_t most = g->kind == NMX__RECORD_PIPE ? NMX__MAX_RINGS : NMX__PORT_RINGS;

	if (g->kind == NMX__RECORD_SWITCH || (g->kind == NMX__RECORD_PORT && end == 1))
		return g->rings[end] == 0 && g->slots[end] == 0;
	return g->rings[end] != 0 && g->rings[end] <= most && g->slots[end] >= NMX__MIN_SLOTS && g->slots[end] <= NMX__MAX_SLOTS;
}

bool nmx__record_read(const struct nmx__segment *seg, const struct nmx__record *record, struct nmx__record_geometry *g)
{
	const volatile struct nmx__record *r = record; /* each field once: a hostile member may be writing it */
	uint32_t page = r->control_page, pages = r->control_pages;

	g->kind = r->kind;
	for (int end = 0; end < 2; end++) {
		g->rings[end] = r->rings[end];
		g->slots[end] = r->slots[end];
		if (g->kind > NMX__RECORD_SWITCH || !end_is_valid(g, end))
			return false;
	}
	return pages == control_pages(g) && page < seg->control_pages && pages <= seg->control_pages - page;
}

uint8_t *nmx__record_control(const struct nmx__segment *seg, const struct nmx__record *record, const struct nmx__record_geometry *g)
{
	uint32_t page = *(const volatile uint32_t *)&record->control_page, pages = control_pages(g);

	if (page >= seg->control_pages || pages > seg->control_pages - page)
		page = 0; /* changed under us since it was read: any place inside the segment will do */
	return seg->control + (size_t)page * NMX__PAGE;
}

struct nmx__queue *nmx__record_queue(const struct nmx__segment *seg, const struct nmx__record *record,
                                     const struct nmx__record_geometry *g, uint32_t end, uint32_t ring)
{
	size_t offset = (size_t)ring * nmx__queue_bytes(g->slots[end]) + (end ? g->rings[0] * nmx__queue_bytes(g->slots[0]) : 0);

	return (struct nmx__queue *)(nmx__record_control(seg, record, g) + offset);
}

/* Every buffer that the record's queues hold. */
static void collect_queues(const struct nmx__segment *seg, const struct nmx__record *record, uint64_t *set)
{
	struct nmx__record_geometry g;

	if (!nmx__record_read(seg, record, &g))
		return;
	for (uint32_t end = 0; end < 2; end++)
		for (uint32_t ring = 0; ring < g.rings[end]; ring++) {
			struct nmx__queue *q = nmx__record_queue(seg, record, &g, end, ring);

			nmx__queue_collect(seg, q, g.slots[end], set);
		}
}

void nmx__queue_collect(const struct nmx__segment *seg, const struct nmx__queue *q, uint32_t slots, uint64_t *set)
{
	uint32_t capacity = nmx__queue_capacity(slots), head = atomic_load(&q->head), full = atomic_load(&q->tail) - head;

	for (uint32_t i = 0; i < capacity; i++) {
		const struct nmx__entry *entry = &q->entry[(head + i) & (capacity - 1)];

		nmx__bufs_set_add(seg, set, i < full ? (uint32_t)atomic_load(&entry->full) : atomic_load(&entry->empty));
	}
}

/* ---- making */

static int free_record(struct nmx__segment *seg)
{
	uint32_t n = nmx__num_records(seg);

	for (uint32_t i = 0; i < n; i++)
		if (!is_live(&seg->records[i]))
			return (int)i;
	if (n == NMX__MAX_RECORDS)
		return -1;
	if (nmx__fd_reserve(seg->fd, (size_t)((uint8_t *)&seg->records[n] - seg->map), sizeof(struct nmx__record)))
		return -1;
	atomic_store(&seg->header->num_records, n + 1);
	return (int)n;
}

/* The first gap in the control area; records are few, and this is not on the path of packets.  Bounded, for a hostile
 * member may move records about meanwhile. */
static uint32_t find_gap(const struct nmx__segment *seg, uint32_t pages)
{
	uint32_t at = 0;
	bool moved = true;

	for (uint32_t rounds = 0; moved && rounds < NMX__MAX_RECORDS; rounds++) {
		moved = false;
		for (uint32_t i = 0; i < nmx__num_records(seg); i++) {
			const volatile struct nmx__record *r = &seg->records[i];
			uint64_t first = r->control_page, count = r->control_pages;

			if (is_live(&seg->records[i]) && at < first + count && first < (uint64_t)at + pages && first + count < UINT32_MAX) {
				at = (uint32_t)(first + count);
				moved = true;
			}
		}
	}
	return at;
}

static uint32_t *staged_cell(void *arg, uint32_t i)
{
	struct nmx__own_extent *staging = arg;

	return (uint32_t *)((uint8_t *)staging + staging->held_ofs) + i;
}

/* By words: a sender that looked at the word of a port that has gone since may still look at what was its queue. */
static void wipe(void *start, size_t bytes)
{
	_Atomic uint64_t *words = start;

	for (size_t i = 0; i < bytes / sizeof(*words); i++)
		atomic_store_explicit(&words[i], 0, memory_order_relaxed);
}

/* Each entry gets one of the staged buffers. */
static void fill_queue(struct nmx__queue *q, uint32_t slots, struct nmx__own_extent *staging, uint32_t *next)
{
	uint32_t capacity = nmx__queue_capacity(slots);

	wipe(q, nmx__queue_bytes(slots));
	for (uint32_t i = 0; i < capacity; i++)
		atomic_store_explicit(&q->entry[i].empty, *staged_cell(staging, (*next)++), memory_order_relaxed);
}

/* What is said of it, but for `live`.  The words of its lanes are left: somebody may still come by one, late, and ask who
 * its owner is. */
static void describe(struct nmx__record *record, const struct nmx__record_plan *plan, const struct nmx__segment *seg)
{
	atomic_store(&record->flags, 0);
	atomic_store(&record->end[0], 0);
	atomic_store(&record->end[1], 0);
	memset(record->name, 0, offsetof(struct nmx__record, lane) - offsetof(struct nmx__record, name));
	for (uint32_t i = 0; i < NMX__PORT_RINGS; i++)
		atomic_store(&record->lane[i].drop_full, 0);
	record->kind = plan->geometry.kind;
	memcpy(record->rings, plan->geometry.rings, sizeof(record->rings));
	memcpy(record->slots, plan->geometry.slots, sizeof(record->slots));
	strncpy(record->name, plan->name, sizeof(record->name) - 1);
	record->number = plan->number;
	record->tx_rings = plan->tx_rings;
	record->tx_slots = plan->tx_slots;
	if (plan->home) {
		record->home = nmx__record_index(seg, plan->home);
		record->home_gen = atomic_load(&plan->home->live);
	}
}

/* Everything but `live`. */
static int fill_record(struct nmx__segment *seg, struct nmx__record *record, const struct nmx__record_plan *plan, struct nmx_report *why)
{
	uint32_t pages = control_pages(&plan->geometry), page = find_gap(seg, pages);
	size_t from = (size_t)(seg->control - seg->map) + (size_t)page * NMX__PAGE, bytes = (size_t)pages * NMX__PAGE;
	int err;

	if (page >= seg->control_pages || pages > seg->control_pages - page)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, 0, "the segment \"%s/%s\" has no room for more queues; use another: @segment=",
		                 seg->dir.path, seg->name);
	err = nmx__fd_reserve(seg->fd, from, bytes);
	if (err) {
		nmx__fd_give_back(seg->fd, from, bytes); /* a gap: nobody's */
		return nmx__fail(why, NMX_ERR_NO_MEMORY, err, "no room in \"%s\" for the queues of \"%s\"", seg->dir.path, plan->name);
	}
	describe(record, plan, seg);
	record->control_page = page;
	record->control_pages = pages;
	if (plan->geometry.kind == NMX__RECORD_SWITCH)
		wipe(nmx__record_control(seg, record, &plan->geometry), sizeof(struct nmx__switch));
	return 0;
}

int nmx__record_make(struct nmx__segment *seg, const struct nmx__record_plan *plan, struct nmx__record **out,
                     struct nmx_report *why)
{
	const struct nmx__record_geometry *g = &plan->geometry;
	uint32_t n = g->rings[0] * nmx__queue_capacity(g->slots[0]) + g->rings[1] * nmx__queue_capacity(g->slots[1]);
	uint32_t slot, next = 0, gen = nmx__seg_next_gen(seg);
	struct nmx__own_extent *staging;
	int index = free_record(seg), err;

	if (index < 0)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, 0,
		                 "the segment \"%s/%s\" has its %u pipes and ports, or no room for more; use another: @segment=",
		                 seg->dir.path, seg->name, NMX__MAX_RECORDS);
	err = nmx__extent_make(seg, sizeof(*staging) + n * sizeof(uint32_t), &staging, &slot, why);
	if (err < 0)
		return err;
	staging->held_ofs = sizeof(*staging);
	staging->num_held = n;
	staging->record = (uint32_t)index;
	staging->record_gen = gen;
	atomic_thread_fence(memory_order_seq_cst);
	staging->kind = NMX__EXTENT_STAGING; /* from here on its notes count */
	struct nmx__record *record = &seg->records[index];

	err = fill_record(seg, record, plan, why);
	if (err == 0)
		err = nmx__bufs_claim(seg, n, staged_cell, staging, why);
	if (err == 0) {
		for (uint32_t end = 0; end < 2; end++)
			for (uint32_t ring = 0; ring < g->rings[end]; ring++)
				fill_queue(nmx__record_queue(seg, record, g, end, ring), g->slots[end], staging, &next);
		atomic_store(&record->live, gen); /* the buffers are the queues' now, and the notes void */
		*out = record;
	}
	nmx__extent_free(seg, staging, slot);
	return err;
}

/* ---- ends */

/* Of a port, receive and transmit rings have one number each. */
static uint32_t num_bells(const struct nmx__record *record, const struct nmx__record_geometry *g)
{
	uint32_t tx_rings = *(const volatile uint32_t *)&record->tx_rings;

	if (g->kind == NMX__RECORD_PORT)
		return tx_rings <= NMX__PORT_RINGS && tx_rings > g->rings[0] ? tx_rings : g->rings[0];
	return (uint32_t)g->rings[0] + g->rings[1];
}

static void unlink_bells(struct nmx__segment *seg, const struct nmx__record *record)
{
	struct nmx__record_geometry g;
	char file[NMX__FILE_NAME_MAX];

	if (!nmx__record_read(seg, record, &g))
		return;
	for (uint32_t queue = 0; queue < num_bells(record, &g); queue++)
		for (const char *side = "rt"; *side; side++) {
			nmx__seg_file(seg, file, "b%u.%u.%c", nmx__record_index(seg, record), queue, *side);
			unlinkat(seg->dir.fd, file, 0);
		}
}

static void destroy(struct nmx__segment *seg, struct nmx__record *record)
{
	uint64_t *set = nmx__bufs_set(seg);

	collect_queues(seg, record, set);
	nmx__bufs_free_set(seg, set);
	unlink_bells(seg, record);
	atomic_store(&record->live, 0);
	free(set);
}

bool nmx__record_stays(const struct nmx__record *record) { return atomic_load(&record->flags) & NMX__RECORD_STAYS; }

bool nmx__records_stay(const struct nmx__segment *seg)
{
	for (uint32_t i = 0; i < nmx__num_records(seg); i++)
		if (is_live(&seg->records[i]) && nmx__record_stays(&seg->records[i]))
			return true;
	return false;
}

/* A port that nobody has is no port for senders, and one that somebody is still in the middle of sending to goes at a later
 * look.  Its switch may go with it. */
static void destroy_port(struct nmx__segment *seg, struct nmx__record *port)
{
	uint32_t home = *(volatile uint32_t *)&port->home;

	if (!nmx__port_leave(seg, port) || nmx__record_stays(port)) /* in this order: who stays is left too */
		return;
	destroy(seg, port);
	if (home < NMX__MAX_RECORDS && is_live(&seg->records[home]))
		nmx__switch_drop(seg, &seg->records[home]);
}

static void destroy_if_unused(struct nmx__segment *seg, struct nmx__record *record)
{
	struct nmx__record_geometry g;

	if (atomic_load(&record->end[0]) || atomic_load(&record->end[1]))
		return;
	if (!nmx__record_read(seg, record, &g))
		g.kind = NMX__RECORD_PIPE; /* nonsense: nothing of it can be found but its place */
	if (g.kind == NMX__RECORD_PORT)
		destroy_port(seg, record);
	else if (g.kind == NMX__RECORD_PIPE || !nmx__switch_is_used(seg, record))
		destroy(seg, record);
}

void nmx__record_release(struct nmx__segment *seg, struct nmx__record *record, uint32_t end)
{
	atomic_store(&record->end[end], 0);
	destroy_if_unused(seg, record);
}

void nmx__record_sweep(struct nmx__segment *seg)
{
	for (uint32_t i = 0; i < nmx__num_records(seg); i++)
		if (is_live(&seg->records[i]))
			destroy_if_unused(seg, &seg->records[i]);
}

/* ---- totals */

void nmx__totals_add(struct nmx__totals *totals, uint32_t attach_gen, const uint64_t counters[NMX__NUM_COUNTERS])
{
	uint64_t word = atomic_load(&totals->word);
	unsigned from = word & 1, to = from ^ 1;

	if (word >> 1 == attach_gen)
		return;
	for (unsigned i = 0; i < NMX__NUM_COUNTERS; i++)
		atomic_store_explicit(&totals->copy[to].at[i],
		                      atomic_load_explicit(&totals->copy[from].at[i], memory_order_relaxed) + counters[i],
		                      memory_order_relaxed);
	atomic_store(&totals->word, (uint64_t)attach_gen << 1 | to);
}

void nmx__totals_read(const struct nmx__totals *totals, uint64_t out[NMX__NUM_COUNTERS])
{
	const struct nmx__counters *copy = &totals->copy[atomic_load(&totals->word) & 1];

	for (unsigned i = 0; i < NMX__NUM_COUNTERS; i++)
		out[i] = atomic_load_explicit(&copy->at[i], memory_order_relaxed);
}
