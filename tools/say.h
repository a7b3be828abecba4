/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Messages for people, on standard error. */
#ifndef NMX_TOOLS_SAY_H
#define NMX_TOOLS_SAY_H

enum exit_code { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* "nmx COMMAND: sentence".  A live line that stands on the terminal is wiped first.  Returns EXIT_FAILED, so that
 * a failure is one statement. */
int say(const char *command, const char *format, ...) __attribute__((__format__(__printf__, 2, 3)));

/* live.c tells that a line stands on the terminal without its newline. */
void say_line_stands(int stands);

#endif
