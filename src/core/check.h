/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a checked build of the library does at each call; nothing in a plain one. */
#ifndef NMX_CORE_CHECK_H
#define NMX_CORE_CHECK_H

#include "core/port.h"

#ifdef NMX_CHECKED

#define NMX__CHECK_CALLER(handle) nmx__check_thread(handle, &(handle)->owner, __func__, 0)

/* Around each sync: what lies outside [head, tail) has not been written by the user, the cursors are inside, and no
 * buffer is claimed by two slots.  Stops the program otherwise. */
void nmx__check_before_sync(struct nmx__ring *ring, const char *caller);
void nmx__check_after_sync(struct nmx__ring *ring);
void nmx__check_free(struct nmx__ring *ring);

#else

#define NMX__CHECK_CALLER(handle) ((void)0)
static inline void nmx__check_before_sync(struct nmx__ring *ring, const char *caller) { (void)ring, (void)caller; }
static inline void nmx__check_after_sync(struct nmx__ring *ring) { (void)ring; }
static inline void nmx__check_free(struct nmx__ring *ring) { (void)ring; }

#endif

#endif
