/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nmx/nmx.h: ports.  Open one by its netmap name, check out its rings, close.
 *
 * port     what a name opens; has transmit and receive rings of its own
 * ring     transmit or receive, numbered from 0 each; checked out by one user at a time
 * pipe     two ports, x{1 and x}1, each sending what the other receives
 * switch   up to 254 ports, vale0:a, vale0:b, ..., that forward by address among them, as in vale(4)
 * segment  the region in a namespace directory that all pipes and switches of it share: their buffers can be exchanged
 *
 * Every call here is control: it may allocate, lock and enter the kernel, and (unless it says otherwise) may
 * be called from any thread.  Packets are in <nmx/ring.h>, included here.
 *
 * Life: if an open or a check-out returns 0 you close what it gave you, in any order; if it fails there is
 * nothing to do.  A forked child has none of its parent's ports: every call that enters the library says
 * NMX_ERR_FORKED, closing is harmless, and to the inlines of ring.h its rings look empty or full.
 */
#ifndef NMX_H
#define NMX_H

#include <nmx/ring.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NMX_VERSION_MAJOR 0
#define NMX_VERSION_MINOR 1
#define NMX_VERSION_PATCH 0
/* Of the library that is running: "0.1.0". */
const char *nmx_version(void);

struct nmx_port;

/* What happened, for a person.  After a failure: what failed, the offending text, what to do.  After a
 * success: what the caller should know, or "". */
struct nmx_report {
	int err;       /* as returned */
	int sys_errno; /* of the system call that failed, where the text tells of one; otherwise 0 */
	char text[504];
};

enum nmx_backend { NMX_ANY, NMX_NETMAP, NMX_XDP, NMX_PIPE, NMX_SWITCH, NMX_PCAP, NMX_NULL, NMX_LOOP };
/* "pipe"; never NULL. */
const char *nmx_backend_name(enum nmx_backend backend);

/* How packets of an interface come to us: from the best to the last. */
enum nmx_mode {
	NMX_MODE_NONE,      /* not an interface */
	NMX_MODE_NETMAP,    /* the netmap device */
	NMX_MODE_ZERO_COPY, /* AF_XDP: the device reads and writes our buffers */
	NMX_MODE_COPY,      /* AF_XDP in the driver; the kernel copies each packet once */
	NMX_MODE_TC,        /* by tc and a pair of interfaces of ours: host rings, and drivers without XDP */
};
/* "copy"; never NULL. */
const char *nmx_mode_name(uint32_t mode);

enum nmx_option_flags {
	NMX_EXCLUSIVE = 1 << 0, /* nobody else may open the port (pipe ends and switch ports in user space always are) */
	NMX_TX_ONLY   = 1 << 1,
	NMX_RX_ONLY   = 1 << 2,
	NMX_ZERO_COPY = 1 << 3, /* interfaces: fail rather than fall back to copy mode */
	NMX_CHAINS    = 1 << 4, /* accept packets longer than a slot, as chains (NMX_MORE).  Without it a
	                         * port never shows a chain; longer packets are dropped and counted */
	NMX_BLOCKING  = 1 << 5, /* switch ports: what finds its destination full waits in the ring instead of being
	                         * dropped ("@block" in the name).  Not what goes to several or to all: that never waits.  What
	                         * still waits when the port is closed, and has no room then, is dropped and counted, here
	                         * (drop_full) and at its destination (drop_no_buffer); nmx_tx_drain() waits for it.  What the
	                         * program has overwritten meanwhile is dropped then (drop_invalid) */
	NMX_PROMISC   = 1 << 6, /* interfaces: receive also what is for other addresses, by packet membership,
	                         * undone by the kernel; without effect on other ports */
	NMX_BUSY_POLL = 1 << 7, /* interfaces: a sync drives the device itself instead of leaving that to
	                         * interrupts; without effect on other ports */
	NMX_RAW_CHECKSUM = 1 << 8, /* interfaces: leave a checksum that the sender's stack left to its device as
	                            * it came, for captures; without it it is completed */
};

/* Zero is every field's default, so name only what you want.  The library is told the size of the struct
 * that you compiled with; fields are only ever added at the end. */
