/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nmx/worker.h: a thread for each pair of rings of a port, with a CPU of its own.
 *
 * worker  a thread that has receive ring i and transmit ring i of a port to itself
 * node    a part of a large machine: CPUs, the memory next to them, and devices (NUMA)
 *
 *     static int work(struct nmx_worker *self)
 *     {
 *             int n = 0;
 *
 *             while (n >= 0 && !nmx_worker_stopping(self)) {
 *                     while ((n = nmx_rx_sync(self->rx)) > 0)
 *                             nmx_rx_for_each (self->rx, frame)
 *                                     look_at(frame.data, frame.len);
 *                     if (n == 0)
 *                             n = nmx_rx_wait(self->rx, -1); // a stop ends it
 *             }
 *             return n;
 *     }
 *
 * Which CPU: of those that the calling thread may use (its mask, within the cpuset of its container), first those of the
 * node of the port's interface, a thread of each core before the second ones; then the others.  Where there are fewer
 * CPUs than workers they are dealt out in turn, and a worker that waits, rather than spins, leaves its CPU to the next.
 *
 * Whose memory: what a port takes when it is opened comes from the node of its interface, where Linux says which that is and
 * nobody has set a policy (numactl); buffers that the segment had already stay where they are.  A port without a node
 * takes what its opener's CPU is next to.  A worker's state is next to its CPU.
 */
#ifndef NMX_WORKER_H
#define NMX_WORKER_H

#include <stddef.h>

#include <nmx/nmx.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nmx_workers;

/* What a worker is started with.  On cache lines of its own, with its state. */
struct nmx_worker {
	uint32_t index;    /* of the pair, from 0: those of the queues, then those of the host ("eth0*") */
	int32_t cpu;       /* that it is pinned to; -1: it is not */
	struct nmx_rx *rx; /* NULL: the port has no receive ring for this pair */
	struct nmx_tx *tx;
	void *arg;         /* nmx_workers_start()'s */
	void *state;       /* options.state_bytes of zeros, aligned to 128; NULL: none were asked for */
	int stop_fd;       /* readable once it is to stop: for foreign loops; not to be read or closed */
};

enum nmx_worker_flags {
	NMX_UNPINNED = 1 << 0, /* the kernel chooses CPUs, anew at any time */
};

/* As with nmx_options: zero is every field's default. */
struct nmx_worker_options {
	const int *cpus;    /* worker i is pinned to cpus[i % num_cpus]; NULL: chosen as above */
	uint32_t num_cpus;
	uint32_t flags;     /* enum nmx_worker_flags */
	size_t state_bytes; /* of each worker's state.  What another thread reads of it must be atomic until the end */
};

/* Checks every ring of the port out and runs fn once for each pair, in a thread.  When this returns 0 all threads are
 * there, on their CPUs.  What fn returns: a negative error, which stops all of them, or anything else when it is through.
 * Its rings are closed for it; one that it sets to NULL in *worker is its own affair.  Signals go to other threads of
 * the program.  The port may be closed at any time.  options and report may be NULL; after a success the report says
 * what is not as it could be.
 * Errors: NMX_ERR_BUSY        a ring is checked out; the text says which
 *         NMX_ERR_BAD_OPTION  a CPU that there is not, or that this process may not use
 *         NMX_ERR_NO_MEMORY   memory, threads or descriptors are used up
 *         NMX_ERR_FORKED */
NMX_MUST_CHECK int nmx_workers_start_sized(struct nmx_workers **workers, struct nmx_port *port,
                                           int (*fn)(struct nmx_worker *worker), void *arg,
                                           const struct nmx_worker_options *options, size_t options_size,
                                           struct nmx_report *report);
NMX_MUST_CHECK static inline int nmx_workers_start(struct nmx_workers **workers, struct nmx_port *port,
                                                   int (*fn)(struct nmx_worker *worker), void *arg,
                                                   const struct nmx_worker_options *options, struct nmx_report *report)
{
	return nmx_workers_start_sized(workers, port, fn, arg, options, sizeof(*options), report);
}

/* Worker `index`, for a look at its CPU and state; NULL: there is none of this number.  Its rings are its own. */
const struct nmx_worker *nmx_workers_get(const struct nmx_workers *workers, uint32_t index);

/* In a worker, at least once a wait: whether it is to stop.  Once it has been told, its waits sleep again, so that it
 * can still send the rest (nmx_tx_drain()). */
NMX_MUST_CHECK bool nmx_worker_stopping(const struct nmx_worker *worker);

/* Asks all to stop, and ends their waits.  From any thread, and from signal handlers. */
void nmx_workers_stop(struct nmx_workers *workers);

/* Waits until all have ended, or timeout_ms passed (-1: for ever).  Returns how many are running, 0: all have ended,
 * without an error; or, once all have ended, the first error that one of them returned, and which one in report (may be NULL).
 * Can be called again.  Stops nobody.  NMX_ERR_FORKED: the workers stayed with the parent. */
NMX_MUST_CHECK int nmx_workers_join(struct nmx_workers *workers, int timeout_ms, struct nmx_report *report);

/* Stops them, waits until they have ended, and frees all states.  Not in a worker.  NULL is fine. */
void nmx_workers_close(struct nmx_workers *workers);

static inline void nmx__auto_workers(struct nmx_workers **w) { nmx_workers_close(*w); } /* NMX_AUTO(workers) */

#ifdef __cplusplus
}
#endif
#endif
