/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fork.h"
#include "base/poison.h"
#include "base/region.h"
#include "base/report.h"
#include "shm/lock.h"
#include "shm/segment.h"
#include "shm/space.h"

#define DEFAULT_BUFS  262144u
#define MIN_BUFS      64u
#define LOCK_WAIT_MS  3000
#define DYING_MS      100  /* from the loss of one lock to that of the last */
#define ATTACH_TRIES  16 /* a segment that is removed while we open it is made again */

/* Where everything is follows from two numbers, so that nothing else has to be read from the file. */
struct geometry {
	uint32_t num_bufs, buf_stride, control_pages;
	size_t members, records, used, control, area, bytes;
};

static struct geometry geometry_of(uint32_t num_bufs, uint32_t buf_stride)
{
	struct geometry g = { .num_bufs = num_bufs, .buf_stride = buf_stride };

	/* A ring of n slots has 2 buffers a slot and a queue entry of 16 bytes; tiny rings have a page each. */
	g.control_pages = num_bufs / 32 + 64;
	g.members = NMX__PAGE;
	g.records = g.members + nmx__round_up(NMX__MAX_MEMBERS * sizeof(struct nmx__seg_member), NMX__PAGE);
	g.used = g.records + nmx__round_up(NMX__MAX_RECORDS * sizeof(struct nmx__record), NMX__PAGE);
	g.control = g.used + nmx__round_up(((uint64_t)num_bufs + 63) / 64 * 8, NMX__PAGE);
	g.area = g.control + (size_t)g.control_pages * NMX__PAGE;
	/* One page more than the buffers: they begin 256 bytes into the first. */
	g.bytes = g.area + ((size_t)num_bufs * buf_stride + NMX__PAGE - 1) / NMX__PAGE * NMX__PAGE + NMX__PAGE;
	return g;
}

static bool geometry_is_valid(uint32_t num_bufs, uint32_t buf_stride)
{
	return num_bufs >= MIN_BUFS && num_bufs <= NMX__MAX_BUFS && buf_stride >= NMX__BUF_LEN && buf_stride <= 65536 &&
	       buf_stride % 64 == 0 && (uint64_t)num_bufs * buf_stride <= PTRDIFF_MAX / 2; /* what 32 bits cannot map */
}

void nmx__seg_file(const struct nmx__segment *seg, char *out, const char *format, ...)
{
	int used = snprintf(out, NMX__FILE_NAME_MAX, "%s.", seg->name);
	va_list args;

	va_start(args, format);
	used += vsnprintf(out + used, NMX__FILE_NAME_MAX - (size_t)used, format, args);
	va_end(args);
	snprintf(out + used, NMX__FILE_NAME_MAX - (size_t)used, ".%08x", (uint32_t)seg->id);
}

uint32_t nmx__seg_next_gen(struct nmx__segment *seg)
{
	uint32_t gen = atomic_fetch_add_explicit(&seg->header->last_gen, 1, memory_order_relaxed) + 1;

	if (gen == 0)
		gen = atomic_fetch_add_explicit(&seg->header->last_gen, 1, memory_order_relaxed) + 1;
	return gen ? gen : 1; /* twice is no wrap, it is a hostile member: never for ever */
}

bool nmx__seg_is_linked(const struct nmx__segment *seg)
{
	struct stat st;

	return fstatat(seg->dir.fd, seg->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == seg->ino && st.st_dev == seg->dev;
}

/* ---- the lock */

static void nap(void) { nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL); }

/* By the file: who is not a member yet has no mapping, and does not know the segment's id, which is in files' names. */
static void describe_holder(struct nmx__segment *seg, char *out, size_t size)
{
	struct nmx__seg_header header;
	uint32_t owner;

	snprintf(out, size, "another process");
	if (pread(seg->fd, &header, sizeof(header), 0) != sizeof(header))
		return;
	owner = atomic_load(&header.lock_owner);
	if (!seg->map)
		seg->id = header.id;
	if (owner - 1 < NMX__MAX_MEMBERS)
		nmx__member_describe(seg, owner - 1, out, size);
}

static int take_file_lock(struct nmx__segment *seg, int wait_ms, struct nmx_report *why)
{
	int64_t deadline = nmx__now_ms() + wait_ms;
	char holder[96];

	while (nmx__lock_try(seg->fd, NMX__LOCK_SEGMENT) < 0) {
		if (errno != EAGAIN && errno != EINTR)
			return nmx__fail(why, NMX_ERR_IO, errno, "cannot lock the segment \"%s/%s\"", seg->dir.path, seg->name);
		if (nmx__now_ms() >= deadline) {
			describe_holder(seg, holder, sizeof(holder));
			return nmx__fail(why, NMX_ERR_BUSY, 0,
			                 "the segment \"%s/%s\" has been locked for %d seconds by %s; is it stopped? continue or kill it",
			                 seg->dir.path, seg->name, wait_ms / 1000, holder);
		}
		nap();
	}
	return 0;
}

