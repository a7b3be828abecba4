/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <fcntl.h>

#include "shm/space.h"

#define RESERVE_BYTES ((size_t)1 << 20) /* at once: an interrupted call starts over, and must come to its end between signals */

int nmx__fd_reserve(int fd, size_t from, size_t bytes)
{
	int err = 0;

	for (size_t part; bytes > 0 && err == 0; from += part, bytes -= part) {
		part = bytes < RESERVE_BYTES ? bytes : RESERVE_BYTES;
		do
			err = posix_fallocate(fd, (off_t)from, (off_t)part);
		while (err == EINTR);
	}
	return err;
}

void nmx__fd_give_back(int fd, size_t from, size_t bytes)
{
	(void)!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)bytes);
}
