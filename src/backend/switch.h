/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the parts of the switch backend share: switch.c opens and closes, switch_tx.c sorts what is sent by destination,
 * switch_visit.c brings it there, switch_wait.c sleeps, switch_list.c shows and makes. */
#ifndef NMX_BACKEND_SWITCH_H
#define NMX_BACKEND_SWITCH_H

#include "core/port.h"
#include "shm/extent.h"
#include "shm/switch.h"

#define NMX__SWITCH_BELLS 16u /* of receivers, that a sending ring keeps open */

/* Packets of a sync, in order, by place: slots from hwcur on. */
struct switch_list {
	uint16_t first, last;
	uint16_t run;   /* where the run of `last` begins; NO_PLACE: it is in none */
	uint16_t slots; /* of all its packets */
};
enum { NO_PLACE = 0xffff };

enum switch_destination { NOWHERE = 0, EVERYWHERE = 255 }; /* else: the number of a port */

/* What a transmit ring has beside its slots. */
struct switch_tx {
	uint16_t *order;  /* in the own file: slots of the delivery in flight, and of those before it in this sync */
	uint32_t ordered; /* of it, used by this sync */
	uint16_t *next;   /* [slots], by place of a packet: that of the next one to the same port */
	uint16_t *run;    /* [slots], by place of a packet where a run begins: how many of one slot each, to the same port, follow
	                   * each other from here on; 1 at least */
	uint8_t *frags;   /* [slots], by place of a packet: its slots, and FRAGS_COPY */
	uint64_t *flood;  /* [slots], by place of a packet for all: its slot's first 8 bytes, bounded; 0: not of one slot */
	struct switch_list to[256]; /* by port; to[EVERYWHERE]: floods */
	uint8_t touched[256];
	uint32_t num_touched;
	/* Blocking: what found no room waits.  What is behind it and has gone is done. */
	bool *held;       /* [slots], by place */
	bool *done;       /* [slots], by slot */
	uint32_t num_held, first_held;
	uint16_t held_for[256]; /* slots, by port */
	uint8_t first_frags[256]; /* by port: slots of the first packet that waits for it */
	struct nmx__way way[256];
	struct nmx__bell bell[NMX__SWITCH_BELLS];
	uint64_t bell_word[NMX__SWITCH_BELLS]; /* of the port that it is for */
	struct nmx__fdb_seen found, learnt; /* of the destination and the source that came last */
	uint32_t visited;  /* the port that was visited last */
	int watch;        /* tells of the end of the process whose port is waited for, the first if there are several; -1 */
	uint32_t watched; /* that member */
	uint32_t patience; /* left of this sync, for locks that others have */
	uint32_t head;    /* of the last sync: what the user has committed since is not ours yet */
	uint32_t flood_pps;      /* that may go to everybody; 0: any number */
	uint64_t flood_allowed;  /* thousandths of packets, at flood_ms */
	int64_t flood_ms;
};
enum { FRAGS_COPY = 0x80 }; /* its data are not in its slots' buffers */

struct switch_ring {
	struct nmx__ring ring;
	struct nmx__qend end;
	struct switch_tx *tx;   /* NULL: receive */
	struct nmx__lane *lane; /* the port's own, of this number */
	int64_t looked_ms;      /* at the segment's name */
	bool stranded;          /* nobody can come any more */
};

struct switch_port {
	struct nmx__segment *seg;
	struct nmx__record *home, *record;
	struct nmx__switch *sw;
	struct nmx__fdb fdb;
	struct nmx__record_geometry geometry;
	uint32_t number, attach_gen;
	bool blocking;
	struct nmx__extent extent;
};

static inline struct switch_ring *switch_ring(struct nmx__ring *ring) { return (struct switch_ring *)ring; }
static inline struct switch_port *switch_of(const struct switch_ring *r) { return r->ring.port->state; }

/* Slot of a place. */
static inline uint32_t switch_slot(const struct nmx__qend *e, uint32_t place)
{
	uint32_t slot = e->hwcur + place;

	return slot < e->num_slots ? slot : slot - e->num_slots;
}

/* Hands over what is between hwcur and head, and brings tail up to date.  0, or NMX_ERR_RESET: nothing was handed over. */
NMX_MUST_CHECK int nmx__switch_send(struct switch_ring *r, uint32_t head);
/* Brings to a port what is for it: its own list, and with it, in their order, the floods, or copies of them. */
enum switch_floods { NO_FLOODS, COPY_FLOODS, MOVE_FLOODS };
void nmx__switch_visit(struct switch_ring *r, uint32_t port, enum switch_floods floods);
/* So many packets are to be sorted, most likely for the port that was visited last. */
void nmx__switch_expect(const struct switch_ring *r, uint32_t count);
/* If the owner of a port that has no room is dead, its recovery frees the port. */
void nmx__switch_look_at_owner(struct switch_ring *r, struct nmx__way *way);

/* Operations of the backend (struct nmx__backend). */
int nmx__switch_sync(struct nmx__ring *ring);
int nmx__switch_arm(struct nmx__ring *ring, uint32_t slots);
void nmx__switch_disarm(struct nmx__ring *ring);
int nmx__switch_poll_fds(struct nmx__ring *ring, struct pollfd fds[NMX__WAIT_FDS]);
void nmx__switch_release(struct nmx__ring *ring);

/* Rings and slots that are asked for; 0: the default. */
NMX_MUST_CHECK int nmx__switch_check_shape(uint32_t tx_rings, uint32_t rx_rings, uint32_t tx_slots, uint32_t rx_slots,
                                           struct nmx_report *why);
struct nmx__port_plan nmx__switch_plan(const char *name, uint32_t tx_rings, uint32_t rx_rings, uint32_t tx_slots, uint32_t rx_slots);
extern const struct nmx__switch_ops nmx__switch_ops;

#endif
