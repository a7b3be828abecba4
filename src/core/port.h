/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Ports inside the library, and what a backend is: one file that fills in one struct nmx__backend and has one row in
 * the table of backends.c.
 *
 * A backend serves rings.  Core hands them out, keeps their owners apart, waits for them and takes them back; it never
 * asks which backend it has.  Every operation on a ring is called by the thread that uses the ring, and may run beside
 * those of other rings of the port.  open and close run alone.
 */
#ifndef NMX_CORE_PORT_H
#define NMX_CORE_PORT_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include <nmx/switch.h>

#include "base/poller.h"
#include "core/name.h"

#define NMX__WAIT_FDS 3 /* descriptors that a ring may sleep on */

struct nmx__ring {
	union { /* what the user holds; first, so that the one leads to the other */
		struct nmx_rx rx;
		struct nmx_tx tx;
	} handle;
	struct nmx_port *port;
	uint32_t index;
	bool is_tx;
	bool checked_out; /* under port->lock */
	bool fd_wanted;   /* its descriptor was asked for: a sync that finds nothing arms it */
	bool fds_changed; /* set by the backend: poll_fds would say something new */
	bool tail_moves;  /* set by the backend: the kernel writes tail, and the slots behind it, also between syncs */
	int look_again_ms; /* set by arm: how long a sleep is at most, for nothing tells of its end; 0: something does */
	bool in_port_fd;  /* and is part of the port's */
	struct nmx__poller poller; /* that descriptor: not open as long as it was not asked for; at most a second passes unlooked at */
	uint64_t forward_copied; /* bytes that forwarding into it had to copy; its user alone writes, anybody reads: atomic */
	struct nmx__shadow *shadow; /* checked builds: the ring as the last sync left it */
	/* backends append their own */
};

/* What a backend that has switches can do with them: as <nmx/switch.h> says.  The options have been read, and name this
 * backend; names of attach and detach are of a switch port and nothing more. */
struct nmx__switch_ops {
	int (*list)(const struct nmx_switch_options *options, int (*fn)(const struct nmx_switch_port *port, void *arg), void *arg,
	            struct nmx_report *why);
	int (*each)(const struct nmx_switch_options *options, int (*fn)(const char *name, const struct nmx_switch_info *info, void *arg),
	            void *arg, struct nmx_report *why);
	int (*inspect)(const char *name, const struct nmx_switch_options *options, struct nmx_switch_info *info, struct nmx_report *why);
	int (*table)(const char *name, const struct nmx_switch_options *options,
	             int (*fn)(const struct nmx_switch_address *address, void *arg), void *arg, struct nmx_report *why);
	int (*create)(const char *name, const struct nmx_switch_options *options, struct nmx_report *why);
	int (*remove)(const char *name, const struct nmx_switch_options *options, struct nmx_report *why);
	int (*attach)(const struct nmx__name *name, const struct nmx_switch_options *options, struct nmx_report *why);
	int (*detach)(const struct nmx__name *name, const struct nmx_switch_options *options, struct nmx_report *why);
};

struct nmx__backend {
	enum nmx_backend id;
	size_t ring_bytes; /* of its ring struct, which starts with struct nmx__ring; 0: the backend is not here ... */
	const char *missing; /* ... because of this */

	/* Whether a plain name should try it at all; NULL: always. */
	bool (*is_here)(void);
	/* What is said of the backend, and of a port that has been prepared and is not opened, as nmx_backend_probe() and
	 * nmx_name_explain() do; NULL: core knows. */
	int (*probe)(struct nmx_report *why);
	int (*explain)(const struct nmx_port *port, struct nmx_report *why);
	/* Whether port->name and port->options ask for what the backend has.  Looks at nothing else. */
	int (*check)(const struct nmx_port *port, struct nmx_report *why);
	/* Opens port->name with port->options, which have been checked.  Sets port->info, makes the rings with nmx__port_add_ring(), fills in their
	 * handles.  On failure everything it made but the rings is undone. */
	int (*open)(struct nmx_port *port, struct nmx_report *why);
	/* No ring is checked out any more. */
	void (*close)(struct nmx_port *port);

