/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a switch must do, and nothing of how it does it: where each packet goes, for what there is room, what waits, what a
 * receiver is shown, what is counted.  It knows numbers of slots and hosts, no data, and calls nothing of the library.
 *
 *   sent -> queue of each receiver -> its ring
 *
 * Ports have one ring each way.
 */
#ifndef NMX_TESTS_SWITCH_MODEL_H
#define NMX_TESTS_SWITCH_MODEL_H

#include <nmx/nmx.h>

enum { MODEL_PORTS = 7, MODEL_SLOTS = 256, MODEL_HOSTS = 256 };
/* Hosts that are no hosts: addresses of groups. */
enum { GROUP = 0xfe, EVERYBODY = 0xff };

/* What one slot carries. */
struct unit {
	uint32_t id, len;
	uint8_t dst, src; /* hosts */
	bool first, more; /* of its packet; the packet goes on in the next one */
};

struct units {
	struct unit at[2 * MODEL_SLOTS];
	uint32_t head, tail;
};

struct sent {
	struct unit unit;
	uint32_t flags; /* NS_*, but for NS_MOREFRAG */
	bool no_data;   /* NS_INDIRECT, and nowhere */
	bool done;      /* went, or was dropped, while something before it waits */
};

struct model_port {
	bool open, blocking, chains, deaf; /* deaf: only sends */
	uint32_t number, tx_slots, rx_slots;
	struct sent sent[MODEL_SLOTS];     /* from the first on that waits, and since the last sync */
	uint32_t num_sent;
	struct units queue, ring;
	uint32_t seen;                     /* of the queue, by its receiver */
	struct nmx_stats stats;
};

struct model {
	struct model_port port[MODEL_PORTS];
	uint8_t port_of[MODEL_HOSTS]; /* 1 more than the index of the port where it was last seen; 0: not known */
};

/* A port comes: all of it is as in `shape`. */
void model_open(struct model *m, uint32_t index, const struct model_port *shape);
/* Its transmit ring has been closed before, which is a sync.  What waited is tried once more, and cannot wait. */
void model_close(struct model *m, uint32_t index);

/* Slots that can be sent. */
uint32_t model_space(const struct model_port *port);
void model_put(struct model_port *port, const struct sent *sent);
void model_tx_sync(struct model *m, uint32_t index);

/* Slots that are shown. */
uint32_t model_waiting(const struct model_port *port);
/* The first of them, which is given back by the next sync. */
struct unit model_take(struct model_port *port);
void model_rx_sync(struct model_port *port);

#endif