struct nmx_options {
	uint32_t tx_rings, rx_rings; /* 0: 1 on software ports; one per hardware queue on interfaces */
	uint32_t tx_slots, rx_slots; /* 2 to 32768; 0: 1024, or what the other end of the pipe has; switch ports: 256.
	                              * netmap: what it makes of that; the report says it */
	uint32_t extra_bufs;         /* spares for nmx_buf_get(); 0: none */
	uint32_t flags;              /* enum nmx_option_flags */
	uint32_t backend;            /* enum nmx_backend; also $NMX_BACKEND.  0: an interface is netmap's where there is
	                              * /dev/netmap and it takes the name, else AF_XDP's; pipes are in user space */
	uint32_t segment_bufs;       /* buffers of the segment, if this open makes it; 0: 262144 (sparse) */
	const char *directory;       /* namespace of pipes and switches; NULL: $NMX_DIR, else per user */
	const char *segment;         /* in it; NULL: "default" */
	uint32_t flood_pps;          /* switch ports: packets a second of each transmit ring that may go to everybody, a
	                              * tenth of that at once; more are dropped (drop_flood).  0: any number */
};

/* Opens a port.  name: netmap's grammar ("netmap:eth0", "eth0^", "vale0:a", "x{1"; README, "Names").
 * options and report may be NULL.  *port is written only on success.
 * Errors, all explained in report:
 *   NMX_ERR_BAD_NAME, _BAD_OPTION       what was asked for makes no sense; the text shows the part
 *   NMX_ERR_NO_SUCH                     no such interface, directory or capture file
 *   NMX_ERR_INVALID_RING_INDEX          the name asks for one ring, and there is none of that number
 *   NMX_ERR_PERMISSION                  the directory is not ours, a capability is missing, or /dev/netmap is root's
 *   NMX_ERR_BUSY                        the pipe end is open elsewhere; the text names the process.  netmap: it is open, and
 *                                       one of both wants it exclusively
 *   NMX_ERR_NO_MEMORY                   heap, segment, /dev/shm, descriptors or netmap's memory are used up
 *   NMX_ERR_CORRUPT                     the segment is not one, or of another version; a device that is not netmap
 *   NMX_ERR_UNSUPPORTED_PLATFORM, _FALLBACK_UNSUPPORTED, _BIND_FAIL   "not here, because" */
NMX_MUST_CHECK int nmx_open_sized(struct nmx_port **port, const char *name, const struct nmx_options *options,
                                  size_t options_size, struct nmx_report *report);

NMX_MUST_CHECK static inline int nmx_open(struct nmx_port **port, const char *name,
                                          const struct nmx_options *options, struct nmx_report *report)
{
	return nmx_open_sized(port, name, options, sizeof(*options), report);
}

/* Rings still checked out go on working, and keep their memory, until they are closed.  NULL is fine. */
void nmx_close(struct nmx_port *port);

/* What was opened.  Does not change while the port is open. */
struct nmx_info {
	uint32_t tx_rings, rx_rings;
	uint32_t host_tx_rings, host_rx_rings; /* numbered after the others: host ring k is tx_rings + k */
	uint32_t tx_slots, rx_slots;
	uint32_t max_len;     /* bytes of a slot */
	uint32_t max_frags;   /* slots of a packet */
	uint32_t extra_bufs;  /* granted */
	uint32_t flags;       /* enum nmx_option_flags in force */
	uint32_t backend;     /* enum nmx_backend */
	int32_t numa_node;    /* -1: none */
	uint32_t region;      /* ports of one region exchange buffers */
	char name[64];        /* as it would be opened again; cut when it is longer (a capture's file) */
	uint32_t mode;        /* enum nmx_mode */
	uint32_t rx_queues, tx_queues; /* of the interface, that this port has taken */
	uint32_t switch_port; /* its number at its switch (NS_PORT_SHIFT); 0: not a port of a switch */
};
void nmx_port_info_sized(const struct nmx_port *port, struct nmx_info *info, size_t size);
static inline void nmx_port_info(const struct nmx_port *port, struct nmx_info *info)
{
	nmx_port_info_sized(port, info, sizeof(*info));
}

/* Checks ring `index` out: the caller's alone until nmx_rx_close().  Any thread may check out; the first one
 * to use the ring owns it (checked builds trap another; nmx_rx_unbind() lets go).
 * Errors: NMX_ERR_INVALID_RING_INDEX, NMX_ERR_BUSY (it is checked out; or the report of the open said that the
 * port's rings are for one thread, and another has some), NMX_ERR_NO_MEMORY, NMX_ERR_FORKED; of a netmap port
 * also NMX_ERR_NO_SUCH (its interface was removed), NMX_ERR_CORRUPT, NMX_ERR_IO. */
NMX_MUST_CHECK int nmx_rx_ring(struct nmx_port *port, uint32_t index, struct nmx_rx **rx);
NMX_MUST_CHECK int nmx_tx_ring(struct nmx_port *port, uint32_t index, struct nmx_tx **tx);
void nmx_rx_close(struct nmx_rx *rx);  /* gives frames back; NULL is fine */
void nmx_tx_close(struct nmx_tx *tx);  /* hands over what is committed, cancels an open batch */
void nmx_rx_unbind(struct nmx_rx *rx); /* the next thread that uses it owns it */
void nmx_tx_unbind(struct nmx_tx *tx);

