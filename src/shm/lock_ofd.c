/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Open file description locks, a byte for each kind (Linux): a look at one is not a lock. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "shm/lock.h"

static struct flock range(enum nmx__lock_kind kind, short type)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = kind, .l_len = 1 };
}

int nmx__lock_try(int fd, enum nmx__lock_kind kind)
{
	struct flock lock = range(kind, F_WRLCK);
	int done = fcntl(fd, F_OFD_SETLK, &lock);

	if (done < 0 && errno == EACCES)
		errno = EAGAIN; /* either may be said (fcntl(2)) */
	return done;
}

void nmx__lock_release(int fd, enum nmx__lock_kind kind)
{
	struct flock lock = range(kind, F_UNLCK);

	fcntl(fd, F_OFD_SETLK, &lock);
}

int nmx__lock_is_held(int fd, enum nmx__lock_kind kind)
{
	struct flock lock = range(kind, F_WRLCK);

	return fcntl(fd, F_OFD_GETLK, &lock) < 0 ? -1 : lock.l_type != F_UNLCK;
}
