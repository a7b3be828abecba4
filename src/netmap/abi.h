/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* netmap's control requests, API 14, in our own words and under names of our own, so that netmap's own headers can be
 * compared with them.  Natural alignment, host byte order.  The rings are in <nmx/netmap_abi.h>. */
#ifndef NMX_NETMAP_ABI_PRIVATE_H
#define NMX_NETMAP_ABI_PRIVATE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include <nmx/netmap_abi.h>

#define NMX__NM_API       14
#define NMX__NM_NAME_SIZE 64 /* with the 0 */
#define NMX__NM_IF_NAME   16
#define NMX__NM_PORTS    254 /* of a switch */
#define NMX__NM_FIRST_BUF 2  /* 0 and 1 are the kernel's */

/* One port in the mapped region, as a descriptor sees it. */
struct nmx__nm_if {
	char name[NMX__NM_IF_NAME];
	uint32_t version;      /* not filled in by today's kernels */
	uint32_t flags;
	uint32_t tx_rings, rx_rings;
	uint32_t bufs_head;    /* list of extra buffers; each begins with the index of the next, 0 ends it */
	uint32_t host_tx_rings, host_rx_rings;
	uint32_t spare[3];
	int64_t ring_ofs[];    /* from here: tx, host tx, rx, host rx; 0: not bound to this descriptor */
};

struct nmx__nm_option {
	uint64_t next;         /* address of the next; 0: none */
	uint32_t type;
	uint32_t status;       /* out: 0 or an errno */
	uint64_t size;
};

struct nmx__nm_header {
	uint16_t version, type;
	uint32_t reserved;
	char name[NMX__NM_NAME_SIZE];
	uint64_t options, body; /* addresses */
};

struct nmx__nm_register {
	uint64_t if_ofs, memsize;                                 /* out */
	uint32_t tx_slots, rx_slots;                              /* in and out, as the rest */
	uint16_t tx_rings, rx_rings, host_tx_rings, host_rx_rings;
	uint16_t mem_id, ring;
	uint32_t mode, extra_bufs;
	uint64_t flags;
};

struct nmx__nm_port_info {
	uint64_t memsize;
	uint32_t tx_slots, rx_slots;
	uint16_t tx_rings, rx_rings, host_tx_rings, host_rx_rings;
	uint16_t mem_id, pad[3];
};

struct nmx__nm_attach {
	struct nmx__nm_register reg;
	uint32_t port, pad;
};

struct nmx__nm_detach {
	uint32_t port, pad;
};

struct nmx__nm_list {
	uint16_t bridge, pad;
	uint32_t port;
};

struct nmx__nm_newif {
	uint32_t tx_slots, rx_slots;
	uint16_t tx_rings, rx_rings, mem_id, pad;
};

struct nmx__nm_pools {
	uint64_t memsize;
	uint16_t mem_id, pad[3];
	uint64_t if_ofs;
	uint32_t if_num, if_size;
	uint64_t ring_ofs;
	uint32_t ring_num, ring_size;
	uint64_t buf_ofs;
	uint32_t buf_num, buf_size;
};

struct nmx__nm_extmem {
	struct nmx__nm_option option;
	uint64_t address;
	struct nmx__nm_pools pools;
};

struct nmx__nm_offsets {
	struct nmx__nm_option option;
	uint64_t max, initial;
	uint32_t bits, tx_align;
	uint64_t min_gap;
};

enum nmx__nm_request {
	NMX__NM_REGISTER = 1,
	NMX__NM_PORT_INFO_GET,
	NMX__NM_VALE_ATTACH,
	NMX__NM_VALE_DETACH,
	NMX__NM_VALE_LIST,
	NMX__NM_VALE_NEWIF = 8,
	NMX__NM_VALE_DELIF,
	NMX__NM_POOLS_INFO_GET = 12,
};

enum { NMX__NM_OPT_EXTMEM = 1, NMX__NM_OPT_OFFSETS = 5 };

enum nmx__nm_mode {
	NMX__NM_ALL_NIC = 1,
	NMX__NM_HOST,
	NMX__NM_NIC_HOST,
	NMX__NM_ONE_NIC,
	NMX__NM_ONE_HOST = 8,
};

enum nmx__nm_flags {
	NMX__NM_MONITOR_TX = 0x100,
	NMX__NM_MONITOR_RX = 0x200,
	NMX__NM_ZCOPY_MON = 0x400,
	NMX__NM_EXCLUSIVE = 0x800,
	NMX__NM_RX_ONLY = 0x2000,
	NMX__NM_TX_ONLY = 0x4000,
	NMX__NM_NO_TX_POLL = 0x20000,
};

#define NMX__NM_CTRL   _IOWR('i', 151, struct nmx__nm_header)
#define NMX__NM_TXSYNC _IO('i', 148)
#define NMX__NM_RXSYNC _IO('i', 149)

