/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* This process's own file in a segment, and what can be learnt of others'. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/report.h"
#include "shm/lock.h"
#include "shm/segment.h"
#include "shm/space.h"

#define HEADER_PAGES ((uint32_t)((sizeof(struct nmx__own_header) + NMX__PAGE - 1) / NMX__PAGE))

static void program_name(char *out, size_t size)
{
#ifdef __linux__
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);

	if (fd >= 0)
		close(fd);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
#else
	snprintf(out, size, "%s", getprogname());
#endif
}

int nmx__member_open(const struct nmx__segment *seg, uint32_t id)
{
	char file[NMX__FILE_NAME_MAX];

	nmx__seg_file(seg, file, "m%u", id);
	return openat(seg->dir.fd, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
}

/* Of a member whose file is gone.  Where somebody has removed the segment, that says nothing: then the process's number
 * is all there is. */
static bool lives_without_file(const struct nmx__segment *seg, uint32_t id)
{
	int32_t pid = atomic_load_explicit(&seg->members[id].pid, memory_order_relaxed);

	return !nmx__seg_is_linked(seg) && pid > 0 && (kill(pid, 0) == 0 || errno != ESRCH);
}

bool nmx__member_alive(const struct nmx__segment *seg, uint32_t id)
{
	int fd, held;

	if (seg->own && id == seg->member)
		return true;
	fd = nmx__member_open(seg, id);
	if (fd < 0)
		/* Not to be told now (no descriptors, say): then nothing is taken from it. */
		return errno != ENOENT || lives_without_file(seg, id);
	held = nmx__lock_is_held(fd, NMX__LOCK_LIFE);
	close(fd);
	return held != 0;
}

void nmx__member_describe(const struct nmx__segment *seg, uint32_t id, char *out, size_t size)
{
	struct nmx__own_header header;
	int fd = nmx__member_open(seg, id);
	const size_t bytes = offsetof(struct nmx__own_header, extent);
	bool known = fd >= 0 && pread(fd, &header, bytes, 0) == (ssize_t)bytes;

	if (fd >= 0)
		close(fd);
	if (!known) {
		snprintf(out, size, "a process that is no more");
		return;
	}
	for (unsigned i = 0; i < sizeof(header.program); i++)
		if (header.program[i] && (header.program[i] < ' ' || header.program[i] > '~'))
			header.program[i] = '?';
	snprintf(out, size, "%.15s (process %d)", header.program, (int)header.pid);
}

/* ---- joining and leaving */

static int no_own_file(const struct nmx__segment *seg, int sys_errno, struct nmx_report *why)
{
	bool scarce = sys_errno == ENOSPC || sys_errno == ENOMEM || sys_errno == EDQUOT || sys_errno == EMFILE || sys_errno == ENFILE;

	return nmx__fail(why, scarce ? NMX_ERR_NO_MEMORY : NMX_ERR_IO, sys_errno, "cannot make a member's file in \"%s\"", seg->dir.path);
}

static int reserve_own(const struct nmx__segment *seg, uint32_t page, uint32_t pages)
{
	return nmx__fd_reserve(seg->own_fd, (size_t)page * NMX__PAGE, (size_t)pages * NMX__PAGE);
}

static int write_own_header(struct nmx__segment *seg)
{
	int err = reserve_own(seg, 0, HEADER_PAGES);
	void *map;

	if (err)
		return err;
	map = mmap(NULL, HEADER_PAGES * NMX__PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, seg->own_fd, 0);
	if (map == MAP_FAILED)
		return errno;
	if (nmx__map_track(map, HEADER_PAGES * NMX__PAGE, false) < 0) {
		munmap(map, HEADER_PAGES * NMX__PAGE);
		return ENOMEM;
	}
	seg->own = map;
	seg->own->version = NMX__SHM_VERSION;
	seg->own->member = seg->member;
	seg->own->gen = seg->gen;
	seg->own->pid = getpid();
	seg->own->segment_id = seg->id;
	program_name(seg->own->program, sizeof(seg->own->program));
	atomic_store(&seg->own->magic, NMX__OWN_MAGIC);
	return 0;
}

void nmx__member_forget(struct nmx__segment *seg)
{
	if (seg->own) {
		nmx__map_untrack(seg->own);
		munmap(seg->own, HEADER_PAGES * NMX__PAGE);
		seg->own = NULL;
	}
	nmx__fd_close(seg->own_fd);
	nmx__fd_close(seg->life_fd);
	seg->own_fd = seg->life_fd = -1;
}

static void drop_own_file(struct nmx__segment *seg, const char *file)
{
	unlinkat(seg->dir.fd, file, 0);
	nmx__member_forget(seg);
}

static int free_member_id(const struct nmx__segment *seg)
{
	for (uint32_t i = 0; i < NMX__MAX_MEMBERS; i++)
		if (atomic_load_explicit(&seg->members[i].gen, memory_order_relaxed) == 0)
			return (int)i;
	return -1;
}

int nmx__member_join(struct nmx__segment *seg, struct nmx_report *why)
{
	char file[NMX__FILE_NAME_MAX];
	int id = free_member_id(seg), err;

	if (id < 0)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, 0, "the segment \"%s/%s\" has its %u members; use another: @segment=",
		                 seg->dir.path, seg->name, NMX__MAX_MEMBERS);
	seg->member = (uint32_t)id;
	seg->gen = nmx__seg_next_gen(seg);
	atomic_store(&seg->header->lock_owner, seg->member + 1); /* who dies from here on leaves a file, and is known */
	nmx__seg_file(seg, file, "m%u", seg->member);
	unlinkat(seg->dir.fd, file, 0); /* of one that was recovered, but for its name */
	mode_t mode = seg->dir.file_mode & ~(mode_t)0022; /* ours alone to write: we trust what is in it */
	seg->own_fd = nmx__fd_openat(seg->dir.fd, file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (seg->own_fd < 0)
		return no_own_file(seg, errno, why);
	(void)!fchmod(seg->own_fd, mode); /* the umask took a part away */
	seg->life_fd = nmx__dir_reopen(&seg->dir, file, seg->own_fd);
	/* Alive before anybody can see us, so that nobody takes us for dead. */
	err = seg->life_fd < 0 || nmx__lock_try(seg->life_fd, NMX__LOCK_LIFE) < 0 ? errno : write_own_header(seg);
	if (err) {
		drop_own_file(seg, file);
		return no_own_file(seg, err, why);
	}
	seg->own_file_pages = HEADER_PAGES;
	atomic_store_explicit(&seg->members[id].pid, getpid(), memory_order_relaxed);
	atomic_store(&seg->members[id].quarantine_ms, 0); /* of who had the id before */
	atomic_store(&seg->members[id].gen, seg->gen);
	return 0;
}

void nmx__member_leave(struct nmx__segment *seg)
{
	char file[NMX__FILE_NAME_MAX];

	nmx__seg_file(seg, file, "m%u", seg->member);
	drop_own_file(seg, file); /* before the id is free: nobody looks for the file of an id that is */
	atomic_store(&seg->members[seg->member].gen, 0);
}

/* ---- extents */

/* The first gap of so many pages.  Extents are few, and this is not on the path of packets. */
static uint32_t find_gap(const struct nmx__own_header *own, uint32_t pages)
{
	uint32_t at = HEADER_PAGES;
	bool moved;

	do {
		moved = false;
		for (uint32_t i = 0; i < NMX__MAX_EXTENTS; i++) {
			uint64_t e = atomic_load_explicit(&own->extent[i], memory_order_relaxed);
			uint32_t first = (uint32_t)(e >> 32), count = (uint32_t)e;

			if (e && at < first + count && first < at + pages) {
				at = first + count;
				moved = true;
			}
		}
	} while (moved);
	return at;
}

static int free_extent_slot(const struct nmx__own_header *own)
{
	for (uint32_t i = 0; i < NMX__MAX_EXTENTS; i++)
		if (atomic_load_explicit(&own->extent[i], memory_order_relaxed) == 0)
			return (int)i;
	return -1;
}

static void give_back_pages(const struct nmx__segment *seg, uint32_t page, uint32_t pages)
{
	nmx__fd_give_back(seg->own_fd, (size_t)page * NMX__PAGE, (size_t)pages * NMX__PAGE);
}

int nmx__extent_make(struct nmx__segment *seg, size_t bytes, struct nmx__own_extent **extent, uint32_t *slot,
                     struct nmx_report *why)
{
	uint32_t pages = (uint32_t)((bytes + NMX__PAGE - 1) / NMX__PAGE), page = find_gap(seg->own, pages);
	size_t length = (size_t)pages * NMX__PAGE;
	int i = free_extent_slot(seg->own), err;
	void *map;

	if (i < 0)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, 0, "this process has its %u ports in one segment; use another: @segment=",
		                 NMX__MAX_EXTENTS);
	err = reserve_own(seg, page, pages);
	if (err) {
		give_back_pages(seg, page, pages);
		return no_own_file(seg, err, why);
	}
	map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, seg->own_fd, (off_t)page * NMX__PAGE);
	if (map == MAP_FAILED || nmx__map_track(map, length, false) < 0) {
		if (map != MAP_FAILED)
			munmap(map, length);
		give_back_pages(seg, page, pages);
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot map %zu KiB for the rings", length / 1024);
	}
	memset(map, 0, length);
	atomic_store(&seg->own->extent[i], (uint64_t)page << 32 | pages);
	*extent = map;
	*slot = (uint32_t)i;
	return 0;
}

static void unmap_extent(struct nmx__own_extent *extent, uint64_t where)
{
	nmx__map_untrack(extent);
	munmap(extent, (size_t)(uint32_t)where * NMX__PAGE);
}

void nmx__extent_forget(struct nmx__segment *seg, uint32_t slot)
{
	uint64_t e = atomic_load(&seg->own->extent[slot]);

	atomic_store(&seg->own->extent[slot], 0);
	give_back_pages(seg, (uint32_t)(e >> 32), (uint32_t)e);
}

void nmx__extent_free(struct nmx__segment *seg, struct nmx__own_extent *extent, uint32_t slot)
{
	uint64_t e = atomic_load(&seg->own->extent[slot]);

	nmx__extent_forget(seg, slot);
	unmap_extent(extent, e);
}

void nmx__extent_abandon(struct nmx__segment *seg, struct nmx__own_extent *extent, uint32_t slot, uint32_t attach_gen)
{
	unmap_extent(extent, atomic_load(&seg->own->extent[slot]));
	atomic_store(&seg->abandoned[slot], attach_gen);
	atomic_fetch_add(&seg->num_abandoned, 1);
}
