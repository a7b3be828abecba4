/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The namespace directory: whose it is, and whether it may be trusted. */
#ifndef NMX_SHM_DIR_H
#define NMX_SHM_DIR_H

#include <sys/types.h>

#include <nmx/nmx.h>

struct nmx__dir {
	int fd;           /* -1: none */
	mode_t file_mode; /* of what is created in it */
	char path[256];
};

/* directory: NULL for $NMX_DIR, and if that is not set, for /dev/shm/nmx-UID, which is made if need be (nothing else
 * ever is).  Errors: NMX_ERR_NO_SUCH (missing, not a directory, a link), NMX_ERR_PERMISSION (not ours, or others may
 * write), NMX_ERR_NO_MEMORY (descriptors), NMX_ERR_IO. */
NMX_MUST_CHECK int nmx__dir_open(struct nmx__dir *dir, const char *directory, struct nmx_report *why);
void nmx__dir_close(struct nmx__dir *dir);

/* Opens the file that fd is, once more.  -1 with errno; ESTALE: the name is another's by now.
 *
 * What is mapped and what has a lock are two descriptors: a mapping keeps the open file, and with it the lock.  And whoever
 * looks at a dying process at that moment keeps its mappings beyond its end (ps, which reads the command line from its memory,
 * for half a second on a busy machine). */
int nmx__dir_reopen(const struct nmx__dir *dir, const char *file, int fd);

#endif
