/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A kqueue is readable as long as something is queued in it, also when that has come to an end since: only a look at its
 * events (nmx__poller_settle) takes it out.
 *
 * A forked child does not inherit a kqueue.  So there is nothing to track for it; and the number may be somebody else's
 * there.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/types.h>
#include <sys/event.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/poller.h"

#define EVENTS 16 /* looked at in one go; there are fewer */

enum timer { TICK, SOON };

static int change(int kq, uintptr_t ident, short filter, unsigned short flags, unsigned fflags, intptr_t data)
{
	struct kevent event;

	EV_SET(&event, ident, filter, EV_ADD | flags, fflags, data, 0);
	return kevent(kq, &event, 1, NULL, 0, NULL) < 0 ? -1 : 0;
}

static int open_kqueue(void)
{
	int kq = kqueue();

	if (kq >= 0)
		fcntl(kq, F_SETFD, FD_CLOEXEC);
	return kq;
}

static void close_keeping_errno(int fd)
{
	int err = errno;

	close(fd);
	errno = err;
}

int nmx__poller_open(struct nmx__poller *poller, int tick_ms)
{
	*poller = NMX__NO_POLLER;
	poller->fd = open_kqueue();
	poller->tick_ms = tick_ms;
	if (poller->fd < 0)
		return -1;
	if (tick_ms == 0 || change(poller->fd, TICK, EVFILT_TIMER, 0, 0, tick_ms) == 0)
		return 0;
	close_keeping_errno(poller->fd);
	*poller = NMX__NO_POLLER;
	return -1;
}

void nmx__poller_close(struct nmx__poller *poller)
{
	if (poller->fd >= 0)
		close(poller->fd);
	*poller = NMX__NO_POLLER;
}

int nmx__poller_add(struct nmx__poller *poller, int fd, short events)
{
	if ((events & POLLIN) && change(poller->fd, (uintptr_t)fd, EVFILT_READ, 0, 0, 0) < 0)
		return -1;
	return (events & POLLOUT) ? change(poller->fd, (uintptr_t)fd, EVFILT_WRITE, 0, 0, 0) : 0;
}

void nmx__poller_soon(struct nmx__poller *poller, long ns) { change(poller->fd, SOON, EVFILT_TIMER, EV_ONESHOT, NOTE_NSECONDS, ns); }

void nmx__poller_settle(struct nmx__poller *poller)
{
	struct kevent events[EVENTS];

	(void)!kevent(poller->fd, NULL, 0, events, EVENTS, &(struct timespec){ 0, 0 });
}

int nmx__process_watch(pid_t pid)
{
	int kq = open_kqueue();

	if (kq < 0 || change(kq, (uintptr_t)pid, EVFILT_PROC, EV_ONESHOT, NOTE_EXIT, 0) == 0)
		return kq;
	close_keeping_errno(kq);
	return -1;
}

void nmx__process_unwatch(int fd)
{
	if (fd >= 0)
		close(fd);
}
