/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the attacks share: a directory of their own, failures that say how to repeat them, deadlines, an audit. */
#ifndef CRASH_H
#define CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <nmx/nmx.h>

#define SKIP 77

/* A segment of few buffers: audits and new files are quick. */
enum { SEGMENT_BUFS = 8192 };

struct attack {
	const char *name;
	uint64_t seed;
	uint32_t count;   /* rounds, steps: what the attack repeats */
	uint32_t seconds; /* for those that last a time */
	uint32_t round;   /* the one that runs */
	char dir[64];     /* a namespace directory, removed at the end */
};
extern struct attack attack;

/* Options: -n COUNT, -t SECONDS, -s SEED, -r ROUND (only that one).  Makes the directory. */
void attack_begin(const char *name, int argc, char **argv, uint32_t default_count, uint32_t default_seconds);
/* Removes the directory, prints the one line; returns what main returns. */
int attack_end(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));
/* Only this round was asked for? */
bool attack_wants(uint32_t round);
int attack_skip(const char *format, ...) __attribute__((__format__(__printf__, 1, 2)));

/* Prints what failed and how to repeat it, keeps the directory, ends the process (a child or the parent). */
void die(const char *format, ...) __attribute__((__format__(__printf__, 1, 2), __noreturn__));
#define must(condition, ...) ((condition) ? (void)0 : die(__VA_ARGS__))

/* ---- random numbers: xorshift, one state for each round */
struct rng {
	uint64_t state;
};
struct rng rng_of(uint64_t seed, uint64_t round);
uint64_t rng_next(struct rng *rng);
uint32_t rng_below(struct rng *rng, uint32_t n);
/* Between 1 and most, each power of two as likely as the next. */
uint32_t rng_scaled(struct rng *rng, uint32_t most);

/* ---- time */
int64_t now_ms(void);
void nap_us(uint32_t us);

/* ---- processes */
pid_t spawn(void (*body)(void *arg), void *arg); /* the child ends with 0 when body returns */
/* 0, or what waitpid() says; dies when it takes longer. */
int reap(pid_t pid, int64_t ms, const char *who);
void reap_ok(pid_t pid, int64_t ms, const char *who);
void kill_now(pid_t pid);

/* ---- the directory */
uint32_t count_files(const char *dir, const char *prefix);
/* Their names, for messages. */
const char *list_files(const char *dir);
void remove_tree(const char *dir);
uint32_t count_fds(void);
uint32_t count_maps(void);

/* Recovers nothing, moves nothing: buffers of the segment (NULL: the default) must add up. */
void must_add_up(const char *when, const char *segment);

/* nmx_open() in the attack's directory, with a small segment. */
int open_port(struct nmx_port **port, const char *name, const struct nmx_options *options, struct nmx_report *why);
/* A pipe made, used and closed: the namespace works, and nothing is left in it. */
void must_work(const char *when);

#endif
