/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Looking at segments from outside, and cleaning up after the dead: <nmx/inspect.h>. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nmx/inspect.h>

#include "base/report.h"
#include "shm/audit.h"
#include "shm/extent.h"

/* ---- segments */

/* Runs fn for each name in the directory that could be a segment's: those of its other files have a dot. */
static int each_name(const struct nmx__dir *dir, int (*fn)(const char *name, void *arg), void *arg, struct nmx_report *why)
{
	int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), stop = 0;
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!list) {
		int sys = errno;

		if (fd >= 0)
			close(fd);
		return nmx__fail(why, sys == EMFILE || sys == ENFILE || sys == ENOMEM ? NMX_ERR_NO_MEMORY : NMX_ERR_IO, sys,
		                 "cannot list the directory \"%s\"", dir->path);
	}
	while (stop == 0 && (entry = readdir(list)))
		if (!strchr(entry->d_name, '.') && strlen(entry->d_name) < sizeof(((struct nmx_segment_info *)0)->name))
			stop = fn(entry->d_name, arg);
	closedir(list);
	return stop;
}

static uint32_t count_free(const struct nmx__segment *seg)
{
	uint32_t used = 0;

	for (uint32_t word = 0; word < (seg->num_bufs + 63) / 64; word++)
		used += (uint32_t)__builtin_popcountll(atomic_load_explicit(&seg->used[word], memory_order_relaxed));
	return seg->num_bufs - NMX__FIRST_BUF > used ? seg->num_bufs - NMX__FIRST_BUF - used : 0;
}

static void count_record(const struct nmx__record *record, struct nmx_segment_info *info)
{
	if (!atomic_load(&record->live))
		return;
	info->pipes += record->kind == NMX__RECORD_PIPE;
	info->switches += record->kind == NMX__RECORD_SWITCH;
	info->switch_ports += record->kind == NMX__RECORD_PORT && (atomic_load(&record->end[1]) || nmx__record_stays(record));
}

static void look_inside(const struct nmx__segment *seg, struct nmx_segment_info *info)
{
	struct stat st;

	for (uint32_t id = 0; id < NMX__MAX_MEMBERS; id++)
		if (atomic_load_explicit(&seg->members[id].gen, memory_order_relaxed))
			(*(nmx__member_alive(seg, id) ? &info->members : &info->dead))++;
	for (uint32_t i = 0; i < nmx__num_records(seg); i++)
		count_record(&seg->records[i], info);
	info->bufs = seg->num_bufs - NMX__FIRST_BUF;
	info->free_bufs = count_free(seg);
	if (fstat(seg->fd, &st) == 0)
		info->bytes = (uint64_t)st.st_blocks * 512;
}

struct listing {
	const char *directory;
	int (*fn)(const struct nmx_segment_info *info, void *arg);
	void *arg;
};

static int list_one(const char *name, void *arg)
{
	const struct listing *listing = arg;
	struct nmx_segment_info info = { 0 };
	struct nmx_report why;
	struct nmx__segment *seg;

	snprintf(info.name, sizeof(info.name), "%.31s", name);
	info.err = nmx__seg_look(&seg, listing->directory, name, &why);
	if (info.err == 0) {
		look_inside(seg, &info);
		nmx__seg_unlook(seg);
	} else
		snprintf(info.problem, sizeof(info.problem), "%.255s", why.text);
	return listing->fn(&info, listing->arg);
}

int nmx_segment_list(const char *directory, char *path, size_t path_size,
                     int (*fn)(const struct nmx_segment_info *info, void *arg), void *arg, struct nmx_report *why)
{
	struct listing listing = { directory, fn, arg };
	struct nmx__dir dir;
	int err;

	nmx__report_clear(why);
	err = nmx__dir_open(&dir, directory, why);
	if (path && path_size)
		snprintf(path, path_size, "%s", dir.path);
	if (err < 0)
		return err;
	err = each_name(&dir, list_one, &listing, why);
	nmx__dir_close(&dir);
	return err;
}

/* ---- counters of somebody's port */

static void add_extent(const uint8_t *file, size_t bytes, uint32_t record, uint32_t attach_gen, uint64_t sum[NMX__NUM_COUNTERS])
{
	const struct nmx__own_extent *extent = (const struct nmx__own_extent *)file;

	if (extent->kind != NMX__EXTENT_PORT || extent->record != record || extent->attach_gen != attach_gen)
		return;
	for (uint32_t i = 0; i < extent->num_rings && i < 2 * NMX__MAX_RINGS; i++) {
		const struct nmx__own_ring *ring = (const struct nmx__own_ring *)(file + extent->ring_ofs[i]);

		if (extent->ring_ofs[i] % 128 == 0 && extent->ring_ofs[i] <= bytes && bytes - extent->ring_ofs[i] >= sizeof(*ring))
			for (unsigned c = 0; c < NMX__NUM_COUNTERS; c++)
				sum[c] += atomic_load_explicit(&ring->counters.at[c], memory_order_relaxed);
	}
}

void nmx__extent_counters_of(const struct nmx__segment *seg, uint32_t record, nmx__end_t owner, uint64_t sum[NMX__NUM_COUNTERS])
{
	struct nmx__own_header *header = malloc(sizeof(*header));
	int fd = owner ? nmx__member_open(seg, nmx__end_member(owner)) : -1;

	if (header && fd >= 0 && pread(fd, header, sizeof(*header), 0) == sizeof(*header))
		for (uint32_t i = 0; i < NMX__MAX_EXTENTS; i++) {
			uint64_t where = atomic_load(&header->extent[i]);
			uint8_t *file = NULL;
			size_t bytes;

			if (where && nmx__extent_read(seg, fd, where, &file, &bytes) == 0 && file && bytes >= sizeof(struct nmx__own_extent))
				add_extent(file, bytes, record, nmx__end_gen(owner), sum);
			free(file);
		}
	if (fd >= 0)
		close(fd);
	free(header);
}