#define NMX__NM_AT(type, field, offset) _Static_assert(offsetof(struct type, field) == (offset), #type "." #field ", API 14")
#define NMX__NM_IS(type, bytes)         _Static_assert(sizeof(struct type) == (bytes), #type ", API 14")
NMX__NM_IS(nmx__nm_if, 56);
NMX__NM_AT(nmx__nm_if, version, 16);
NMX__NM_AT(nmx__nm_if, flags, 20);
NMX__NM_AT(nmx__nm_if, tx_rings, 24);
NMX__NM_AT(nmx__nm_if, rx_rings, 28);
NMX__NM_AT(nmx__nm_if, bufs_head, 32);
NMX__NM_AT(nmx__nm_if, host_tx_rings, 36);
NMX__NM_AT(nmx__nm_if, host_rx_rings, 40);
NMX__NM_AT(nmx__nm_if, ring_ofs, 56);
NMX__NM_IS(nmx__nm_option, 24);
NMX__NM_AT(nmx__nm_option, type, 8);
NMX__NM_AT(nmx__nm_option, status, 12);
NMX__NM_AT(nmx__nm_option, size, 16);
NMX__NM_IS(nmx__nm_header, 88);
NMX__NM_AT(nmx__nm_header, type, 2);
NMX__NM_AT(nmx__nm_header, reserved, 4);
NMX__NM_AT(nmx__nm_header, name, 8);
NMX__NM_AT(nmx__nm_header, options, 72);
NMX__NM_AT(nmx__nm_header, body, 80);
NMX__NM_IS(nmx__nm_register, 56);
NMX__NM_AT(nmx__nm_register, memsize, 8);
NMX__NM_AT(nmx__nm_register, tx_slots, 16);
NMX__NM_AT(nmx__nm_register, rx_slots, 20);
NMX__NM_AT(nmx__nm_register, tx_rings, 24);
NMX__NM_AT(nmx__nm_register, rx_rings, 26);
NMX__NM_AT(nmx__nm_register, host_tx_rings, 28);
NMX__NM_AT(nmx__nm_register, host_rx_rings, 30);
NMX__NM_AT(nmx__nm_register, mem_id, 32);
NMX__NM_AT(nmx__nm_register, ring, 34);
NMX__NM_AT(nmx__nm_register, mode, 36);
NMX__NM_AT(nmx__nm_register, extra_bufs, 40);
NMX__NM_AT(nmx__nm_register, flags, 48);
NMX__NM_IS(nmx__nm_port_info, 32);
NMX__NM_AT(nmx__nm_port_info, tx_slots, 8);
NMX__NM_AT(nmx__nm_port_info, tx_rings, 16);
NMX__NM_AT(nmx__nm_port_info, host_tx_rings, 20);
NMX__NM_AT(nmx__nm_port_info, mem_id, 24);
NMX__NM_IS(nmx__nm_attach, 64);
NMX__NM_AT(nmx__nm_attach, port, 56);
NMX__NM_IS(nmx__nm_detach, 8);
NMX__NM_IS(nmx__nm_list, 8);
NMX__NM_AT(nmx__nm_list, port, 4);
NMX__NM_IS(nmx__nm_newif, 16);
NMX__NM_AT(nmx__nm_newif, tx_rings, 8);
NMX__NM_AT(nmx__nm_newif, mem_id, 12);
NMX__NM_IS(nmx__nm_pools, 64);
NMX__NM_AT(nmx__nm_pools, mem_id, 8);
NMX__NM_AT(nmx__nm_pools, if_ofs, 16);
NMX__NM_AT(nmx__nm_pools, if_num, 24);
NMX__NM_AT(nmx__nm_pools, if_size, 28);
NMX__NM_AT(nmx__nm_pools, ring_ofs, 32);
NMX__NM_AT(nmx__nm_pools, ring_num, 40);
NMX__NM_AT(nmx__nm_pools, ring_size, 44);
NMX__NM_AT(nmx__nm_pools, buf_ofs, 48);
NMX__NM_AT(nmx__nm_pools, buf_num, 56);
NMX__NM_AT(nmx__nm_pools, buf_size, 60);
NMX__NM_IS(nmx__nm_extmem, 96);
NMX__NM_AT(nmx__nm_extmem, address, 24);
NMX__NM_AT(nmx__nm_extmem, pools, 32);
NMX__NM_IS(nmx__nm_offsets, 56);
NMX__NM_AT(nmx__nm_offsets, max, 24);
NMX__NM_AT(nmx__nm_offsets, initial, 32);
NMX__NM_AT(nmx__nm_offsets, bits, 40);
NMX__NM_AT(nmx__nm_offsets, tx_align, 44);
NMX__NM_AT(nmx__nm_offsets, min_gap, 48);
_Static_assert(NMX__NM_CTRL == 0xc0586997, "request codes, API 14");
#ifdef __linux__
_Static_assert(NMX__NM_TXSYNC == 0x6994 && NMX__NM_RXSYNC == 0x6995, "request codes, API 14");
#endif

#endif