/* A process that dies loses its locks one after the other, perhaps this one before its life lock.  Its notes must not
 * be read as a living member's: wait until it is seen dead, then finish what it did. */
static int finish_for_the_dead(struct nmx__segment *seg, int wait_ms, struct nmx_report *why)
{
	uint32_t owner = atomic_load(&seg->header->lock_owner);
	int64_t deadline = nmx__now_ms() + wait_ms;
	char holder[96];

	if (owner == 0 || owner - 1 >= NMX__MAX_MEMBERS || (seg->own && owner - 1 == seg->member))
		return 0;
	while (nmx__member_alive(seg, owner - 1)) {
		if (nmx__now_ms() >= deadline) {
			nmx__member_describe(seg, owner - 1, holder, sizeof(holder));
			return nmx__fail(why, NMX_ERR_BUSY, 0, "%s lost the lock of the segment \"%s/%s\" and still lives", holder,
			                 seg->dir.path, seg->name);
		}
		nap();
	}
	return nmx__recover_member(seg, owner - 1, why);
}

/* The mutex is held. */
static int lock_within(struct nmx__segment *seg, int wait_ms, struct nmx_report *why)
{
	int64_t deadline = nmx__now_ms() + wait_ms;
	int err = take_file_lock(seg, wait_ms, why), left;

	if (err < 0)
		goto unlock_mutex;
	left = (int)(deadline - nmx__now_ms());
	/* One time for both; but whoever got in at the last moment leaves a dying process the moment that dying takes. */
	err = finish_for_the_dead(seg, wait_ms && left < DYING_MS ? DYING_MS : left, why);
	if (err < 0)
		goto unlock_file;
	atomic_store(&seg->header->lock_owner, seg->own ? seg->member + 1 : 0);
	nmx__recover_abandoned(seg);
	return 0;

unlock_file:
	nmx__lock_release(seg->fd, NMX__LOCK_SEGMENT);
unlock_mutex:
	pthread_mutex_unlock(&seg->mutex);
	return err;
}

int nmx__seg_lock(struct nmx__segment *seg, struct nmx_report *why)
{
	pthread_mutex_lock(&seg->mutex);
	return lock_within(seg, LOCK_WAIT_MS, why);
}

bool nmx__seg_trylock(struct nmx__segment *seg)
{
	return pthread_mutex_trylock(&seg->mutex) == 0 && lock_within(seg, 0, NULL) == 0;
}

void nmx__seg_unlock(struct nmx__segment *seg)
{
	atomic_store(&seg->header->lock_owner, 0);
	nmx__lock_release(seg->fd, NMX__LOCK_SEGMENT);
	pthread_mutex_unlock(&seg->mutex);
}

/* ---- the file */

static int not_a_segment(const struct nmx__segment *seg, struct nmx_report *why)
{
	return nmx__fail(why, NMX_ERR_CORRUPT, 0,
	                 "\"%s/%s\" is not a segment of nmx, and is left alone; remove it, or name another with @segment=",
	                 seg->dir.path, seg->name);
}

static int no_room(const struct nmx__segment *seg, int sys_errno, struct nmx_report *why)
{
	if (sys_errno == ENOSPC || sys_errno == ENOMEM || sys_errno == EDQUOT)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, sys_errno, "no room for the segment \"%s/%s\" (df -h %s)", seg->dir.path,
		                 seg->name, seg->dir.path);
	return nmx__fail(why, NMX_ERR_IO, sys_errno, "cannot make the segment \"%s/%s\"", seg->dir.path, seg->name);
}

/* What every member reads at once; records, queues and buffers are reserved when they come into use. */
static int reserve_tables(struct nmx__segment *seg, const struct geometry *g, struct nmx_report *why)
{
	int err = nmx__fd_reserve(seg->fd, 0, g->records);

	if (err == 0)
		err = nmx__fd_reserve(seg->fd, g->used, g->control - g->used);
	return err ? no_room(seg, err, why) : 0;
}

/* Makes the segment in an empty file.  The header comes first and whole; a maker that died after it left a file that
 * is too short, which the next one finishes.  The bitmap's zeros mean that all is free. */
