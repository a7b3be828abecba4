/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Where addresses are: the forwarding table of a switch.  One atomic word an address, no lock; a look-up reads one cache
 * line.
 *
 * An address has 48 bits, a port 8, and a time must not come round unnoticed: more than 64.  So the address is first
 * scrambled by a function that can be undone (multiplications by odd numbers and shifts, modulo 2^48).  The first 10 bits
 * of that are the number of the bucket, and need not be written into it; the other 38 are.  Two addresses never look alike:
 * nothing goes to a wrong port because of a collision.
 *
 *   38 bits  the rest of the scrambled address
 *    8 bits  port; 0: the word is free
 *   18 bits  second when the address was last seen, modulo three days.  Who sends cleans a bucket each second, and all of
 *            the table after a long silence: no word gets so old that it looks young again
 *
 * All words are anybody's to write: what is read is a port number, and bounded as such by who uses it.
 */
#ifndef NMX_SHM_FDB_H
#define NMX_SHM_FDB_H

#include "shm/layout.h"

#define NMX__FDB_AGEING_S     300u
#define NMX__FDB_AGEING_MAX_S 86400u

struct nmx__fdb {
	struct nmx__switch *sw;
	uint64_t key; /* of the scrambling: the segment's, so that who does not know it cannot aim at a bucket */
};

/* The address at the start of a header, or 6 bytes on. */
#define NMX__MAC_MASK 0xffffffffffffull
/* mac: its bytes in the order of memory, lowest first. */
static inline bool nmx__mac_is_group(uint64_t mac) { return mac & 1; }

/* What was found for an address, or learnt of it, and in which word.  While that says the same, in the same second, there is
 * nothing new to find or to learn. */
struct nmx__fdb_seen {
	const _Atomic uint64_t *word; /* NULL: nothing */
	uint64_t value, mac;
	uint32_t port, now;
};
static inline bool nmx__fdb_unchanged(const struct nmx__fdb_seen *seen, uint64_t mac, uint32_t now)
{
	return seen->mac == mac && seen->now == now && seen->word && atomic_load_explicit(seen->word, memory_order_relaxed) == seen->value;
}

/* How many seconds an address is known that is not seen again: the switch's word, or the default where that is nonsense. */
uint32_t nmx__fdb_ageing(const struct nmx__fdb *fdb);
/* The port (1 to 254) where mac was seen last, less than the ageing time before second `now`; 0: not known.  *seen, if not
 * NULL, is for nmx__fdb_unchanged(). */
uint32_t nmx__fdb_find(const struct nmx__fdb *fdb, uint64_t mac, uint32_t now, struct nmx__fdb_seen *seen);
/* mac is at `port`, since now, and nowhere else.  A full bucket forgets the address that was not seen for longest. */
void nmx__fdb_learn(const struct nmx__fdb *fdb, uint64_t mac, uint32_t port, uint32_t now, struct nmx__fdb_seen *seen);
/* To be called by whoever sends: once a second it cleans a part of the table. */
void nmx__fdb_tick(const struct nmx__fdb *fdb, uint32_t now);
/* Forgets all that is at the port. */
void nmx__fdb_forget(const struct nmx__fdb *fdb, uint32_t port);

/* Calls fn for each address that is known, until it returns non-zero; returns that, or 0. */
int nmx__fdb_each(const struct nmx__fdb *fdb, uint32_t now, int (*fn)(uint64_t mac, uint32_t port, uint32_t age_s, void *arg),
                  void *arg);

#endif
