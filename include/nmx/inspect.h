/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nmx/inspect.h: what this machine offers, and what there is in a namespace directory.  For tools such as
 * `nmx doctor`; a program that moves packets needs nothing of it.
 *
 * Any thread.  directory and segment are as in struct nmx_options: NULL for the default.  Texts are for people.
 */
#ifndef NMX_INSPECT_H
#define NMX_INSPECT_H

#include <nmx/nmx.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether ports of a backend can be opened here: 0, or NMX_ERR_UNSUPPORTED_PLATFORM, and why not in the report.
 * NMX_PIPE and NMX_SWITCH also look at the directory: errors as nmx_open(). */
NMX_MUST_CHECK int nmx_backend_probe(enum nmx_backend backend, const char *directory, struct nmx_report *report);

/* What a name means and whether it could be opened now, without opening it: 0 or what nmx_open() would return, and a
 * sentence in both cases. */
NMX_MUST_CHECK int nmx_name_explain(const char *name, const struct nmx_options *options, struct nmx_report *report);

struct nmx_segment_info {
	char name[32];
	int err;              /* 0, or why it cannot be looked at: NMX_ERR_CORRUPT, ... */
	char problem[256];    /* that, as a sentence */
	uint32_t members;     /* processes in it that are alive */
	uint32_t dead;        /* that died and have not been recovered yet, or not of the buffers that the kernel held */
	uint32_t pipes;
	uint32_t bufs, free_bufs;
	uint64_t bytes;       /* that it takes of the file system now */
	uint32_t switches, switch_ports; /* also those that stay, and nobody has */
};

/* Calls fn for each segment of the directory until it returns non-zero.  Returns that, or 0, or an error.
 * path, if not NULL, gets the directory's name (256 bytes are enough). */
NMX_MUST_CHECK int nmx_segment_list(const char *directory, char *path, size_t path_size,
                                    int (*fn)(const struct nmx_segment_info *info, void *arg), void *arg,
                                    struct nmx_report *report);

struct nmx_pipe_info {
	char name[64];           /* "x{1" */
	uint32_t rings[2];       /* that x{1 and x}1 send on */
	uint32_t slots[2];
	uint64_t queued[2];      /* packets (slots) on their way from x{1, from x}1 */
	char user[2][96];        /* "nmx (process 12)", or "" */
	struct nmx_stats gone[2]; /* counters of users of either end that are gone */
};

/* The same for the pipes of a segment. */
NMX_MUST_CHECK int nmx_pipe_list(const char *directory, const char *segment,
                                 int (*fn)(const struct nmx_pipe_info *info, void *arg), void *arg,
                                 struct nmx_report *report);

/* Gives back what dead processes left in a segment, and removes it when nobody is in it.  Returns how many dead were
 * found; *removed (may be NULL) says whether the segment's files are gone.
 * Errors: NMX_ERR_NO_SUCH, NMX_ERR_BUSY, NMX_ERR_CORRUPT, NMX_ERR_NO_MEMORY. */
NMX_MUST_CHECK int nmx_segment_clean(const char *directory, const char *segment, bool *removed, struct nmx_report *report);

/* Where every buffer is.  Exact only while nobody moves packets: what moves meanwhile may look lost or doubled. */
struct nmx_audit {
	uint32_t bufs;    /* that there are, without the two that are reserved */
	uint32_t free;
	uint32_t queued;  /* in the queues of pipes */
	uint32_t held;    /* by members: rings and spares */
	uint32_t lost;    /* marked as used, and nobody has them */
	uint32_t doubled; /* that more than one has, or that are had and marked as free */
	uint32_t quarantined; /* that the kernel held for a process that died, until it has certainly let go: two seconds */
};
NMX_MUST_CHECK int nmx_segment_audit(const char *directory, const char *segment, struct nmx_audit *audit,
                                     struct nmx_report *report);

/* ---- interfaces */

enum nmx_feature { NMX_FEATURE_UNKNOWN, NMX_FEATURE_OFF, NMX_FEATURE_ON };
enum nmx_xdp { NMX_XDP_NONE, NMX_XDP_NATIVE, NMX_XDP_GENERIC, NMX_XDP_DEVICE, NMX_XDP_SEVERAL };

/* An interface, as a port of a name would find it.  Queue counts of 0 mean that the driver does not say, which is mostly
 * one queue. */
struct nmx_interface_info {
	char name[16];            /* of the interface */
	char kind[16];            /* of a virtual one: "veth", "tun"; "" */
	char driver[32], bus[32]; /* "" where the kernel does not say */
	int32_t ifindex;
	int32_t numa_node;        /* that the device is next to; -1: none */
	uint32_t mtu;
	bool up, running;         /* as its administrator has set it; and there is a link */
	/* Queues, and which of them the port's name asks for. */
	bool wants_nic, wants_host;
	uint32_t rx_queues, tx_queues;
	uint32_t rss_queues;      /* what is received is spread over queues 0 to this - 1 */
	uint32_t first_queue, num_queues; /* that the port would receive from */
	/* XDP.  What the driver can is told from Linux 6.3 on; that it can does not say that it will, see gro_hw. */
	uint32_t native, zero_copy, long_packets; /* enum nmx_feature */
	uint32_t attached;        /* enum nmx_xdp: a program that is there now */
	uint32_t prog_id;
	char prog_name[16];       /* "" where that is not ours to know */
	bool prog_is_ours;        /* of a port of nmx, which other queues can join */
	char queue_user[96];      /* who has the first of the queues that is in use, "nmx (process 12)"; "" */
	char host_user[128];      /* who has the host rings; "" */
	/* What the device does with packets before we see them; and what it does for the host, which somebody else has to
	 * where host rings take the packets.  enum nmx_feature */
	uint32_t rx_vlan, gro_hw, lro;
	uint32_t rx_checksum, tx_checksum, tso;
	/* This process. */
	uint64_t memlock, memlock_needed; /* bytes; UINT64_MAX: no limit */
	struct nmx_report rights; /* err is 0, or NMX_ERR_PERMISSION, and the text says which are lacking and what gives them */
	uint32_t backend;         /* enum nmx_backend: by which a port of the name would be; rights, users and memory are said of AF_XDP */
	int32_t peer_ifindex;     /* of a veth pair: the other end, where it is in this network namespace; 0 */
};

/* Looks at the interface that a port's name ("eth0", "xdp:eth0-2", "eth0^") is about.  Changes and opens nothing.
 * Errors: NMX_ERR_BAD_NAME, NMX_ERR_FALLBACK_UNSUPPORTED (the name of another kind of port), NMX_ERR_NO_SUCH, NMX_ERR_IO. */
NMX_MUST_CHECK int nmx_interface_inspect(const char *name, struct nmx_interface_info *info, struct nmx_report *report);

/* ---- the netmap device */

struct nmx_netmap_info {
	bool is_here;     /* there is /dev/netmap */
	uint32_t api;     /* that it speaks; 0: none that this library knows, or it may not be opened */
	char version[64]; /* of the module, or of its sources; "" where the kernel does not say */
	uint64_t memory;  /* bytes for the rings and buffers of all interfaces */
};

/* Looks at the device.  0: ports of it can be opened; in every case *info says what is known.
 * Errors: NMX_ERR_UNSUPPORTED_PLATFORM, NMX_ERR_PERMISSION, NMX_ERR_NO_MEMORY, NMX_ERR_IO. */
NMX_MUST_CHECK int nmx_netmap_inspect(struct nmx_netmap_info *info, struct nmx_report *report);

#ifdef __cplusplus
}
#endif
#endif
