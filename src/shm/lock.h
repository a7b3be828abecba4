/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Locks that the kernel drops when their holder dies, however it dies: on an open file, not on the process, so that
 * two users in one process exclude each other too.  One file for each way: lock_ofd.c (open file description locks,
 * Linux), lock_flock.c (flock, elsewhere). */
#ifndef NMX_SHM_LOCK_H
#define NMX_SHM_LOCK_H

#include <stdbool.h>

enum nmx__lock_kind {
	NMX__LOCK_SEGMENT, /* on the segment's file, for moments */
	NMX__LOCK_LIFE,    /* on a member's own file, for as long as it lives */
};

/* 0, or -1: errno EAGAIN when somebody else has it. */
int nmx__lock_try(int fd, enum nmx__lock_kind kind);
void nmx__lock_release(int fd, enum nmx__lock_kind kind);

/* fd: an open file other than the holder's; read only is enough.  -1 with errno when it cannot be told. */
int nmx__lock_is_held(int fd, enum nmx__lock_kind kind);

#endif
