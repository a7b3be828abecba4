/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Sleeping on several things by one descriptor, which can itself be slept on: in poll(), in somebody else's loop, in
 * another poller.  It is readable while something that was added is, or when its tick has come.
 *
 * One file for each platform: poller_epoll.c (Linux), poller_kqueue.c (FreeBSD and its kin).
 */
#ifndef NMX_BASE_POLLER_H
#define NMX_BASE_POLLER_H

#include <stdint.h>
#include <sys/types.h>

struct nmx__poller {
	int fd;      /* -1: none */
	int timer;   /* where the tick needs a descriptor of its own; -1 */
	int tick_ms;
};
#define NMX__NO_POLLER ((struct nmx__poller){ .fd = -1, .timer = -1 })

/* tick_ms: how often it is readable if nothing else makes it so; 0: never.  0, or -1 with errno, and nothing to close. */
int nmx__poller_open(struct nmx__poller *poller, int tick_ms);
/* One that is not open is fine. */
void nmx__poller_close(struct nmx__poller *poller);

/* events: POLLIN, POLLOUT.  One that was added already is fine; one that is closed leaves by itself.  0, or -1 with
 * errno. */
int nmx__poller_add(struct nmx__poller *poller, int fd, short events);

/* Of one with a tick: readable in ns (1 or more; less than a second). */
void nmx__poller_soon(struct nmx__poller *poller, long ns);

/* To be called after what was added has been emptied: forgets the tick if it has come, and whatever is not readable any
 * more.  What still is stays. */
void nmx__poller_settle(struct nmx__poller *poller);

/* A descriptor that is readable once the process has ended; a hint, for numbers are given to others again.  -1: it has
 * ended, or the system has nothing of the kind. */
int nmx__process_watch(pid_t pid);
/* -1 is fine. */
void nmx__process_unwatch(int fd);

#endif
