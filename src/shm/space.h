/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Space of a file that is mapped.  One file for each way: space_fallocate.c (Linux), space_write.c (elsewhere). */
#ifndef NMX_SHM_SPACE_H
#define NMX_SHM_SPACE_H

#include <stddef.h>

/* Has the file system set space aside, so that a full one is an error now and not a SIGBUS later; makes the file longer if
 * need be.  What is in use there stays as it is, what has no space yet must be nobody's.  0 or an errno: then some of it
 * may have been, for the caller to give back if nobody else uses it. */
int nmx__fd_reserve(int fd, size_t from, size_t bytes);
/* The length stays, what was in it goes. */
void nmx__fd_give_back(int fd, size_t from, size_t bytes);

#endif
