/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the benchmarks share: a clock, processors, medians; and the cases of nmx-bench: two pinned processes and a page
 * between them. */
#ifndef NMX_BENCH_H
#define NMX_BENCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct plan {
	uint32_t batch, len;
	bool touch;         /* the first `len` bytes are written by the sender and read by the receiver */
	bool copy;          /* they are copied in from a buffer of the sender's */
	uint32_t slots;     /* of the rings, and entries of the bare queue */
	double seconds;     /* that are measured, after a tenth of it to warm up */
	const char *directory;
	const struct event_loop *loop; /* of nmx-bench-event */
};

/* Between the two processes of a run. */
struct meeting {
	_Atomic uint32_t ready, go, stop;
	_Atomic uint64_t count;    /* packets that arrived, or turns that were made, while it was measured */
	_Atomic uint64_t elapsed_ns;
	_Atomic uint64_t turn;     /* counts up when the one has had what the other sent */
	_Atomic uint64_t checksum; /* what was read, so that the reading is not optimised away */
};

/* The two halves of a run; each is a process of its own, pinned.  The second one measures. */
struct contest {
	void (*first)(const struct plan *plan, struct meeting *m);
	void (*second)(const struct plan *plan, struct meeting *m);
	void (*prepare)(const struct plan *plan); /* in the parent, before both; may be NULL */
};

struct bench_case {
	const char *name; /* NULL: the end of the table */
	const struct contest *ours, *bare;
	struct plan plan;
	bool turns;  /* nanoseconds a turn, lower is better; otherwise million packets a second */
	double goal; /* 0: only reported */
	const char *what;
	double (*alone)(const struct plan *plan); /* in place of the two: a figure that is to be at most `goal` */
	const char *unit;
};
/* contest.c: what main() returns. */
int run_cases(const struct bench_case *cases, int argc, char **argv);

extern const struct contest bare_stream, nmx_stream, bare_spin, nmx_spin, bare_sleep, nmx_sleep;

/* common.c: of nmx-bench and nmx-bench-xdp. */
_Noreturn void die(const char *what, const char *why);
uint64_t now_ns(void);
void two_cpus(int cpu[2]); /* the first two processors that we may use */
void pin(int cpu);
void *shared_memory(size_t size); /* with the processes that are made from now on; zero */
pid_t fork_pinned(int cpu);       /* a process on this processor, that ends with its parent; 0 in it */
/* Waits for so many of them; one that did not end well is the end of all. */
void wait_for(const char *what, int processes);
double quantile(double *values, int n, double q); /* sorts them */
const char *temporary_directory(void); /* goes, with what is in it, when the calling process and its children have ended */
bool named_in(const char *name, char **names);    /* no names: all are meant */

/* What is measured of a run: after a tenth of its time to warm up. */
struct window {
	uint64_t start, end;
	uint64_t began_at; /* 0: still warming up */
	uint64_t before;   /* what had been counted by then */
};
struct window window_open(const struct plan *plan);
/* True when it is over: what was counted and the time that it took are then in m, and the other side is told. */
bool window_over(struct window *w, uint64_t count, struct meeting *m);

void meet(struct meeting *m); /* waits until both are there */

static inline void spin_hint(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* The same work on a payload for both contestants: whole words of 8 bytes, then the rest. */
static inline void write_payload(uint8_t *to, uint32_t len, uint64_t seed)
{
	for (uint32_t i = 0; i + 8 <= len; i += 8)
		__builtin_memcpy(to + i, &seed, 8);
}

static inline uint64_t read_payload(const uint8_t *from, uint32_t len)
{
	uint64_t sum = 0, word;

	for (uint32_t i = 0; i + 8 <= len; i += 8) {
		__builtin_memcpy(&word, from + i, 8);
		sum += word;
	}
	return sum;
}

#endif
