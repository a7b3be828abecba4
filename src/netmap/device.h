/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The netmap device: control requests, with what their errors mean; and the mapped region, checked before it is used.
 * Knows no ports and no rings of ours. */
#ifndef NMX_NETMAP_DEVICE_H
#define NMX_NETMAP_DEVICE_H

#include "netmap/abi.h"
#include "netmap/sys.h"

#include <nmx/nmx.h>

/* A descriptor of the device, or an error: NMX_ERR_UNSUPPORTED_PLATFORM (it is not there), _PERMISSION, _NO_MEMORY, _IO. */
int nmx__nm_open(struct nmx_report *why);

/* Whether there is such a device, permitted or not. */
bool nmx__nm_is_here(void);

/* One control request; 0, or the errno, negative. */
int nmx__nm_request(int fd, enum nmx__nm_request type, const char *name, void *body, struct nmx__nm_option *options);

/* The first port of a switch from *at on, with its name; -ENOENT: there is none. */
int nmx__nm_list(int fd, struct nmx__nm_list *at, char name[NMX__NM_NAME_SIZE]);

/* Which API it speaks (api may be NULL; 0: none that we know of): 0 if it is ours, or NMX_ERR_UNSUPPORTED_PLATFORM. */
int nmx__nm_check_api(int fd, uint32_t *api, struct nmx_report *why);

/* What a descriptor is to be bound to.  Options: NULL, or as netmap wants them. */
struct nmx__nm_ask {
	const char *name;
	struct nmx__nm_register reg;
	struct nmx__nm_option *options;
};

/* Binds; what netmap answered is in ask->reg.
 * Errors: NMX_ERR_NO_SUCH, _BUSY, _NO_MEMORY, _INVALID_RING_INDEX, _FALLBACK_UNSUPPORTED, _BIND_FAIL (refused, and no more is
 * known), _UNSUPPORTED_PLATFORM (no netmap, or another version of it), _IO. */
int nmx__nm_register(int fd, struct nmx__nm_ask *ask, struct nmx_report *why);

/* Of what is mapped: nothing but what it says here is used unchecked. */
struct nmx__nm_region {
	uint8_t *start;
	size_t bytes;
	size_t tables; /* of them before the buffers: ports and rings lie here; all, as long as that is not known */
};

/* A ring, checked: so many slots lie in the region, and so many buffers. */
struct nmx__nm_ring {
	struct netmap_ring *ring;
	uint8_t *bufs; /* buffer 0 */
	uint32_t num_slots, buf_size, num_bufs;
};

/* The port as the descriptor that got if_ofs sees it: the numbers are read once, and its table of rings lies in the region. */
struct nmx__nm_view {
	struct nmx__nm_region region;
	struct nmx__nm_if *nifp;
	uint32_t tx_rings, rx_rings, host_tx_rings, host_rx_rings;
};

/* 0, or NMX_ERR_CORRUPT and what is wrong. */
int nmx__nm_look(struct nmx__nm_view *view, const struct nmx__nm_region *region, uint64_t if_ofs, struct nmx_report *why);

/* Ring i of the port: from 0, the host's after the others.  0, NMX_ERR_INVALID_RING_INDEX (there is none, or it is not bound to
 * that descriptor), or NMX_ERR_CORRUPT. */
int nmx__nm_ring_at(const struct nmx__nm_view *view, bool is_tx, uint32_t i, struct nmx__nm_ring *ring, struct nmx_report *why);

/* What an errno of a sync means. */
int nmx__nm_sync_error(int sys_errno);

#endif
