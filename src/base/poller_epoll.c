/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/poller.h"

static int add(int poller_fd, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events };

	return epoll_ctl(poller_fd, EPOLL_CTL_ADD, fd, &event) == 0 || errno == EEXIST ? 0 : -1; /* was there already */
}

static int tick_in(const struct nmx__poller *poller, time_t s, long ns)
{
	struct timespec every = { poller->tick_ms / 1000, poller->tick_ms % 1000 * 1000000L };

	return timerfd_settime(poller->timer, 0, &(struct itimerspec){ every, { s, ns } }, NULL);
}

int nmx__poller_open(struct nmx__poller *poller, int tick_ms)
{
	*poller = NMX__NO_POLLER;
	poller->fd = nmx__fd_track(epoll_create1(EPOLL_CLOEXEC));
	if (poller->fd < 0)
		return -1;
	if (tick_ms == 0)
		return 0;
	poller->tick_ms = tick_ms;
	poller->timer = nmx__fd_track(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
	if (poller->timer >= 0 && tick_in(poller, tick_ms / 1000, tick_ms % 1000 * 1000000L) == 0 &&
	    add(poller->fd, poller->timer, EPOLLIN) == 0)
		return 0;
	nmx__poller_close(poller);
	return -1;
}

void nmx__poller_close(struct nmx__poller *poller)
{
	nmx__fd_close(poller->timer);
	nmx__fd_close(poller->fd);
	*poller = NMX__NO_POLLER;
}

int nmx__poller_add(struct nmx__poller *poller, int fd, short events) { return add(poller->fd, fd, (uint32_t)events); }

void nmx__poller_soon(struct nmx__poller *poller, long ns) { tick_in(poller, 0, ns); }

/* What was added is asked again at each look; only the timer remembers. */
void nmx__poller_settle(struct nmx__poller *poller)
{
	uint64_t ticks;

	if (poller->timer >= 0 && read(poller->timer, &ticks, sizeof(ticks)) < 0)
		(void)0; /* not expired */
}

int nmx__process_watch(pid_t pid)
{
#ifdef SYS_pidfd_open
	return nmx__fd_track((int)syscall(SYS_pidfd_open, pid, 0));
#else
	(void)pid;
	return -1;
#endif
}

void nmx__process_unwatch(int fd) { nmx__fd_close(fd); }
