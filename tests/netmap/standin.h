/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A netmap device for tests, behind the table of system calls: it answers the control requests, keeps rings in memory that
 * is really mapped, and moves head, cur and tail as netmap does, with its checks of what the program wrote.
 *
 * port     as netmap's adapter: an interface that a test made, or a port of a switch or a pipe that an open made
 * kring    what the kernel remembers of a ring
 * memory   a region, in a file: each map() of it is a mapping of its own
 *
 * Packets of an interface, a switch and the host wait in a queue of the kernel's until a sync has room for them; those of a
 * pipe do not move at all.  Descriptors can be polled, as far as somebody else's doing makes them ready; what is more, a test
 * plays the poll that syncs: standin_poll().
 */
#ifndef NMX_TESTS_STANDIN_H
#define NMX_TESTS_STANDIN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "netmap/abi.h"

#define STANDIN_RINGS   16  /* of a port each way, with the host's */
#define STANDIN_QUEUE   256 /* packets that wait for a kring */
#define STANDIN_SLOTS   1024
#define STANDIN_BUF     2048
#define STANDIN_IF_SIZE 1024

struct memory {
	uint16_t id;
	int file;
	uint8_t *start; /* the device's own mapping, or the program's of @extmem */
	size_t bytes;
	uint32_t refs;
	uint32_t if_num, ring_num, ring_size, buf_num, buf_size;
	bool *if_used, *ring_used, *buf_used;
};

struct packet {
	uint16_t len, flags;
	uint8_t data[STANDIN_BUF];
};

struct kring {
	bool is_tx, exclusive;
	uint32_t users, num_slots;
	uint32_t hwcur, hwtail, rtail;
	size_t ofs;           /* in the memory */
	uint64_t offset_mask;
	struct kring *pipe;   /* the other end's */
	uint32_t pipe_tail;
	struct port *port;
	struct packet *queue; /* what a receive ring has not got yet */
	uint32_t queued;
};

enum kind { NIC, SWITCH_PORT, PIPE_END, MONITOR };

struct port {
	char name[64];
	enum kind kind;
	struct memory *memory;
	uint32_t rings[2], host_rings[2], slots[2]; /* [0] receive, [1] transmit */
	struct kring kring[2][STANDIN_RINGS];       /* the host's after the others */
	bool has_rings;        /* they exist: somebody is bound to it */
	uint32_t fds;          /* bound to it */
	struct port *peer;     /* of a pipe, or at the other end of a wire */
	struct port *attached; /* to this switch's port, NIC: see standin_switch.c */
	char bridge[32];       /* "vale0" */
	uint32_t bridge_index;
	bool persistent, refuse; /* refuse: PORT_INFO_GET does, REGISTER does not (a loopback interface) */
	bool gone, down;       /* the interface was removed; it was set down */
	bool broadcast_only;
	uint64_t host_received;
	struct port *next;
};

struct standin {
	pthread_mutex_t lock;
	int open_errno;        /* of open("/dev/netmap"); 0: it can be opened */
	bool not_netmap;       /* every request is ENOTTY */
	uint16_t api;          /* that it speaks */
	uint32_t if_num;       /* of memories that are made from now on; 0: 12, and 100 for interfaces' */
	uint32_t buf_num;      /* the same; 0: 24576 */
	uint32_t extra_most;   /* extra buffers that it grants */
	bool renames;          /* netmap's way with persistent ports that are opened */
	uint32_t opened, closed, tx_syncs, rx_syncs, mapped;
	uint32_t double_frees;
	/* Called with each answer to REGISTER, and the memory as the program will see it: to spoil it. */
	void (*spoil)(struct nmx__nm_register *reg, struct memory *memory, void *arg);
	void *spoil_arg;
	struct port *ports;
};
extern struct standin standin;

/* Puts the stand-in in place, with nothing in it. */
void standin_start(void);
/* Fails the test if something was left: descriptors, mappings, buffers. */
void standin_end(void);
/* Ends without looking: the memory may hold anything. */
void standin_stop(void);

struct port *standin_nic(const char *name, uint32_t rings, uint32_t slots);
void standin_wire(struct port *a, struct port *b);
/* What arrives at a NIC from its wire (or, from the host's stack, at its host ring). */
void standin_arrive(struct port *port, bool from_host, uint32_t ring, const void *data, uint32_t len, uint16_t flags);
void standin_unplug(struct port *port);
struct port *standin_find(const char *name);
struct netmap_ring *standin_ring(struct port *port, bool is_tx, uint32_t ring);

/* As netmap's poll(): syncs what the descriptor is bound to.  Returns the events. */
int standin_poll(int fd, int events);
/* Buffers of a memory that are neither free nor in a ring nor lent. */
uint32_t standin_lost(const struct memory *memory);
struct memory *standin_global(void);

/* ---- between the files of the stand-in, under its lock */

struct handle { /* a descriptor */
	int fd;
	struct port *port; /* NULL: not bound */
	size_t if_ofs;
	uint32_t first[2], end[2];
	uint64_t flags;
	struct handle *next;
};
extern struct handle *standin_handles;

struct memory *standin_memory_make(uint32_t buf_num, uint32_t if_num, uint32_t ring_num, uint32_t ring_size, uint8_t *given, size_t given_bytes);
struct memory *standin_memory_find(uint16_t id);
void standin_memory_put(struct memory *memory);
int standin_take(bool *used, uint32_t first, uint32_t count); /* a free one, or -1 */
void standin_free_buf(struct memory *memory, uint32_t index);

int standin_make_rings(struct port *port);
void standin_drop_rings(struct port *port);
struct port *standin_port(const char *name, const struct nmx__nm_register *reg, int *err);
void standin_forget(struct port *port);

void standin_sync(struct kring *k);
void standin_deliver(struct kring *to, const void *data, uint32_t len, uint16_t flags);
/* Makes the descriptors of a ring ready, or not. */
void standin_ready(const struct kring *k, bool ready);
void standin_show(const struct kring *k); /* by what the ring says */

void standin_switch_start(void);
int standin_switch_request(const struct nmx__nm_header *header);
void standin_switch_send(struct port *from, const void *data, uint32_t len, uint32_t ring, uint16_t flags);

#endif