/* Spare buffers of the port's region, for nmx_frame_take() and nmx_tx_put(), out of options.extra_bufs.
 * get returns how many of n it filled in.  Takes a lock: get a working set once, not one per packet.
 * All of them go back by themselves when the port and its rings are closed. */
NMX_MUST_CHECK uint32_t nmx_buf_get(struct nmx_port *port, struct nmx_buf *bufs, uint32_t n);
void nmx_buf_put(struct nmx_port *port, struct nmx_buf *bufs, uint32_t n);

/* Waits for any of n rings; each entry names one ring.  Sets ready in each; returns how many are, 0 when
 * time is up, a signal came, or the worker that waits is asked to stop (<nmx/worker.h>).  A ring that failed
 * is ready: its next sync says why.  The rings must not be in use by other threads meanwhile.
 * Errors: NMX_ERR_BAD_OPTION (an entry names none or two), NMX_ERR_NO_MEMORY (descriptors), NMX_ERR_FORKED. */
struct nmx_wait_entry {
	struct nmx_rx *rx;
	struct nmx_tx *tx;
	uint32_t slots; /* tx: wait for this many; 0: 1 */
	bool ready;
};
NMX_MUST_CHECK int nmx_wait(struct nmx_wait_entry *entries, uint32_t n, int timeout_ms);

/* One pollable descriptor for all receive rings of this port that are checked out (for a program that uses
 * them all in one thread).  Level triggered, readable; otherwise as nmx_rx_pollfd().  It is also ready about
 * once a second while nothing comes, so measure idle time yourself.  -1: none to be had. */
int nmx_port_fd(struct nmx_port *port);

/* Counters since the port was made, those of its dead users included; a snapshot, consistent within each
 * counter. */
struct nmx_stats {
	uint64_t rx_packets, rx_bytes, rx_syncs, tx_packets, tx_bytes, tx_syncs;
	uint64_t drop_full;      /* sent, and the destination had no room; of what goes to several, each copy counts */
	uint64_t drop_too_long;  /* a chain at a port without NMX_CHAINS, or longer than the ring can hold */
	uint64_t drop_too_short; /* empty; switch ports: less than 14 bytes in the first slot */
	uint64_t drop_no_buffer; /* to be received, and the ring was full (interfaces, switch ports): too slow, or too few slots */
	uint64_t drop_invalid;   /* shared memory or a device held nonsense */
	uint64_t drop_kernel;    /* interfaces: the kernel or the device did not take a packet to be sent (longer than the MTU
	                          * of either end, no link), or refused a received one */
	uint64_t drop_unread;    /* received, and neither read nor released when the ring closed or its user died */
	uint64_t resets;
	uint64_t wakeups;        /* system calls made to wake the other end */
	uint64_t sleeps;         /* times that a wait went to sleep */
	/* Bytes that had to be copied between memory regions, or into what a device registered. */
	uint64_t rx_copied_bytes, tx_copied_bytes;
	uint64_t drop_device;    /* counted by the interface itself, since the port was opened */
	uint64_t drop_no_port;   /* switch ports: sent to where it came from, to a number that no port has, or to a port that
	                          * went meanwhile or does not receive */
	uint64_t drop_flood;     /* switch ports: for everybody, and more than flood_pps */
};
void nmx_port_stats_sized(const struct nmx_port *port, struct nmx_stats *stats, size_t size);
static inline void nmx_port_stats(const struct nmx_port *port, struct nmx_stats *stats)
{
	nmx_port_stats_sized(port, stats, sizeof(*stats));
}

/* Variables that close themselves at the end of their block:  NMX_AUTO(port) nm = NULL; */
#define NMX_AUTO(kind) __attribute__((__cleanup__(nmx__auto_##kind))) struct nmx_##kind *
static inline void nmx__auto_port(struct nmx_port **p) { nmx_close(*p); }
static inline void nmx__auto_rx(struct nmx_rx **r) { nmx_rx_close(*r); }
static inline void nmx__auto_tx(struct nmx_tx **t) { nmx_tx_close(*t); }

#ifdef __cplusplus
}
#endif
#if defined(NMX_CHECKED) && !defined(NMX_LIBRARY) /* as <nmx/checked.h> */
#define nmx_tx_close(...) (NMX__HERE(), nmx_tx_close(__VA_ARGS__))
#define nmx_buf_put(...) (NMX__HERE(), nmx_buf_put(__VA_ARGS__))
#define nmx_wait(...) (NMX__HERE(), nmx_wait(__VA_ARGS__))
#endif
#endif
