/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Two sides send one packet to and fro, with random pauses, so that each sleeps before almost every one.  The descriptors'
 * tick of a second, which would mend a lost wake-up in silence, is switched off: a loss is a wait that does not end.
 */
#ifndef NMX_TESTS_WAKEUPS_H
#define NMX_TESTS_WAKEUPS_H

#include <pthread.h>

#include "loops.h"

extern uint64_t wakeups_sleeps; /* of each case, at most */

struct side {
	const struct way *way;
	struct nmx_port *port;
	struct nmx_tx *tx;
	struct nmx_rx *rx;
	uint64_t turns, sent, received, slept;
	uint32_t random;
	bool first, done;
	int fd; /* of the way's own */
	void *loop, *receiver, *sender;
	pthread_t thread;
};

struct way {
	const char *label;
	const struct loop_kind *const *kind; /* NULL: none is needed */
	void (*begin)(struct side *side);    /* asks for the descriptor */
	void (*run)(struct side *side);
};

/* By which descriptor, in which loop.  room: the first sends as fast as a ring of a few slots lets it. */
extern const struct way wakeups_by_poll, wakeups_by_epoll, wakeups_by_room, wakeups_by_uv, wakeups_by_uring;

/* Its port and rings are the caller's to add.  Skips the test where the loop is not to be had. */
struct side wakeups_side(const struct way *way, bool first);
/* In two threads; the rings are closed after it. */
void wakeups_run(struct side sides[2]);
/* Between two ports. */
void wakeups_between(const struct way *way, const char *const names[2], const struct nmx_options *options);
void wakeups_switch_ticks_off(void);

/* [-n SLEEPS].  False: it is something else, and the usage has been printed. */
bool wakeups_arguments(int argc, char **argv);

#endif
