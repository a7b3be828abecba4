/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef NMX_BASE_REPORT_H
#define NMX_BASE_REPORT_H

#include <nmx/nmx.h>

/* Fills why (which may be NULL) and returns err, so that a failure is one statement.  sys_errno is 0 or the errno
 * of the call that failed; its text is appended. */
int nmx__fail(struct nmx_report *why, int err, int sys_errno, const char *format, ...)
    __attribute__((__format__(__printf__, 4, 5), __cold__));

#ifdef __clang_analyzer__
/* Every error is negative, which the analyser cannot see from here. */
static inline int nmx__negative(int err)
{
	if (err >= 0)
		__builtin_unreachable();
	return err;
}
#define nmx__fail(why, err, ...) nmx__negative((nmx__fail)(why, err, __VA_ARGS__))
#endif

/* Adds a caveat to the report of an open that succeeds. */
void nmx__note(struct nmx_report *why, const char *format, ...) __attribute__((__format__(__printf__, 2, 3), __cold__));

/* Empties it. */
void nmx__report_clear(struct nmx_report *why);

#endif
