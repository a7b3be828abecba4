/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A segment as this process sees it.  One process is one member of a segment, however many ports it has there: all of
 * them share this struct, the mapping, and the member's own file.
 *
 * Two locks: `mutex` keeps the threads of this process apart, the segment lock (on the file) the processes.  Both are
 * taken by nmx__seg_lock(); nothing on the path of packets takes either.  What is in the mapping was written by
 * others and may be anything: geometry is read once, at attach, and kept here.
 */
#ifndef NMX_SHM_SEGMENT_H
#define NMX_SHM_SEGMENT_H

#include <pthread.h>

#include "shm/dir.h"
#include "shm/layout.h"

struct nmx__segment {
	struct nmx__segment *next; /* of those that this process is in */
	uint32_t refs;
	uint32_t fork_generation;
	struct nmx__dir dir;
	int fd;
	char name[32];
	dev_t dev;
	ino_t ino;
	pthread_mutex_t mutex;

	uint8_t *map;
	size_t map_bytes;
	struct nmx__seg_header *header;
	struct nmx__seg_member *members;
	struct nmx__record *records;
	_Atomic uint64_t *used;
	uint8_t *control;
	uint32_t control_pages;
	uint8_t *area;               /* page-aligned: what a device registers, from its start; nmx__seg_area_bytes() of it */
	uint8_t *bufs;               /* area + NMX__BUF_OFFSET */
	uint32_t num_bufs, buf_stride;
	uint32_t reserved_bufs;      /* whose space we have reserved for devices */
	uint64_t id;
	uint32_t region; /* its number in this process, for nmx_buf and the rings */

	uint32_t member, gen; /* ours */
	_Atomic uint32_t holds; /* of locks of lanes that we took: each has its own word */
	int own_fd;
	int life_fd; /* the own file again, with the life lock */
	struct nmx__own_header *own;
	uint32_t own_file_pages;
	/* Ports of ours that were closed when this could not be said to the segment: for each of our extents the generation
	 * of the attachment that it was, or 0.  Whoever of us next has the segment lock makes up for it. */
	_Atomic uint32_t abandoned[NMX__MAX_EXTENTS];
	_Atomic uint32_t num_abandoned;
	uint32_t num_recovered; /* dead members whose recovery was finished here; under the lock */
};

/* The segment `name` in `directory` (either NULL for its default), made if it is not there; a reference that
 * nmx__seg_put() gives back.  num_bufs: if it is made; 0: the default.  Whoever comes first after deaths also
 * recovers the dead.  Errors: as nmx__dir_open(); NMX_ERR_CORRUPT (not a segment, or of another version),
 * NMX_ERR_NO_MEMORY (heap, address space, /dev/shm, descriptors, member ids), NMX_ERR_BUSY (the lock's holder is
 * stopped), NMX_ERR_BAD_OPTION (num_bufs). */
NMX_MUST_CHECK int nmx__seg_get(struct nmx__segment **seg, const char *directory, const char *name, uint32_t num_bufs,
                                struct nmx_report *why);
/* The last reference leaves the segment, and the last member removes it. */
void nmx__seg_put(struct nmx__segment *seg);

/* An existing segment for looking and cleaning only: no member, no own file, not shared with ports of this process.
 * Errors: NMX_ERR_NO_SUCH (also of one that is only begun), NMX_ERR_CORRUPT, NMX_ERR_NO_MEMORY. */
NMX_MUST_CHECK int nmx__seg_look(struct nmx__segment **seg, const char *directory, const char *name, struct nmx_report *why);
void nmx__seg_unlook(struct nmx__segment *seg);

/* Waits at most three seconds, then NMX_ERR_BUSY with the name of the holder.  What a member that died inside was
 * doing has been finished when this returns 0. */
NMX_MUST_CHECK int nmx__seg_lock(struct nmx__segment *seg, struct nmx_report *why);
/* Without waiting: for syncs and waits.  False: somebody else is inside, or lies about it. */
NMX_MUST_CHECK bool nmx__seg_trylock(struct nmx__segment *seg);
void nmx__seg_unlock(struct nmx__segment *seg);

/* False when the name no longer leads to this segment: somebody removed the file under its members, and whoever
 * comes now will not meet them. */
bool nmx__seg_is_linked(const struct nmx__segment *seg);

/* Whether somebody is in it: alive, or dead and not recovered.  Those in quarantine do not count, for what the kernel may
 * still write into is nobody's when the file is gone.  Under the segment lock, after nmx__recover_dead(). */
bool nmx__seg_has_members(const struct nmx__segment *seg);
/* Removes the files of a segment that nobody is in.  Can be repeated by whoever finds it half done.  Under the segment
 * lock. */
void nmx__seg_remove(struct nmx__segment *seg);

