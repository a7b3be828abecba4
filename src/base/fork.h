/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a forked child must not have: descriptors that hold its parent's locks and bells, and mappings of the
 * parent's own files.  After a fork the child's descriptors are closed, its mappings replaced by zeros (so that the
 * inlines of <nmx/ring.h> see empty rings), and nmx__forked() is true for everything that was opened before. */
#ifndef NMX_BASE_FORK_H
#define NMX_BASE_FORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The generation of this process: remember it at open, compare it at each call. */
uint32_t nmx__fork_generation(void);

extern uint32_t nmx__generation; /* for nmx__forked() */
static inline bool nmx__forked(uint32_t generation_at_open)
{
	return __builtin_expect(generation_at_open != nmx__generation, 0);
}

/* Descriptors to be closed in a child.  track returns fd, so that it can wrap an open; a negative one passes
 * through with errno kept.  If there is no memory to note it, it is closed and -1 returned with ENOMEM. */
int nmx__fd_track(int fd);
/* openat() and track as one step for a fork in another thread: for files that will be locked, since a child that got
 * away with such a descriptor would hold the lock beyond our death. */
int nmx__fd_openat(int dir, const char *file, int flags, mode_t mode);
/* Between hold and let no other thread forks: for what a child must not get away with even if the fork comes between making
 * it and tracking it (it would keep a queue, a program, a namespace).  Nothing else of this file in between but the two
 * calls that say so. */
void nmx__fork_hold(void);
void nmx__fork_let(void);
int nmx__fd_track_held(int fd);
int nmx__map_track_held(void *start, size_t bytes, bool guard);
/* Closes it, here and in later children.  -1 is fine. */
void nmx__fd_close(int fd);

/* Mappings that a child gets as zeros of the same size (readable and writable) or, when guard is set, as nothing
 * at all.  Returns 0 or -1 (no memory). */
int nmx__map_track(void *start, size_t bytes, bool guard);
void nmx__map_untrack(const void *start);

#endif
