/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fork.h"

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0 /* FreeBSD never reserves swap for such mappings */
#endif

struct mapping {
	void *start;
	size_t bytes;
	bool guard;
};

uint32_t nmx__generation = 1;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int *fds;
static size_t num_fds, max_fds;
static struct mapping *mappings;
static size_t num_mappings, max_mappings;

static void before_fork(void) { pthread_mutex_lock(&lock); }
static void after_fork_in_parent(void) { pthread_mutex_unlock(&lock); }

/* Only calls that a signal handler could make, but for the unlock of a mutex that this thread holds. */
static void after_fork_in_child(void)
{
	nmx__generation++;
	for (size_t i = 0; i < num_fds; i++)
		close(fds[i]);
	num_fds = 0;
	for (size_t i = 0; i < num_mappings; i++) {
		const struct mapping *m = &mappings[i];

		/* In one step, over what was inherited: a hole could be filled by somebody else's handler before ours. */
		void *start = mmap(m->start, m->bytes, m->guard ? PROT_NONE : PROT_READ | PROT_WRITE,
		                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);

		if (start == MAP_FAILED)
			munmap(m->start, m->bytes); /* no memory for it: a use stops the child */
	}
	num_mappings = 0;
	pthread_mutex_unlock(&lock);
}

static void install(void) { pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child); }

uint32_t nmx__fork_generation(void)
{
	pthread_once(&once, install);
	return nmx__generation;
}

/* Makes room for one more element; false when there is no memory. */
static bool grow(void **array, size_t count, size_t *max, size_t element)
{
	if (count < *max)
		return true;
	size_t more = *max ? 2 * *max : 64;
	void *bigger = realloc(*array, more * element);
	if (!bigger)
		return false;
	*array = bigger;
	*max = more;
	return true;
}

/* Under the lock. */
static int track(int fd)
{
	if (fd < 0)
		return fd;
	if (grow((void **)&fds, num_fds, &max_fds, sizeof(*fds))) {
		fds[num_fds++] = fd;
		return fd;
	}
	close(fd);
	errno = ENOMEM;
	return -1;
}

void nmx__fork_hold(void)
{
	pthread_once(&once, install);
	pthread_mutex_lock(&lock);
}

void nmx__fork_let(void) { pthread_mutex_unlock(&lock); }

int nmx__fd_track_held(int fd) { return track(fd); }

int nmx__fd_track(int fd)
{
	if (fd < 0)
		return fd;
	nmx__fork_hold();
	fd = track(fd);
	nmx__fork_let();
	return fd;
}

int nmx__fd_openat(int dir, const char *file, int flags, mode_t mode)
{
	int fd;

	nmx__fork_hold();
	fd = track(openat(dir, file, flags, mode));
	nmx__fork_let();
	return fd;
}

void nmx__fd_close(int fd)
{
	bool found = false;

	if (fd < 0)
		return;
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < num_fds && !found; i++) {
		found = fds[i] == fd;
		if (found)
			fds[i] = fds[--num_fds];
	}
	/* In a child it is not on the list: closed already, and the number may be somebody else's by now. */
	if (found)
		close(fd);
	pthread_mutex_unlock(&lock);
}

int nmx__map_track_held(void *start, size_t bytes, bool guard)
{
	if (!grow((void **)&mappings, num_mappings, &max_mappings, sizeof(*mappings)))
		return -1;
	mappings[num_mappings++] = (struct mapping){ start, bytes, guard };
	return 0;
}

int nmx__map_track(void *start, size_t bytes, bool guard)
{
	int err;

	nmx__fork_hold();
	err = nmx__map_track_held(start, bytes, guard);
	nmx__fork_let();
	return err;
}

void nmx__map_untrack(const void *start)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < num_mappings; i++)
		if (mappings[i].start == start) {
			mappings[i] = mappings[--num_mappings];
			break;
		}
	pthread_mutex_unlock(&lock);
}