static int make_file(struct nmx__segment *seg, uint32_t num_bufs, struct nmx_report *why)
{
	struct geometry g = geometry_of(num_bufs ? num_bufs : DEFAULT_BUFS, NMX__BUF_LEN);
	uint8_t page[NMX__PAGE] = { 0 };
	struct nmx__seg_header *header = (struct nmx__seg_header *)page;
	ssize_t written;

	if (!geometry_is_valid(g.num_bufs, g.buf_stride))
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "segment_bufs %u is not between %u and %u", num_bufs, MIN_BUFS, NMX__MAX_BUFS);
	atomic_init(&header->magic, NMX__SEG_MAGIC);
	header->version = NMX__SHM_VERSION;
	header->num_bufs = g.num_bufs;
	header->buf_stride = g.buf_stride;
	if (getentropy(&header->id, sizeof(header->id)) < 0)
		return nmx__fail(why, NMX_ERR_IO, errno, "no random number for the segment \"%s\"", seg->name);
	written = pwrite(seg->fd, page, sizeof(page), 0);
	if (written != sizeof(page))
		return no_room(seg, written < 0 ? errno : ENOSPC, why);
	return ftruncate(seg->fd, (off_t)g.bytes) < 0 ? no_room(seg, errno, why) : 0;
}

/* Reads the geometry and checks it against the file. */
static int read_header(struct nmx__segment *seg, struct geometry *g, struct nmx_report *why)
{
	struct nmx__seg_header header;
	struct stat st;

	if (fstat(seg->fd, &st) < 0 || pread(seg->fd, &header, sizeof(header), 0) != sizeof(header) ||
	    atomic_load(&header.magic) != NMX__SEG_MAGIC)
		return not_a_segment(seg, why);
	if (header.version != NMX__SHM_VERSION)
		return nmx__fail(why, NMX_ERR_CORRUPT, 0,
		                 "the segment \"%s/%s\" is of layout %u, and this library speaks %u: let its users end, or name another "
		                 "with @segment=; if nobody uses it, remove its files",
		                 seg->dir.path, seg->name, header.version, NMX__SHM_VERSION);
	if (!geometry_is_valid(header.num_bufs, header.buf_stride))
		return not_a_segment(seg, why);
	*g = geometry_of(header.num_bufs, header.buf_stride);
	seg->id = header.id;
	return (size_t)st.st_size == g->bytes ? 0 : not_a_segment(seg, why);
}

/* Empty, or of a header alone: make_file() is at it, or has died in it. */
static bool is_unmade(const struct nmx__segment *seg)
{
	struct nmx__seg_header header;
	struct stat st;

	if (fstat(seg->fd, &st) < 0)
		return false;
	return st.st_size == 0 ||
	       (st.st_size == NMX__PAGE && pread(seg->fd, &header, sizeof(header), 0) == sizeof(header) &&
	        atomic_load(&header.magic) == NMX__SEG_MAGIC && header.version == NMX__SHM_VERSION);
}

static int cannot_open(const struct nmx__segment *seg, int sys_errno, struct nmx_report *why)
{
	int err = sys_errno == ENOENT ? NMX_ERR_NO_SUCH
	          : sys_errno == EMFILE || sys_errno == ENFILE || sys_errno == ENOMEM || sys_errno == ENOSPC ? NMX_ERR_NO_MEMORY
	          : sys_errno == EACCES || sys_errno == EPERM ? NMX_ERR_PERMISSION
	                                                      : NMX_ERR_CORRUPT;

	return nmx__fail(why, err, sys_errno, "cannot open the segment \"%s/%s\"", seg->dir.path, seg->name);
}

