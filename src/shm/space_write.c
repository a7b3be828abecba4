/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * By writing zeros where a file has holes.  Not by posix_fallocate(): FreeBSD's file systems either have none (ZFS), or read
 * what is there and write it back, which undoes what others store through their mappings in between.
 *
 * A file system that compresses, or writes elsewhere each time, sets nothing aside even so.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include "shm/space.h"

static int write_zeros(int fd, off_t from, off_t end)
{
	static const char zeros[65536];

	while (from < end) {
		off_t left = end - from;
		ssize_t n = pwrite(fd, zeros, left < (off_t)sizeof(zeros) ? (size_t)left : sizeof(zeros), from);

		if (n < 0 && errno != EINTR)
			return errno;
		from += n < 0 ? 0 : n;
	}
	return 0;
}

int nmx__fd_reserve(int fd, size_t from, size_t bytes)
{
	off_t at = (off_t)from, end = at + (off_t)bytes;
	int err = 0;

	while (at < end && err == 0) {
		off_t hole = lseek(fd, at, SEEK_HOLE), data;

		if (hole < 0 && errno != ENXIO) /* that: beyond the end of the file */
			return errno;
		hole = hole < at ? at : hole;
		if (hole >= end)
			break;
		data = lseek(fd, hole, SEEK_DATA);
		at = data < 0 || data > end ? end : data;
		err = write_zeros(fd, hole, at);
	}
	return err;
}

void nmx__fd_give_back(int fd, size_t from, size_t bytes)
{
#ifdef SPACECTL_DEALLOC /* FreeBSD 14 */
	struct spacectl_range range = { .r_offset = (off_t)from, .r_len = (off_t)bytes };

	while (range.r_len > 0 && (fspacectl(fd, SPACECTL_DEALLOC, &range, 0, &range) == 0 || errno == EINTR))
		;
#else
	(void)fd, (void)from, (void)bytes;
#endif
}