/* Of a buffer that has been bounded. */
static inline uint8_t *nmx__seg_buf(const struct nmx__segment *seg, uint32_t index)
{
	return seg->bufs + (size_t)index * seg->buf_stride;
}
/* Of the area: as many as the first num_bufs buffers are in, in whole pages. */
static inline size_t nmx__seg_area_bytes(const struct nmx__segment *seg, uint32_t num_bufs)
{
	return (NMX__BUF_OFFSET + (size_t)num_bufs * seg->buf_stride + NMX__PAGE - 1) / NMX__PAGE * NMX__PAGE;
}
static inline bool nmx__seg_has_buf(const struct nmx__segment *seg, uint32_t index)
{
	return index - NMX__FIRST_BUF < seg->num_bufs - NMX__FIRST_BUF;
}

/* A name in the directory that belongs to this segment: NAME.WHAT.ID.  The id keeps two segments apart that have the
 * name one after the other, when the file of the first was removed under its members. */
#define NMX__FILE_NAME_MAX 80
void nmx__seg_file(const struct nmx__segment *seg, char *out, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4)));

/* ---- members (member.c) */

/* Takes a free id and makes the own file.  Under the segment lock. */
NMX_MUST_CHECK int nmx__member_join(struct nmx__segment *seg, struct nmx_report *why);
/* Undoes it: every extent must be free.  Under the segment lock. */
void nmx__member_leave(struct nmx__segment *seg);

/* Closes the own file; the others see a member that has died. */
void nmx__member_forget(struct nmx__segment *seg);

/* Opens the own file of member id for reading; -1 with errno. */
int nmx__member_open(const struct nmx__segment *seg, uint32_t id);
/* Whether the member is alive; one whose file is missing is not (but for a segment that was removed).  Asks the life
 * lock, which cannot lie. */
bool nmx__member_alive(const struct nmx__segment *seg, uint32_t id);
/* "pkt-gen (process 123)", for messages. */
void nmx__member_describe(const struct nmx__segment *seg, uint32_t id, char *out, size_t size);

/* An extent of our own file, zeroed, mapped, its space reserved; it is not on the list until publish.  Under the
 * segment lock. */
NMX_MUST_CHECK int nmx__extent_make(struct nmx__segment *seg, size_t bytes, struct nmx__own_extent **extent, uint32_t *slot,
                                    struct nmx_report *why);
/* Takes it off the list with one store, then unmaps it and gives its space back. */
void nmx__extent_free(struct nmx__segment *seg, struct nmx__own_extent *extent, uint32_t slot);
/* Of a port that cannot be closed properly now: unmaps it, and leaves the rest to nmx__recover_abandoned().  Without the
 * segment lock. */
void nmx__extent_abandon(struct nmx__segment *seg, struct nmx__own_extent *extent, uint32_t slot, uint32_t attach_gen);
/* For that: only the list, and the space. */
void nmx__extent_forget(struct nmx__segment *seg, uint32_t slot);

/* ---- buffers (buffers.c); under the segment lock */

/* Claims n buffers: each index is noted in *cell(i) (own memory) before the buffer is marked used, and their space is
 * reserved.  On failure everything is as before.  Errors: NMX_ERR_NO_MEMORY, which names the option that would help. */
NMX_MUST_CHECK int nmx__bufs_claim(struct nmx__segment *seg, uint32_t n, uint32_t *(*cell)(void *arg, uint32_t i), void *arg,
                                   struct nmx_report *why);
/* One more than the highest buffer that is claimed, by anybody: claims take the lowest that are free. */
uint32_t nmx__bufs_end(const struct nmx__segment *seg);
/* Reserves the space of buffers [0, num_bufs) for good, so that a device can register it: what is registered must stay
 * the file's, and so is never given back to the file system.  Errors: NMX_ERR_NO_MEMORY. */
NMX_MUST_CHECK int nmx__seg_reserve_for_device(struct nmx__segment *seg, uint32_t num_bufs, struct nmx_report *why);
/* Marks every buffer of the set (a bitmap of num_bufs bits) free. */
void nmx__bufs_free_set(struct nmx__segment *seg, const uint64_t *set);
/* An empty set; NULL when there is no memory, which as a set means: what is added is marked free at once.  So nothing
 * that gives buffers back can fail. */
uint64_t *nmx__bufs_set(const struct nmx__segment *seg);
/* Adds an index that may be anything. */
static inline void nmx__bufs_set_add(const struct nmx__segment *seg, uint64_t *set, uint32_t index)
{
	if (!nmx__seg_has_buf(seg, index))
		return;
	if (set)
		set[index / 64] |= 1ull << index % 64;
	else
		atomic_fetch_and(&seg->used[index / 64], ~(1ull << index % 64));
}

/* ---- records (record.c); under the segment lock */

struct nmx__record *nmx__record_find(const struct nmx__segment *seg, enum nmx__record_kind kind, const char *name);
/* Its name, to be shown. */
void nmx__record_name(const struct nmx__record *record, char name[NMX__RECORD_NAME]);
struct nmx__record_geometry {
	uint16_t kind; /* enum nmx__record_kind */
	uint16_t rings[2];
	uint32_t slots[2];
};
struct nmx__record_plan {
	const char *name;
	struct nmx__record_geometry geometry;
	const struct nmx__record *home; /* PORT: its switch; and the rest */
	uint16_t number;
	uint32_t tx_rings, tx_slots;
};
/* Makes the record with both ends free, its queues filled with empty buffers.  Errors: NMX_ERR_NO_MEMORY. */
NMX_MUST_CHECK int nmx__record_make(struct nmx__segment *seg, const struct nmx__record_plan *plan, struct nmx__record **record,
                                    struct nmx_report *why);
