/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * flock(), where there are no open file description locks (FreeBSD).  One lock a file: each kind has a file of its own.
 *
 * It cannot be looked at without taking it.  Looking takes a shared lock for a moment, so that two who look do not see
 * each other; and who takes a life lock, which nobody else ever wants, waits until they have looked.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/file.h>

#include "shm/lock.h"

#define LOOKING_MS 1000 /* a look is two system calls; but whoever looks may be stopped in between */

int nmx__lock_try(int fd, enum nmx__lock_kind kind)
{
	int done = flock(fd, LOCK_EX | LOCK_NB);

	for (int ms = 0; done < 0 && errno == EWOULDBLOCK && kind == NMX__LOCK_LIFE && ms < LOOKING_MS; ms++) {
		poll(NULL, 0, 1);
		done = flock(fd, LOCK_EX | LOCK_NB);
	}
	return done;
}

void nmx__lock_release(int fd, enum nmx__lock_kind kind)
{
	(void)kind;
	flock(fd, LOCK_UN);
}

int nmx__lock_is_held(int fd, enum nmx__lock_kind kind)
{
	(void)kind;
	if (flock(fd, LOCK_SH | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? 1 : -1;
	flock(fd, LOCK_UN);
	return 0;
}
