/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* nmx/netmap_abi.h: netmap's ring layout, API 14, in our own words.  A program that also wants
 * <net/netmap_user.h> includes that one first; its definitions are then used. */
#ifndef NMX_NETMAP_ABI_H
#define NMX_NETMAP_ABI_H

#include <stddef.h>
#include <stdint.h>
#include <sys/time.h>

#ifndef _NET_NETMAP_H_

/* One place of a ring.  The owner of the slot (see netmap_ring) writes all of it. */
struct netmap_slot {
	uint32_t buf_idx; /* which buffer; 0 is none */
	uint16_t len;     /* bytes of this fragment, never of the whole packet */
	uint16_t flags;   /* NS_* */
	uint64_t ptr;     /* of NS_INDIRECT */
};
#define NS_BUF_CHANGED 0x0001 /* buf_idx was exchanged by the user */
#define NS_NO_LEARN    0x0008 /* switch ports, transmit: its source address says nothing */
#define NS_INDIRECT    0x0010 /* switch ports, transmit: the data are at ptr, in the program's memory */
#define NS_MOREFRAG    0x0020 /* the packet goes on in the next slot */
#define NS_PORT_SHIFT  8
#define NS_PORT_MASK   (0xff << NS_PORT_SHIFT) /* switch ports, transmit: not 0: to the port of this number */
#define NETMAP_MAX_FRAGS 64   /* slots of one packet */

/* [head, tail) belongs to the user of the ring, the rest to the backend.  head and cur are written by
 * the user, everything else by the backend; tail is never written by the user. */
struct netmap_ring {
	int64_t buf_ofs;      /* from this struct to buffer 0 */
	uint32_t num_slots;   /* any number from 2 up: never a mask */
	uint32_t nr_buf_size; /* bytes from one buffer to the next */
	uint16_t ringid;
	uint16_t dir;
	uint32_t head;  /* first slot that belongs to the user */
	uint32_t cur;   /* receive: next slot to look at; transmit: next slot to fill */
	uint32_t tail;  /* first slot after head that belongs to the backend */
	uint32_t flags;
	struct timeval ts;
	uint64_t offset_mask;
	uint64_t buf_align;
	uint8_t sem[128] __attribute__((__aligned__(128)));
#if defined(__cplusplus) && defined(__clang__) /* an extension that __extension__ does not cover there */
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wc99-extensions"
#endif
	__extension__ struct netmap_slot slot[]; /* num_slots of them */
#if defined(__cplusplus) && defined(__clang__)
#pragma clang diagnostic pop
#endif
};

#endif

#ifdef __cplusplus
#define NMX__STATIC_ASSERT static_assert
#else
#define NMX__STATIC_ASSERT _Static_assert
#endif
NMX__STATIC_ASSERT(sizeof(struct netmap_slot) == 16, "netmap_slot is 16 bytes");
NMX__STATIC_ASSERT(offsetof(struct netmap_slot, len) == 4, "netmap_slot layout, API 14");
NMX__STATIC_ASSERT(offsetof(struct netmap_slot, flags) == 6, "netmap_slot layout, API 14");
NMX__STATIC_ASSERT(offsetof(struct netmap_slot, ptr) == 8, "netmap_slot layout, API 14");
NMX__STATIC_ASSERT(offsetof(struct netmap_ring, num_slots) == 8, "netmap_ring layout, API 14");
NMX__STATIC_ASSERT(offsetof(struct netmap_ring, head) == 20, "netmap_ring layout, API 14");
NMX__STATIC_ASSERT(offsetof(struct netmap_ring, cur) == 24, "netmap_ring layout, API 14");
NMX__STATIC_ASSERT(offsetof(struct netmap_ring, tail) == 28, "netmap_ring layout, API 14");
NMX__STATIC_ASSERT(offsetof(struct netmap_ring, slot) == 256, "netmap_ring layout, API 14");

#endif
