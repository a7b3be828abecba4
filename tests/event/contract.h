/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What <nmx/event.h> promises, as tests over every loop and every place where packets come from. */
#ifndef NMX_TESTS_CONTRACT_H
#define NMX_TESTS_CONTRACT_H

#include "loops.h"

struct place {
	const char *label;
	/* What is sent on one end comes out at the other.  number: of several links at once; those after the first may be
	 * refused: false. */
	bool (*link)(struct link *link, unsigned number, const struct nmx_options *options);
	const char *sender, *receiver; /* names for two processes; NULL: the port is all in one */
};

/* Links of places: between two ports, the ends of a pipe. */
bool rig_link(struct link *link, const char *from, const char *to, const struct nmx_options *options);
bool rig_link_pipe(struct link *link, unsigned number, const struct nmx_options *options);

/* A test's state: one loop, one place. */
struct scene {
	const struct loop_kind *kind;
	const struct place *place;
};

struct contract_case {
	const char *name;
	void (*test)(void **state);
};
/* Each ends with a name of NULL. */
extern const struct contract_case contract_single[], contract_life[], contract_rest[]; /* few packets at a time: anywhere */
extern const struct contract_case contract_traffic[], contract_full[]; /* where a full ring holds up its sender */
extern const struct contract_case contract_taken[];   /* ... until its receiver has taken what was sent */
extern const struct contract_case contract_load[];    /* ... or a thousand packets at once are not lost */
extern const struct contract_case contract_amount[];  /* where a sleep for so many slots ends when there are so many */
extern const struct contract_case contract_peers[];   /* the other end may be another process: a pipe */
extern const struct contract_case contract_members[]; /* ... and comes and goes unsaid: a switch */

/* Runs the cases over the loops that this build has, at that place; what main() returns. */
int contract_run(const struct contract_case *cases, const struct place *places, unsigned num_places);

/* A loop with a receiver and a sender on one link, and what they have seen. */
struct rig {
	const struct loop_kind *kind;
	void *loop, *receiver, *sender;
	struct link link;
	uint64_t sent, received, to_send;
	uint32_t random, slots, take_most; /* take_most: frames a callback; 0: all */
	unsigned calls, errors, rooms, closed;
	int err; /* the last one of either */
	bool done;
	struct nmx_buf kept;
};
enum { RIG_LEN = 64 };

/* Skips the test where this kind of loop is not to be had; false: the place has no such link, and there is no rig. */
bool rig_open(struct rig *rig, const struct scene *scene, unsigned number, const struct nmx_options *options);
void rig_close(struct rig *rig); /* what is still open in it, and the loop */
/* The same on a loop that somebody else has. */
bool rig_join(struct rig *rig, const struct rig *other, const struct scene *scene, unsigned number, const struct nmx_options *options);
void rig_leave(struct rig *rig);

/* A frame of RIG_LEN with this number, to an address that nobody has. */
void rig_write(uint8_t *data, uint64_t id);
void rig_check(const uint8_t *data, uint64_t id);
void rig_put(struct nmx_tx *tx, uint64_t first, uint32_t count); /* and syncs.  There must be room */

void rig_on_packets(struct nmx_rx *rx, int err, void *arg); /* checks, counts; done when all has come */
void rig_on_room(struct nmx_tx *tx, int err, void *arg);    /* sends up to to_send in batches of changing sizes */
void rig_receive(struct rig *rig, nmx_on_packets *fn);
void rig_send(struct rig *rig, nmx_on_room *fn);
void rig_run(struct rig *rig, const bool *done);

#endif