/* ---- pipes */

static void describe_pipe(const struct nmx__segment *seg, const struct nmx__record *record, const struct nmx__record_geometry *g,
                          struct nmx_pipe_info *info)
{
	uint64_t gone[NMX__NUM_COUNTERS];

	nmx__record_name(record, info->name);
	for (uint32_t end = 0; end < 2; end++) {
		nmx__end_t user = atomic_load(&record->end[end]);

		info->rings[end] = g->rings[end];
		info->slots[end] = g->slots[end];
		for (uint32_t ring = 0; ring < g->rings[end]; ring++) {
			const struct nmx__queue *q = nmx__record_queue(seg, record, g, end, ring);

			info->queued[end] += atomic_load(&q->tail) - atomic_load(&q->head);
		}
		/* One that has died is nobody: the next open gives its end away. */
		if (user && nmx__end_member(user) < NMX__MAX_MEMBERS && nmx__member_alive(seg, nmx__end_member(user)))
			nmx__member_describe(seg, nmx__end_member(user), info->user[end], sizeof(info->user[end]));
		nmx__totals_read(&record->totals[end], gone);
		memcpy(&info->gone[end], gone, sizeof(info->gone[end]));
	}
}

int nmx_pipe_list(const char *directory, const char *segment, int (*fn)(const struct nmx_pipe_info *info, void *arg), void *arg,
                  struct nmx_report *why)
{
	struct nmx__record_geometry g;
	struct nmx__segment *seg;
	int err;

	nmx__report_clear(why);
	err = nmx__seg_look(&seg, directory, segment ? segment : "default", why);
	if (err < 0)
		return err;
	for (uint32_t i = 0; i < nmx__num_records(seg) && err == 0; i++) {
		struct nmx_pipe_info info = { .name = "" };

		if (!atomic_load(&seg->records[i].live) || !nmx__record_read(seg, &seg->records[i], &g) || g.kind != NMX__RECORD_PIPE)
			continue;
		describe_pipe(seg, &seg->records[i], &g, &info);
		err = fn(&info, arg);
	}
	nmx__seg_unlook(seg);
	return err;
}

/* ---- cleaning */

/* Files of a segment that is no more: those of members without a life, and bells. */
static void remove_remains(const struct nmx__dir *dir, const char *name)
{
	int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	size_t length = strlen(name);
	struct dirent *entry;

	if (!list && fd >= 0)
		close(fd);
	while (list && (entry = readdir(list)))
		if (strncmp(entry->d_name, name, length) == 0 && entry->d_name[length] == '.' &&
		    (entry->d_name[length + 1] == 'm' || entry->d_name[length + 1] == 'b'))
			unlinkat(dir->fd, entry->d_name, 0);
	if (list)
		closedir(list);
}

static uint32_t count_dead(const struct nmx__segment *seg)
{
	uint32_t n = 0;

	for (uint32_t id = 0; id < NMX__MAX_MEMBERS; id++)
		n += atomic_load(&seg->members[id].gen) && !nmx__member_alive(seg, id);
	return n;
}

int nmx_segment_clean(const char *directory, const char *segment, bool *removed, struct nmx_report *why)
{
	struct nmx__segment *seg;
	uint32_t found = 0;
	bool gone = false;
	int err;

	nmx__report_clear(why);
	err = nmx__seg_look(&seg, directory, segment ? segment : "default", why);
	if (err < 0)
		return err;
	err = nmx__seg_lock(seg, why);
	if (err == 0) {
		found = seg->num_recovered + count_dead(seg); /* the first: by taking the lock, that it had died with */
		err = nmx__recover_dead(seg, why);
		if (err == 0 && !nmx__seg_has_members(seg) && !nmx__records_stay(seg) && nmx__seg_is_linked(seg)) {
			atomic_store(&seg->header->removing, 1);
			remove_remains(&seg->dir, seg->name); /* while the name is still ours: a new segment's files are not */
			nmx__seg_remove(seg);
			gone = !nmx__seg_is_linked(seg);
		}
		nmx__seg_unlock(seg);
	}
	nmx__seg_unlook(seg);
	if (removed)
		*removed = gone;
	return err < 0 ? err : (int)found;
}

int nmx_segment_audit(const char *directory, const char *segment, struct nmx_audit *out, struct nmx_report *why)
{
	struct nmx__audit audit;
	struct nmx__segment *seg;
	int err;

	nmx__report_clear(why);
	err = nmx__seg_look(&seg, directory, segment ? segment : "default", why);
	if (err < 0)
		return err;
	err = nmx__audit(seg, &audit);
	if (err == 0)
		*out = (struct nmx_audit){ .bufs = audit.buffers, .free = audit.free, .queued = audit.queued, .held = audit.held, .quarantined = audit.quarantined,
			                   .lost = audit.lost, .doubled = audit.doubled + audit.nonsense };
	else
		nmx__fail(why, err, 0, "the segment \"%s/%s\" cannot be audited: %s", seg->dir.path, seg->name, nmx_strerror(err));
	nmx__seg_unlook(seg);
	return err;
}