	/* The ring gets a user: 0, or an error and it has none.  NULL: nothing to do.  Under port->lock. */
	int (*check_out)(struct nmx__ring *ring);
	/* As nmx_rx_sync() or nmx_tx_sync() says, but for arming; as in netmap, head is how far a receive ring is given
	 * back. */
	int (*sync)(struct nmx__ring *ring);
	/* Before a sleep: announces it, and says whether there is news after all (1: then it is not announced), 0, or an
	 * error.  For transmit rings news is room for so many slots. */
	int (*arm)(struct nmx__ring *ring, uint32_t slots);
	/* After the sleep. */
	void (*disarm)(struct nmx__ring *ring);
	/* Fills in what to poll for news; returns how many, 0 if only time can tell, or an error. */
	int (*poll_fds)(struct nmx__ring *ring, struct pollfd fds[NMX__WAIT_FDS]);
	/* A ring is given back by its user: frames and an open batch are no more. */
	void (*release)(struct nmx__ring *ring);
	/* Goes on with what syncs of this process have handed over and the kernel has not taken (nmx__unsent), whichever ring or
	 * thread it was.  In how many milliseconds to do so again, 0: nothing is left.  NULL: nothing ever is. */
	int (*go_on)(void);
	/* The counters of everybody who had this port, but for those that core keeps. */
	void (*stats)(struct nmx_port *port, struct nmx_stats *stats);
	const struct nmx__switch_ops *switches; /* NULL: it has none */
};

struct nmx_port {
	const struct nmx__backend *backend;
	struct nmx__name name;
	struct nmx_options options;
	struct nmx_info info;
	uint32_t fork_generation;
	pthread_mutex_t lock; /* of what follows */
	uint32_t refs;        /* the user's, and one for each ring that is checked out */
	struct nmx__poller poller; /* nmx_port_fd() */
	struct nmx__ring **rings[2]; /* [0] receive: info.rx_rings of them, [1] transmit */
	uint32_t num_rings[2];
	uint32_t *held;       /* [info.extra_bufs]: homes of spare buffers, in the own file of a segment or on the heap */
	uint32_t *held_free;  /* [held_count]: which of them are not handed out */
	bool *held_out;       /* [info.extra_bufs]: handed out */
	uint32_t held_count;
	uint8_t *bufs;        /* buffer 0 of the region */
	uint32_t buf_stride;
	uint64_t forward_too_long; /* packets that nmx_forward() had to drop; atomic */
	void *state;          /* the backend's */
};

/* A struct of options, of another version of it maybe: what the caller does not know is zero.  False: something is set that we
 * do not know.  given: NULL for all defaults. */
NMX_MUST_CHECK bool nmx__read_struct(void *out, size_t out_size, const void *given, size_t size);

/* Adds ring `index` of the port; NULL when there is no memory.  Freed by core. */
struct nmx__ring *nmx__port_add_ring(struct nmx_port *port, bool is_tx, uint32_t index);

/* For a plain name that there is no interface of: what may have been meant, or "". */
const char *nmx__name_hint(const char *name);
/* Of a segment's name, which becomes that of a file; NULL is the default's. */
NMX_MUST_CHECK int nmx__segment_check(const char *segment, struct nmx_report *why);

extern const struct nmx__backend nmx__netmap_backend, nmx__xdp_backend, nmx__pipe_backend, nmx__switch_backend, nmx__loop_backend,
    nmx__null_backend, nmx__pcap_backend;

const struct nmx__backend *nmx__backend_find(enum nmx_backend id); /* NULL: there is none of this number */
/* In *backend that of $NMX_BACKEND, if it was 0 and there is one; it exists then, or is NMX_ANY. */
int nmx__backend_wanted(uint32_t *backend, struct nmx_report *why);
/* The backend that port->name and port->options lead to, or NULL with the report filled in and *err set.  refused: the one
 * that did not take the name, so that it is for the next; NULL at first. */
const struct nmx__backend *nmx__backend_choose(const struct nmx_port *port, const struct nmx__backend *refused, int *err,
                                               struct nmx_report *why);
/* Whether err, of an open by port->backend, says that the name may be for the next backend. */
bool nmx__backend_has_next(const struct nmx_port *port, int err);

/* A backend sets it when a sync left packets that go only when somebody goes on with them.  Whoever finds nothing to do, or
 * is about to sleep, does: a program that forwards from one port to another may wait for the first alone. */
extern atomic_bool nmx__unsent;
/* In how many milliseconds to do so again; 0: nothing is left. */
int nmx__go_on(void);

/* The part of an open that has no effect outside of *port (zeroed before): reads the name and the options, chooses the
 * backend (refused: as for nmx__backend_choose()), lets it check. */
NMX_MUST_CHECK int nmx__port_prepare(struct nmx_port *port, const char *text, const struct nmx_options *options,
                                     size_t options_size, const struct nmx__backend *refused, struct nmx_report *why);

#endif
