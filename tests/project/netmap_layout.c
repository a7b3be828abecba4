/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Ours against netmap's own headers, where they are: every offset, size, constant and request code.  Compiled only; a
 * difference is an error of the build.  Ours first, the rings under other names, for <nmx/netmap_abi.h> leaves everything
 * to netmap's if that is there.
 */
#include <stddef.h>
#include <stdint.h>

#define netmap_slot nmx__nm_slot
#define netmap_ring nmx__nm_ring
#include "netmap/abi.h"
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

#define SAME_VALUE(ours, theirs) _Static_assert((uint64_t)(ours) == (uint64_t)(theirs), #ours " is not " #theirs)
#define SAME_SIZE(ours, theirs)  _Static_assert(sizeof(struct ours) == sizeof(struct theirs), #ours " has another size than " #theirs)
#define SAME_PLACE(ours, field, theirs, their_field)                                                                    \
	_Static_assert(offsetof(struct ours, field) == offsetof(struct theirs, their_field),                             \
	               #ours "." #field " is elsewhere than " #theirs "." #their_field)
#define SAME(ours, field, theirs, their_field)                                                                          \
	SAME_PLACE(ours, field, theirs, their_field);                                                                    \
	_Static_assert(sizeof(((struct ours *)0)->field) == sizeof(((struct theirs *)0)->their_field),                   \
	               #ours "." #field " has another size than " #theirs "." #their_field)

/* ---- rings */

SAME_VALUE(OURS_NS_BUF_CHANGED, NS_BUF_CHANGED);
SAME_VALUE(OURS_NS_MOREFRAG, NS_MOREFRAG);
SAME_VALUE(OURS_NETMAP_MAX_FRAGS, NETMAP_MAX_FRAGS);

SAME_SIZE(nmx__nm_slot, netmap_slot);
SAME(nmx__nm_slot, buf_idx, netmap_slot, buf_idx);
SAME(nmx__nm_slot, len, netmap_slot, len);
SAME(nmx__nm_slot, flags, netmap_slot, flags);
SAME(nmx__nm_slot, ptr, netmap_slot, ptr);

SAME_SIZE(nmx__nm_ring, netmap_ring);
SAME(nmx__nm_ring, buf_ofs, netmap_ring, buf_ofs);
SAME(nmx__nm_ring, num_slots, netmap_ring, num_slots);
SAME(nmx__nm_ring, nr_buf_size, netmap_ring, nr_buf_size);
SAME(nmx__nm_ring, ringid, netmap_ring, ringid);
SAME(nmx__nm_ring, dir, netmap_ring, dir);
SAME(nmx__nm_ring, head, netmap_ring, head);
SAME(nmx__nm_ring, cur, netmap_ring, cur);
SAME(nmx__nm_ring, tail, netmap_ring, tail);
SAME(nmx__nm_ring, flags, netmap_ring, flags);
SAME(nmx__nm_ring, ts, netmap_ring, ts);
SAME(nmx__nm_ring, offset_mask, netmap_ring, offset_mask);
SAME(nmx__nm_ring, buf_align, netmap_ring, buf_align);
SAME(nmx__nm_ring, sem, netmap_ring, sem);
SAME_PLACE(nmx__nm_ring, slot, netmap_ring, slot);

SAME_SIZE(nmx__nm_if, netmap_if);
SAME(nmx__nm_if, name, netmap_if, ni_name);
SAME(nmx__nm_if, version, netmap_if, ni_version);
SAME(nmx__nm_if, flags, netmap_if, ni_flags);
SAME(nmx__nm_if, tx_rings, netmap_if, ni_tx_rings);
SAME(nmx__nm_if, rx_rings, netmap_if, ni_rx_rings);
SAME(nmx__nm_if, bufs_head, netmap_if, ni_bufs_head);
SAME(nmx__nm_if, host_tx_rings, netmap_if, ni_host_tx_rings);
SAME(nmx__nm_if, host_rx_rings, netmap_if, ni_host_rx_rings);
SAME(nmx__nm_if, spare, netmap_if, ni_spare1);
SAME_PLACE(nmx__nm_if, ring_ofs, netmap_if, ring_ofs);
_Static_assert(sizeof(((struct nmx__nm_if *)0)->ring_ofs[0]) == sizeof(((struct netmap_if *)0)->ring_ofs[0]), "offsets of rings");

/* ---- requests */

SAME_VALUE(NMX__NM_API, NETMAP_API);
SAME_VALUE(NMX__NM_NAME_SIZE, NETMAP_REQ_IFNAMSIZ);
SAME_VALUE(NMX__NM_IF_NAME, IFNAMSIZ);
SAME_VALUE(NMX__NM_CTRL, NIOCCTRL);
SAME_VALUE(NMX__NM_TXSYNC, NIOCTXSYNC);
SAME_VALUE(NMX__NM_RXSYNC, NIOCRXSYNC);

SAME_VALUE(NMX__NM_REGISTER, NETMAP_REQ_REGISTER);
SAME_VALUE(NMX__NM_PORT_INFO_GET, NETMAP_REQ_PORT_INFO_GET);
SAME_VALUE(NMX__NM_VALE_ATTACH, NETMAP_REQ_VALE_ATTACH);
SAME_VALUE(NMX__NM_VALE_DETACH, NETMAP_REQ_VALE_DETACH);
SAME_VALUE(NMX__NM_VALE_LIST, NETMAP_REQ_VALE_LIST);
SAME_VALUE(NMX__NM_VALE_NEWIF, NETMAP_REQ_VALE_NEWIF);
SAME_VALUE(NMX__NM_VALE_DELIF, NETMAP_REQ_VALE_DELIF);
SAME_VALUE(NMX__NM_POOLS_INFO_GET, NETMAP_REQ_POOLS_INFO_GET);
SAME_VALUE(NMX__NM_OPT_EXTMEM, NETMAP_REQ_OPT_EXTMEM);
SAME_VALUE(NMX__NM_OPT_OFFSETS, NETMAP_REQ_OPT_OFFSETS);

SAME_VALUE(NMX__NM_ALL_NIC, NR_REG_ALL_NIC);
SAME_VALUE(NMX__NM_HOST, NR_REG_SW);
SAME_VALUE(NMX__NM_NIC_HOST, NR_REG_NIC_SW);
SAME_VALUE(NMX__NM_ONE_NIC, NR_REG_ONE_NIC);
SAME_VALUE(NMX__NM_ONE_HOST, NR_REG_ONE_SW);

SAME_VALUE(NMX__NM_MONITOR_TX, NR_MONITOR_TX);
SAME_VALUE(NMX__NM_MONITOR_RX, NR_MONITOR_RX);
SAME_VALUE(NMX__NM_ZCOPY_MON, NR_ZCOPY_MON);
SAME_VALUE(NMX__NM_EXCLUSIVE, NR_EXCLUSIVE);
SAME_VALUE(NMX__NM_RX_ONLY, NR_RX_RINGS_ONLY);
SAME_VALUE(NMX__NM_TX_ONLY, NR_TX_RINGS_ONLY);
SAME_VALUE(NMX__NM_NO_TX_POLL, NR_NO_TX_POLL);

/* ---- their structs */

SAME_SIZE(nmx__nm_option, nmreq_option);
SAME(nmx__nm_option, next, nmreq_option, nro_next);
SAME(nmx__nm_option, type, nmreq_option, nro_reqtype);
SAME(nmx__nm_option, status, nmreq_option, nro_status);
SAME(nmx__nm_option, size, nmreq_option, nro_size);

SAME_SIZE(nmx__nm_header, nmreq_header);
SAME(nmx__nm_header, version, nmreq_header, nr_version);
SAME(nmx__nm_header, type, nmreq_header, nr_reqtype);
SAME(nmx__nm_header, reserved, nmreq_header, nr_reserved);
SAME(nmx__nm_header, name, nmreq_header, nr_name);
SAME(nmx__nm_header, options, nmreq_header, nr_options);
SAME(nmx__nm_header, body, nmreq_header, nr_body);

SAME_SIZE(nmx__nm_register, nmreq_register);
SAME(nmx__nm_register, if_ofs, nmreq_register, nr_offset);
SAME(nmx__nm_register, memsize, nmreq_register, nr_memsize);
SAME(nmx__nm_register, tx_slots, nmreq_register, nr_tx_slots);
SAME(nmx__nm_register, rx_slots, nmreq_register, nr_rx_slots);
SAME(nmx__nm_register, tx_rings, nmreq_register, nr_tx_rings);
SAME(nmx__nm_register, rx_rings, nmreq_register, nr_rx_rings);
SAME(nmx__nm_register, host_tx_rings, nmreq_register, nr_host_tx_rings);
SAME(nmx__nm_register, host_rx_rings, nmreq_register, nr_host_rx_rings);
SAME(nmx__nm_register, mem_id, nmreq_register, nr_mem_id);
SAME(nmx__nm_register, ring, nmreq_register, nr_ringid);
SAME(nmx__nm_register, mode, nmreq_register, nr_mode);
SAME(nmx__nm_register, extra_bufs, nmreq_register, nr_extra_bufs);
SAME(nmx__nm_register, flags, nmreq_register, nr_flags);

SAME_SIZE(nmx__nm_port_info, nmreq_port_info_get);
SAME(nmx__nm_port_info, memsize, nmreq_port_info_get, nr_memsize);
SAME(nmx__nm_port_info, tx_slots, nmreq_port_info_get, nr_tx_slots);
SAME(nmx__nm_port_info, rx_slots, nmreq_port_info_get, nr_rx_slots);
SAME(nmx__nm_port_info, tx_rings, nmreq_port_info_get, nr_tx_rings);
SAME(nmx__nm_port_info, rx_rings, nmreq_port_info_get, nr_rx_rings);
SAME(nmx__nm_port_info, host_tx_rings, nmreq_port_info_get, nr_host_tx_rings);
SAME(nmx__nm_port_info, host_rx_rings, nmreq_port_info_get, nr_host_rx_rings);
SAME(nmx__nm_port_info, mem_id, nmreq_port_info_get, nr_mem_id);

SAME_SIZE(nmx__nm_attach, nmreq_vale_attach);
SAME(nmx__nm_attach, reg, nmreq_vale_attach, reg);
SAME(nmx__nm_attach, port, nmreq_vale_attach, port_index);

SAME_SIZE(nmx__nm_detach, nmreq_vale_detach);
SAME(nmx__nm_detach, port, nmreq_vale_detach, port_index);

SAME_SIZE(nmx__nm_list, nmreq_vale_list);
SAME(nmx__nm_list, bridge, nmreq_vale_list, nr_bridge_idx);
SAME(nmx__nm_list, port, nmreq_vale_list, nr_port_idx);

SAME_SIZE(nmx__nm_newif, nmreq_vale_newif);
SAME(nmx__nm_newif, tx_slots, nmreq_vale_newif, nr_tx_slots);
SAME(nmx__nm_newif, rx_slots, nmreq_vale_newif, nr_rx_slots);
SAME(nmx__nm_newif, tx_rings, nmreq_vale_newif, nr_tx_rings);
SAME(nmx__nm_newif, rx_rings, nmreq_vale_newif, nr_rx_rings);
SAME(nmx__nm_newif, mem_id, nmreq_vale_newif, nr_mem_id);

SAME_SIZE(nmx__nm_pools, nmreq_pools_info);
SAME(nmx__nm_pools, memsize, nmreq_pools_info, nr_memsize);
SAME(nmx__nm_pools, mem_id, nmreq_pools_info, nr_mem_id);
SAME(nmx__nm_pools, if_ofs, nmreq_pools_info, nr_if_pool_offset);
SAME(nmx__nm_pools, if_num, nmreq_pools_info, nr_if_pool_objtotal);
SAME(nmx__nm_pools, if_size, nmreq_pools_info, nr_if_pool_objsize);
SAME(nmx__nm_pools, ring_ofs, nmreq_pools_info, nr_ring_pool_offset);
SAME(nmx__nm_pools, ring_num, nmreq_pools_info, nr_ring_pool_objtotal);
SAME(nmx__nm_pools, ring_size, nmreq_pools_info, nr_ring_pool_objsize);
SAME(nmx__nm_pools, buf_ofs, nmreq_pools_info, nr_buf_pool_offset);
SAME(nmx__nm_pools, buf_num, nmreq_pools_info, nr_buf_pool_objtotal);
SAME(nmx__nm_pools, buf_size, nmreq_pools_info, nr_buf_pool_objsize);

SAME_SIZE(nmx__nm_extmem, nmreq_opt_extmem);
SAME(nmx__nm_extmem, option, nmreq_opt_extmem, nro_opt);
SAME(nmx__nm_extmem, address, nmreq_opt_extmem, nro_usrptr);
SAME(nmx__nm_extmem, pools, nmreq_opt_extmem, nro_info);

SAME_SIZE(nmx__nm_offsets, nmreq_opt_offsets);
SAME(nmx__nm_offsets, option, nmreq_opt_offsets, nro_opt);
SAME(nmx__nm_offsets, max, nmreq_opt_offsets, nro_max_offset);
SAME(nmx__nm_offsets, initial, nmreq_opt_offsets, nro_initial_offset);
SAME(nmx__nm_offsets, bits, nmreq_opt_offsets, nro_offset_bits);
SAME(nmx__nm_offsets, tx_align, nmreq_opt_offsets, nro_tx_align);
SAME(nmx__nm_offsets, min_gap, nmreq_opt_offsets, nro_min_gap);
