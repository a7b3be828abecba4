/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What tests share: a namespace directory that is gone at the end, links (something that sends and something that
 * receives, whatever is in between), peers in another process, and requirements.
 *
 * A requirement that fails ends the test in the main thread of the test program, and the process anywhere else: in a
 * forked peer or a second thread there is no test to go on with.
 */
#ifndef NMX_TESTS_SUPPORT_H
#define NMX_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <cmocka.h>

#include <nmx/nmx.h>

#define require(condition) ((condition) ? (void)0 : support_fail(__FILE__, __LINE__, "not so: %s", #condition))
#define require_equal(is, expected)                                                                                   \
	support_require_equal((long long)(is), (long long)(expected), #is, #expected, __FILE__, __LINE__)
/* For results of nmx calls: shows the error's name. */
#define require_result(is, expected) support_require_result((is), (expected), #is, __FILE__, __LINE__)
#define require_contains(text, part) support_require_contains((text), (part), __FILE__, __LINE__)

void support_fail(const char *file, int line, const char *format, ...)
    __attribute__((__format__(__printf__, 3, 4), __noreturn__));
void support_differ(long long is, long long expected, const char *what, const char *expected_text, const char *file, int line)
    __attribute__((__noreturn__));
void support_results_differ(int is, int expected, const char *what, const char *file, int line) __attribute__((__noreturn__));
void support_require_contains(const char *text, const char *part, const char *file, int line);

/* Inline, so that the compiler sees what holds afterwards. */
static inline void support_require_equal(long long is, long long expected, const char *what, const char *expected_text,
                                         const char *file, int line)
{
	if (is != expected)
		support_differ(is, expected, what, expected_text, file, line);
}
static inline void support_require_result(int is, int expected, const char *what, const char *file, int line)
{
	if (is != expected)
		support_results_differ(is, expected, what, file, line);
}

/* cmocka's group set-up and tear-down.  Make a directory under /dev/shm (or /tmp) and name it in NMX_DIR; the end
 * fails when anything is left in it, for whoever closes leaves nothing behind. */
int support_make_directory(void **state);
int support_remove_directory(void **state);
const char *support_directory(void);
/* Entries in it, "." and ".." apart. */
int support_directory_entries(void);

/* Opens or fails with the report.  A small segment unless the options say otherwise. */
struct nmx_port *support_open(const char *name, const struct nmx_options *options);
/* Fails unless the open fails so, and says so. */
void support_open_refused(const char *name, const struct nmx_options *options, int err, const char *part);
struct nmx_tx *support_tx(struct nmx_port *port, uint32_t index);
struct nmx_rx *support_rx(struct nmx_port *port, uint32_t index);

/* One row of the table of backends: what is sent on tx_name arrives on rx_name. */
struct backend_row {
	const char *label, *tx_name, *rx_name; /* the same name: one port */
};
/* support_switch: what has an odd first byte is for everybody and does not wait; it is no row for all tests. */
extern const struct backend_row support_loop, support_pipe, support_switch;
#define OVER_EACH_BACKEND(test)                                                                                       \
	{ #test " [loop]", test, NULL, NULL, (void *)&support_loop }, { #test " [pipe]", test, NULL, NULL, (void *)&support_pipe }

struct link {
	struct nmx_port *tx_port, *rx_port;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
};
/* Both rings of so many slots; NULL options: all defaults. */
struct link support_link(const struct backend_row *row, uint32_t slots, const struct nmx_options *options);
void support_unlink(struct link *link);

/* A packet with number `id` in its first 8 bytes (len permitting) and a pattern in the rest. */
void support_write(uint8_t *data, uint32_t len, uint64_t id);
void support_check(const uint8_t *data, uint32_t len, uint64_t id);
/* Sends packets first to first + count - 1 of len bytes and syncs.  There must be room. */
void support_send(struct nmx_tx *tx, uint64_t first, uint32_t count, uint32_t len);
/* Sends one packet to another process or thread, which may have taken it and gone before the sync returns. */
void support_send_away(struct nmx_tx *tx, uint64_t id, uint32_t len);
/* Syncs and receives packets until `count` have come, or fails when a sync finds nothing. */
void support_expect(struct nmx_rx *rx, uint64_t first, uint32_t count, uint32_t len);

/* Runs body in a child that ends with it; join fails the test unless it went well. */
pid_t support_fork(void (*body)(void *arg), void *arg);
void support_join(pid_t pid);

struct nmx_stats support_stats(const struct nmx_port *port);
uint32_t support_random(uint32_t *state, uint32_t below);
int64_t support_now_ms(void);

#endif