static int map_file(struct nmx__segment *seg, int fd, const struct geometry *g, struct nmx_report *why)
{
	seg->map = mmap(NULL, g->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (seg->map == MAP_FAILED) {
		seg->map = NULL;
		return nmx__fail(why, NMX_ERR_NO_MEMORY, errno, "cannot map the %zu MiB of the segment \"%s/%s\"", g->bytes >> 20,
		                 seg->dir.path, seg->name);
	}
	seg->map_bytes = g->bytes;
	if (nmx__map_track(seg->map, g->bytes, true) < 0)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot map the segment");
#if defined(MADV_DONTDUMP)
	madvise(seg->map, g->bytes, MADV_DONTDUMP);
#elif defined(MADV_NOCORE) /* FreeBSD's word for it */
	madvise(seg->map, g->bytes, MADV_NOCORE);
#endif
	seg->header = (struct nmx__seg_header *)seg->map;
	seg->members = (struct nmx__seg_member *)(seg->map + g->members);
	seg->records = (struct nmx__record *)(seg->map + g->records);
	seg->used = (_Atomic uint64_t *)(seg->map + g->used);
	seg->control = seg->map + g->control;
	seg->control_pages = g->control_pages;
	seg->area = seg->map + g->area;
	seg->bufs = seg->area + NMX__BUF_OFFSET;
	seg->num_bufs = g->num_bufs;
	seg->buf_stride = g->buf_stride;
	seg->region = nmx__next_region();
	return 0;
}

/* So that our lock ends with us.  1: the file is gone. */
static int map_file_apart(struct nmx__segment *seg, const struct geometry *g, struct nmx_report *why)
{
	int fd = nmx__dir_reopen(&seg->dir, seg->name, seg->fd), err;

	if (fd < 0 && (errno == ENOENT || errno == ESTALE))
		return 1;
	if (fd < 0)
		return cannot_open(seg, errno, why);
	err = map_file(seg, fd, g, why);
	nmx__fd_close(fd);
	return err;
}

static void unmap_file(struct nmx__segment *seg)
{
	if (!seg->map)
		return;
	nmx__unpoison(seg->map, seg->map_bytes);
	nmx__map_untrack(seg->map);
	munmap(seg->map, seg->map_bytes);
	seg->map = NULL;
}

static void free_segment(struct nmx__segment *seg)
{
	nmx__member_forget(seg);
	unmap_file(seg);
	nmx__fd_close(seg->fd);
	nmx__dir_close(&seg->dir);
	pthread_mutex_destroy(&seg->mutex);
	free(seg);
}

/* Opens the directory and the file. */
static int open_file(struct nmx__segment **out, const char *directory, const char *name, bool make, struct nmx_report *why)
{
	struct nmx__segment *seg = calloc(1, sizeof(*seg));
	struct stat st;
	int err;

	if (!seg)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot open a segment");
	seg->fd = seg->own_fd = seg->life_fd = seg->dir.fd = -1;
	seg->refs = 1;
	seg->fork_generation = nmx__fork_generation();
	pthread_mutex_init(&seg->mutex, NULL);
	snprintf(seg->name, sizeof(seg->name), "%s", name);
	err = nmx__dir_open(&seg->dir, directory, why);
	if (err < 0)
		goto fail;
	seg->fd = nmx__fd_openat(seg->dir.fd, seg->name, O_RDWR | (make ? O_CREAT : 0) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK,
	                         seg->dir.file_mode);
	if (seg->fd < 0) {
		err = cannot_open(seg, errno, why);
		goto fail;
	}
	if (make)
		(void)!fchmod(seg->fd, seg->dir.file_mode); /* the umask took a part away; not ours: as it is */
	if (fstat(seg->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		err = not_a_segment(seg, why);
		goto fail;
	}
	seg->dev = st.st_dev;
	seg->ino = st.st_ino;
	*out = seg;
	return 0;
fail:
	free_segment(seg);
	return err;
}

/* ---- attach */

static struct nmx__segment *attached;
static pthread_mutex_t attached_lock = PTHREAD_MUTEX_INITIALIZER;

/* A child must find it open, whatever other threads were doing. */
static void before_fork(void) { pthread_mutex_lock(&attached_lock); }
static void after_fork(void) { pthread_mutex_unlock(&attached_lock); }
static void install_fork_handlers(void)
{
	(void)nmx__fork_generation(); /* its handlers first: then a fork takes attached_lock before its lock, as we do */
	pthread_atfork(before_fork, after_fork, after_fork);
}

static struct nmx__segment *find_attached(const struct nmx__segment *same)
{
	for (struct nmx__segment *seg = attached; seg; seg = seg->next)
		if (seg->dev == same->dev && seg->ino == same->ino && !nmx__forked(seg->fork_generation))
			return seg;
	return NULL;
}

/* Dead members in quarantine apart: their files hold what only they have. */
bool nmx__seg_has_members(const struct nmx__segment *seg)
{
	for (uint32_t i = 0; i < NMX__MAX_MEMBERS; i++)
		if (atomic_load(&seg->members[i].gen) && (!atomic_load(&seg->members[i].quarantine_ms) || nmx__member_alive(seg, i)))
			return true;
	return false;
}

void nmx__seg_remove(struct nmx__segment *seg)
{
	char file[NMX__FILE_NAME_MAX];

	atomic_store(&seg->header->removing, 1);
	for (uint32_t i = 0; i < NMX__MAX_MEMBERS; i++)
		if (atomic_load(&seg->members[i].gen)) {
			nmx__seg_file(seg, file, "m%u", i);
			unlinkat(seg->dir.fd, file, 0);
		}
	if (nmx__seg_is_linked(seg)) /* else the name is another's by now */
		unlinkat(seg->dir.fd, seg->name, 0);
}

/* Becomes a member.  1: the file was removed meanwhile, try again. */
static int attach(struct nmx__segment *seg, uint32_t num_bufs, struct nmx_report *why)
{
	struct geometry g;
	bool made = false;
	int err = take_file_lock(seg, LOCK_WAIT_MS, why);

	if (err < 0)
		return err;
	if (!nmx__seg_is_linked(seg)) {
		err = 1;
		goto unlock;
	}
	made = is_unmade(seg); /* if the open fails, it is to go again */
	if (made && (err = make_file(seg, num_bufs, why)) < 0)
		goto unlock;
	if ((err = read_header(seg, &g, why)) < 0 || (err = reserve_tables(seg, &g, why)) < 0 ||
	    (err = map_file_apart(seg, &g, why)) != 0)
		goto unlock;
	if ((err = finish_for_the_dead(seg, LOCK_WAIT_MS, why)) < 0)
		goto unlock;
	if (atomic_load(&seg->header->removing) && !nmx__seg_has_members(seg)) {
		nmx__seg_remove(seg); /* who was at it has died */
		err = 1;
		goto unlock;
	}
	if ((err = nmx__recover_dead(seg, why)) < 0)
		goto unlock;
	nmx__poison(seg->area, g.bytes - g.area); /* nobody's, until a ring has them */
	err = nmx__member_join(seg, why);
	atomic_store(&seg->header->lock_owner, 0);
unlock:
	if (err < 0 && made && nmx__seg_is_linked(seg))
		unlinkat(seg->dir.fd, seg->name, 0); /* who waits for the lock will see that it is gone */
	nmx__lock_release(seg->fd, NMX__LOCK_SEGMENT);
	return err;
}

int nmx__seg_get(struct nmx__segment **out, const char *directory, const char *name, uint32_t num_bufs, struct nmx_report *why)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct nmx__segment *seg, *known;
	int err;

	pthread_once(&once, install_fork_handlers);
	for (int tries = 0; tries < ATTACH_TRIES; tries++) {
		err = open_file(&seg, directory, name && *name ? name : "default", true, why);
		if (err < 0)
			return err;
		pthread_mutex_lock(&attached_lock);
		known = find_attached(seg);
		if (known)
			known->refs++;
		else if ((err = attach(seg, num_bufs, why)) == 0) {
			seg->next = attached;
			attached = seg;
		}
		pthread_mutex_unlock(&attached_lock);
		if (!known && err == 0) {
			*out = seg;
			return 0;
		}
		free_segment(seg);
		if (known) {
			*out = known;
			return 0;
		}
		if (err < 0)
			return err;
	}
	return nmx__fail(why, NMX_ERR_BUSY, 0, "the segment \"%s\" is removed as often as it is made", name ? name : "default");
}

static void detach(struct nmx__segment *seg)
{
	if (nmx__seg_lock(seg, NULL) < 0)
		return; /* the next one takes us for dead, and does it */
	(void)!nmx__recover_dead(seg, NULL);
	if (atomic_load(&seg->num_abandoned))
		nmx__member_forget(seg); /* not all could be given back: as above */
	else
		nmx__member_leave(seg);
	if (!nmx__seg_has_members(seg) && !nmx__records_stay(seg))
		nmx__seg_remove(seg);
	nmx__seg_unlock(seg);
}

void nmx__seg_put(struct nmx__segment *seg)
{
	pthread_mutex_lock(&attached_lock);
	if (--seg->refs > 0) {
		pthread_mutex_unlock(&attached_lock);
		return;
	}
	for (struct nmx__segment **at = &attached; *at; at = &(*at)->next)
		if (*at == seg) {
			*at = seg->next;
			break;
		}
	if (!nmx__forked(seg->fork_generation))
		detach(seg);
	pthread_mutex_unlock(&attached_lock);
	free_segment(seg);
}

int nmx__seg_look(struct nmx__segment **out, const char *directory, const char *name, struct nmx_report *why)
{
	struct nmx__segment *seg;
	struct geometry g;
	int err = open_file(&seg, directory, name, false, why);

	if (err < 0)
		return err;
	if (is_unmade(seg))
		err = nmx__fail(why, NMX_ERR_NO_SUCH, 0, "the segment \"%s/%s\" is not made yet", seg->dir.path, seg->name);
	if (err == 0 && (err = read_header(seg, &g, why)) == 0 && (err = map_file_apart(seg, &g, why)) == 1)
		err = cannot_open(seg, ENOENT, why);
	if (err < 0) {
		free_segment(seg);
		return err;
	}
	*out = seg;
	return 0;
}

void nmx__seg_unlook(struct nmx__segment *seg) { free_segment(seg); }
