/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A file that says which process serves something, and tells whether it is alive: by a lock that the kernel drops with
 * it, so that a number that another process has by now is never taken for it. */
#ifndef NMX_TOOLS_PIDFILE_H
#define NMX_TOOLS_PIDFILE_H

#include <stdbool.h>
#include <sys/types.h>

struct pidfile {
	char path[512];
	int fd; /* holds the lock; do not open the file elsewhere in this process: closing that would drop it */
};

/* Makes the file and locks it for the calling process.  0, or the process that has it (never 0), or -1 with errno. */
pid_t pidfile_take(struct pidfile *file, const char *path);
/* Removes it. */
void pidfile_leave(struct pidfile *file);

/* The process that has it; 0: nobody; -1 with errno. */
pid_t pidfile_holder(const char *path);
/* Asks that process to end, and waits.  0: it has; -1 with errno: ESRCH nobody has it (a file that a killed one left is
 * removed), ETIMEDOUT. */
int pidfile_stop(const char *path, int timeout_ms);

#endif
