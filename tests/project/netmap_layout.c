/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Ours against netmap's own headers, where they are: every offset, size and constant.  Compiled only; a difference is an
 * error of the build.  Ours first, under other names, for <nmx/netmap_abi.h> leaves everything to netmap's if that is there.
 */
#include <stddef.h>
#include <stdint.h>

#define netmap_slot nmx_netmap_slot
#define netmap_ring nmx_netmap_ring
#include <nmx/netmap_abi.h>
#undef netmap_slot
#undef netmap_ring

/* What ours says, before the names are netmap's. */
enum {
	OURS_NS_BUF_CHANGED = NS_BUF_CHANGED,
	OURS_NS_MOREFRAG = NS_MOREFRAG,
	OURS_NETMAP_MAX_FRAGS = NETMAP_MAX_FRAGS,
};
#undef NS_BUF_CHANGED
#undef NS_MOREFRAG
#undef NETMAP_MAX_FRAGS

#include <net/if.h>
#include <net/netmap.h>

_Static_assert(NETMAP_API == 14, "another API than 14: what follows may have to be looked at again");

#define SAME_VALUE(name) _Static_assert((uint64_t)OURS_##name == (uint64_t)name, #name " is another in <net/netmap.h>")
#define SAME_SIZE(type)  _Static_assert(sizeof(struct nmx_##type) == sizeof(struct type), "struct " #type " has another size in <net/netmap.h>")
#define SAME_PLACE(type, field)                                                                                        \
	_Static_assert(offsetof(struct nmx_##type, field) == offsetof(struct type, field),                              \
	               #type "." #field " is at another offset in <net/netmap.h>")
#define SAME_FIELD(type, field)                                                                                        \
	SAME_PLACE(type, field);                                                                                        \
	_Static_assert(sizeof(((struct nmx_##type *)0)->field) == sizeof(((struct type *)0)->field),                    \
	               #type "." #field " has another size in <net/netmap.h>")

SAME_VALUE(NS_BUF_CHANGED);
SAME_VALUE(NS_MOREFRAG);
SAME_VALUE(NETMAP_MAX_FRAGS);

SAME_SIZE(netmap_slot);
SAME_FIELD(netmap_slot, buf_idx);
SAME_FIELD(netmap_slot, len);
SAME_FIELD(netmap_slot, flags);
SAME_FIELD(netmap_slot, ptr);

SAME_SIZE(netmap_ring);
SAME_FIELD(netmap_ring, buf_ofs);
SAME_FIELD(netmap_ring, num_slots);
SAME_FIELD(netmap_ring, nr_buf_size);
SAME_FIELD(netmap_ring, ringid);
SAME_FIELD(netmap_ring, dir);
SAME_FIELD(netmap_ring, head);
SAME_FIELD(netmap_ring, cur);
SAME_FIELD(netmap_ring, tail);
SAME_FIELD(netmap_ring, flags);
SAME_FIELD(netmap_ring, ts);
SAME_FIELD(netmap_ring, offset_mask);
SAME_FIELD(netmap_ring, buf_align);
SAME_FIELD(netmap_ring, sem);
SAME_PLACE(netmap_ring, slot);
