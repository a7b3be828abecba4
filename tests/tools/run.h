/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Runs other programs and looks at what they said: output, exit code, and whether they ended at all. */
#ifndef NMX_TESTS_TOOLS_RUN_H
#define NMX_TESTS_TOOLS_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SKIP 77

enum { RUN_TIMED_OUT = 1000, RUN_SIGNAL = 2000 }; /* codes that are no exit code; RUN_SIGNAL + n: killed by signal n */

struct child {
	pid_t pid;
	int out_fd, err_fd;
	int code;
	const char *what; /* for messages */
	char out[65536], err[65536];
};

/* Counts a failure and says what happened; the test goes on. */
#define EXPECT(condition, ...) ((condition) ? true : expect_failed(__FILE__, __LINE__, #condition, __VA_ARGS__))
bool expect_failed(const char *file, int line, const char *condition, const char *format, ...)
    __attribute__((__format__(__printf__, 4, 5)));
int expect_result(void); /* what main() returns: 0, or 1 after a failure */

/* Starts argv[0] with no input; its output goes to unlinked files.  Both ends on one processor: child_pin(true). */
void child_start(struct child *child, const char *const *argv);
void child_pin(bool one_processor);
/* Called in every child that is started from now on, last thing before its program; NULL: nothing is. */
void child_before_exec(void (*fn)(void *), void *arg);
/* On a slow machine, or an emulated one, $NMX_TEST_PATIENCE multiplies the time limits of these. */
int patience(int ms);
/* Waits, kills what does not end (RUN_TIMED_OUT), and reads the output.  Returns the code. */
int child_wait(struct child *child, int timeout_ms);
bool child_is_running(struct child *child);
/* Has it written so to standard error (or output) by now?  Waits until it has, or ended, or time is up. */
bool child_will_say(struct child *child, const char *text, int timeout_ms);
bool child_says(const struct child *child, const char *text); /* anywhere; counts a failure if not */
bool child_ends(struct child *child, int code);               /* child_wait(); counts a failure if otherwise */

/* The command under test, and a namespace directory that nobody else has. */
extern const char *nmx_path, *run_dir;
void run_begin(const char *path); /* skips the test when no directory can be made */
void run_end(void);
bool run_dir_is_empty(void);      /* of segments; counts a failure if not */
/* Until so many processes have opened ports in run_dir: how long that takes depends on the build and the machine. */
void run_await_processes(unsigned processes);
void run_dir_clear(void);

#define NMX(...)              ((const char *const[]){ nmx_path, __VA_ARGS__, NULL })
#define NMX_START(child, ...) child_start(child, NMX(__VA_ARGS__))
/* Runs to the end: the code. */
#define NMX_RUN(child, ...)   (NMX_START(child, __VA_ARGS__), child_wait(child, 20000))

void sleep_ms(int ms);
int64_t now_ms(void);

/* A number out of JSON text: the first with that key.  -1 and a failure if there is none. */
int64_t json_number(const struct child *child, const char *key);
bool json_has(const struct child *child, const char *key);

#endif
