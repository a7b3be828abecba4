/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef CRASH_EXHAUSTION_H
#define CRASH_EXHAUSTION_H

#include "crash.h"

/* What a failed open must leave as it was. */
struct holdings {
	uint32_t fds, maps, files;
};
struct holdings snapshot(void);
void must_hold(const struct holdings *before, const char *when);
void must_explain(int err, const struct nmx_report *why, const char *when);

static inline bool built_with_sanitizer(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return true;
#else
	return false;
#endif
}

/* surroundings.c: each returns how many cases it tried. */
uint32_t wrong_files(void);
uint32_t wrong_directories(void);
uint32_t full_disks(void); /* 0: none can be mounted here */

/* Takes every member id that is free, by living locks. */
uint32_t fake_members(void);
void release_fake_members(void);

#endif
