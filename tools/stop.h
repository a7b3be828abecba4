/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* SIGINT, SIGTERM and SIGPIPE ask a command to end cleanly, with its summary.  They interrupt a sleeping wait; a
 * SIGINT or SIGTERM that comes a second or two later ends the process at once. */
#ifndef NMX_TOOLS_STOP_H
#define NMX_TOOLS_STOP_H

#include <stdbool.h>

/* Longest wait in one piece: a signal that comes just before a wait does not interrupt it, so no wait may be long. */
#define STOP_SLICE_MS 100

void stop_catch(void);
bool stop_asked(void);

#endif
