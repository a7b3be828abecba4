/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* dpdk-testpmd, driven as a person would: commands in, text out. */
#ifndef NMX_BENCH_TESTPMD_H
#define NMX_BENCH_TESTPMD_H

#include <stdint.h>
#include <sys/types.h>

struct testpmd {
	pid_t pid;
	int terminal;
	char text[1 << 16]; /* what it said last, cut at its prompt */
};

struct testpmd_setup {
	const char *devices; /* for the environment layer: --vdev=... */
	const char *mode;    /* --forward-mode=..., and what belongs to it */
	uint32_t slots, batch;
	const char *directory; /* for the files that it leaves behind */
};

const char *find_testpmd(void); /* NULL: it is not installed */
/* Returns when it listens.  Both of its threads are on the calling process's processor; the first one sleeps in read while
 * the other one forwards. */
void testpmd_start(struct testpmd *t, const struct testpmd_setup *setup);
/* A command, with the end of its line; returns what it answers. */
const char *testpmd_say(struct testpmd *t, const char *command);
void testpmd_quit(struct testpmd *t);

#endif