/* Gives an end up; when all are free, gives the queues' buffers back and removes the record. */
void nmx__record_release(struct nmx__segment *seg, struct nmx__record *record, uint32_t end);
/* Whether it is to stay when nobody has it. */
bool nmx__record_stays(const struct nmx__record *record);
/* Whether a record of the segment does: then the segment stays too. */
bool nmx__records_stay(const struct nmx__segment *seg);
static inline uint32_t nmx__num_records(const struct nmx__segment *seg)
{
	uint32_t n = atomic_load(&seg->header->num_records);

	return n < NMX__MAX_RECORDS ? n : NMX__MAX_RECORDS;
}
/* Removes what died half removed, or half made.  Until it has, no buffer may be claimed: some of those may be free and
 * still in queues. */
void nmx__record_sweep(struct nmx__segment *seg);
static inline uint32_t nmx__record_index(const struct nmx__segment *seg, const struct nmx__record *record)
{
	return (uint32_t)(record - seg->records);
}
/* The geometry, read once and bounded; false when it is nonsense. */
bool nmx__record_read(const struct nmx__segment *seg, const struct nmx__record *record, struct nmx__record_geometry *out);
/* The control pages of a record of that geometry: always inside of the segment. */
uint8_t *nmx__record_control(const struct nmx__segment *seg, const struct nmx__record *record,
                             const struct nmx__record_geometry *geometry);
/* Queue `ring` that end `end` sends on; geometry as read before. */
struct nmx__queue *nmx__record_queue(const struct nmx__segment *seg, const struct nmx__record *record,
                                     const struct nmx__record_geometry *geometry, uint32_t end, uint32_t ring);
/* The number of that queue among those of the record, for the names of bells. */
static inline uint32_t nmx__record_queue_number(const struct nmx__record_geometry *geometry, uint32_t end, uint32_t ring)
{
	return end ? geometry->rings[0] + ring : ring;
}
/* Every buffer that a queue holds goes into set. */
void nmx__queue_collect(const struct nmx__segment *seg, const struct nmx__queue *q, uint32_t slots, uint64_t *set);
/* Adds counters of an attachment that has ended to the totals of its end.  Repeatable. */
void nmx__totals_add(struct nmx__totals *totals, uint32_t attach_gen, const uint64_t counters[NMX__NUM_COUNTERS]);
void nmx__totals_read(const struct nmx__totals *totals, uint64_t out[NMX__NUM_COUNTERS]);

/* ---- death (recover.c); under the segment lock */

/* nmx__seg_lock(), and what has to come before anything is claimed in that lock: the dead are recovered.  Errors: of both;
 * NMX_ERR_GONE (the segment's file was removed).  On an error the lock is not held. */
NMX_MUST_CHECK int nmx__seg_lock_to_claim(struct nmx__segment *seg, struct nmx_report *why);
/* Recovers every member that is dead; of buffers that the kernel holds, those of members that were recovered two seconds
 * ago: until then, such a member's file and id stay.  Errors: NMX_ERR_NO_MEMORY. */
NMX_MUST_CHECK int nmx__recover_dead(struct nmx__segment *seg, struct nmx_report *why);
NMX_MUST_CHECK int nmx__recover_member(struct nmx__segment *seg, uint32_t id, struct nmx_report *why);
/* Our own ports that were abandoned, as if they had died; those that there is no memory for stay. */
void nmx__recover_abandoned(struct nmx__segment *seg);

/* A private copy of one extent (an element of the header's table) of the own file fd: *extent is to be freed, NULL when
 * there is none that could be read.  Errors: NMX_ERR_NO_MEMORY. */
NMX_MUST_CHECK int nmx__extent_read(const struct nmx__segment *seg, int fd, uint64_t where, uint8_t **extent, size_t *bytes);

/* Whether a sync of a switch port's ring, in flight at the death of its owner, had committed. */
bool nmx__target_committed(const struct nmx__segment *seg, uint64_t target, uint64_t txn);

/* Everything that an extent of some member's file owns goes into set, and its rings' counters are added up.  What is
 * marked as the kernel's goes into in_kernel (which may be the same set) instead, or as well.  file: the extent's bytes,
 * a private copy; nothing in it is trusted. */
void nmx__extent_collect(const struct nmx__segment *seg, const uint8_t *file, size_t bytes, uint64_t *set, uint64_t *in_kernel,
                         uint64_t counters[NMX__NUM_COUNTERS]);
/* Adds the counters of an extent of member id to the totals of its end, if it has one and still does.  Repeatable. */
void nmx__extent_credit(struct nmx__segment *seg, uint32_t id, const struct nmx__own_extent *extent,
                        const uint64_t counters[NMX__NUM_COUNTERS]);

/* A new number for members, records, attachments: never 0. */
uint32_t nmx__seg_next_gen(struct nmx__segment *seg);

#endif
