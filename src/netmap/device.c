/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/report.h"
#include "netmap/device.h"

#define OLDEST_API 11 /* that is looked for, to say which one there is */
#define NEWEST_API 20
#define BUF_MIN    64     /* bytes of a buffer, as netmap allows them */
#define BUF_MAX    65536u

/* ---- the device */

int nmx__nm_open(struct nmx_report *why)
{
	int fd = nmx__nm_sys->open(NMX__NM_DEVICE);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
	case ENXIO:
	case ENODEV:
		return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, 0, "there is no " NMX__NM_DEVICE ": netmap's kernel module is not loaded (modprobe netmap)");
	case EACCES:
	case EPERM:
		return nmx__fail(why, NMX_ERR_PERMISSION, 0,
		                 NMX__NM_DEVICE " may not be opened by this user: be root, or give a group the device (chgrp netmap " NMX__NM_DEVICE
		                                " && chmod 660 " NMX__NM_DEVICE "); whoever may open it may take any interface");
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return nmx__fail(why, NMX_ERR_NO_MEMORY, errno, "cannot open " NMX__NM_DEVICE);
	default:
		return nmx__fail(why, NMX_ERR_IO, errno, "cannot open " NMX__NM_DEVICE);
	}
}

bool nmx__nm_is_here(void)
{
	struct nmx_report why;
	int fd = nmx__nm_open(&why);

	if (fd >= 0)
		nmx__nm_sys->close(fd);
	return fd != NMX_ERR_UNSUPPORTED_PLATFORM;
}

static int request_as(int fd, uint16_t api, enum nmx__nm_request type, const char *name, void *body, struct nmx__nm_option *options)
{
	struct nmx__nm_header header = { .version = api, .type = (uint16_t)type, .options = (uintptr_t)options, .body = (uintptr_t)body };

	memcpy(header.name, name, strnlen(name, sizeof(header.name) - 1));
	return nmx__nm_sys->ioctl(fd, NMX__NM_CTRL, &header) < 0 ? -errno : 0;
}

int nmx__nm_request(int fd, enum nmx__nm_request type, const char *name, void *body, struct nmx__nm_option *options)
{
	return request_as(fd, NMX__NM_API, type, name, body, options);
}

/* Whether it speaks an API: the answer for no port at all is about the memory of all. */
static bool speaks(int fd, uint16_t api)
{
	struct nmx__nm_port_info info = { 0 };

	return request_as(fd, api, NMX__NM_PORT_INFO_GET, "", &info, NULL) == 0;
}

int nmx__nm_list(int fd, struct nmx__nm_list *at, char name[NMX__NM_NAME_SIZE])
{
	struct nmx__nm_header header = { .version = NMX__NM_API, .type = NMX__NM_VALE_LIST, .body = (uintptr_t)at };

	if (nmx__nm_sys->ioctl(fd, NMX__NM_CTRL, &header) < 0)
		return -errno;
	memcpy(name, header.name, sizeof(header.name));
	name[sizeof(header.name) - 1] = '\0';
	return 0;
}

int nmx__nm_check_api(int fd, uint32_t *api, struct nmx_report *why)
{
	uint16_t spoken = NMX__NM_API;
	int sys_errno = speaks(fd, spoken) ? 0 : errno;

	if (sys_errno)
		for (spoken = OLDEST_API; spoken <= NEWEST_API && !speaks(fd, spoken);)
			spoken++;
	if (api)
		*api = spoken <= NEWEST_API ? spoken : 0;
	if (!sys_errno)
		return 0;
	if (sys_errno == ENOTTY)
		return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, 0, NMX__NM_DEVICE " is not netmap's device");
	if (spoken > NEWEST_API)
		return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, sys_errno,
		                 NMX__NM_DEVICE " takes no requests of API %d: the module is older than 2018, or not netmap; load a newer one", NMX__NM_API);
	return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, 0, NMX__NM_DEVICE " speaks API %u of netmap, and nmx API %d: load a module of that version",
	                 spoken, NMX__NM_API);
}

/* ---- why a port is refused */

static bool is_switch(const char *name) { return strncmp(name, "vale", 4) == 0; }
static bool is_pipe(const char *name) { return strpbrk(name, "{}") != NULL; }

static int no_such(const struct nmx__nm_ask *ask, struct nmx_report *why)
{
	return nmx__fail(why, NMX_ERR_NO_SUCH, 0, "netmap knows no interface \"%s\" (ip link lists them)", ask->name);
}

/* Which of the pools is too small or used up.  What a request needs is compared with what the pool has. */
static int no_memory(int fd, const struct nmx__nm_ask *ask, const struct nmx__nm_register *asked, struct nmx_report *why)
{
	struct nmx__nm_pools p = { .mem_id = asked->mem_id };
	uint32_t slots = asked->tx_slots > asked->rx_slots ? asked->tx_slots : asked->rx_slots;
	size_t ring_bytes = sizeof(struct netmap_ring) + (size_t)slots * sizeof(struct netmap_slot);

	if (is_switch(ask->name) && !is_pipe(ask->name) && strlen(strchr(ask->name, ':') ? strchr(ask->name, ':') + 1 : "") >= NMX__NM_IF_NAME)
		return nmx__fail(why, NMX_ERR_BAD_NAME, 0, "\"%s\": netmap's name of a port of a switch has at most %d characters", ask->name, NMX__NM_IF_NAME - 1);
	if (is_switch(ask->name) || is_pipe(ask->name))
		return nmx__fail(why, NMX_ERR_NO_MEMORY, 0,
		                 "\"%s\": netmap has no memory for it: its pools of rings and buffers (module parameters priv_ring_num, priv_buf_num, priv_if_num) are "
		                 "used up, or there are as many switches as there can be (max_bridges, mostly 8), or pipes of one base (open a port of the base "
		                 "first, or another base)",
		                 ask->name);
	if (nmx__nm_request(fd, NMX__NM_POOLS_INFO_GET, ask->name, &p, NULL) < 0)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, 0, "\"%s\": netmap has no memory for it: close other ports, or load the module with larger pools", ask->name);
	if (ring_bytes > p.ring_size)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, 0, "\"%s\": a ring of %u slots takes %zu bytes, and netmap's have %u (module parameter ring_size)", ask->name,
		                 slots, ring_bytes, p.ring_size);
	return nmx__fail(why, NMX_ERR_NO_MEMORY, 0,
	                 "\"%s\": one of netmap's pools is used up: %u buffers (module parameter buf_num), %u rings (ring_num), %u ports (if_num), for all "
	                 "users together: close other ports, or write larger numbers to /sys/module/netmap/parameters while none is open",
	                 ask->name, p.buf_num, p.ring_num, p.if_num);
}

/* Whether there is a port of a switch that is called as this one is behind its colon, and nothing more. */
static bool is_renamed(int fd, const char *colon)
{
	struct nmx__nm_list at = { 0 };
	char name[NMX__NM_NAME_SIZE];

	while (colon && nmx__nm_list(fd, &at, name) == 0 && at.port++ < NMX__NM_PORTS)
		if (strcmp(name, colon + 1) == 0)
			return true;
	return false;
}

/* The request itself is refused.  Which part of it, only the kernel's log says; but much is known from what was asked. */
static int invalid(int fd, const struct nmx__nm_ask *ask, const struct nmx__nm_register *asked, struct nmx_report *why)
{
	const uint64_t monitor = NMX__NM_MONITOR_TX | NMX__NM_MONITOR_RX;
	bool wants_host = asked->mode == NMX__NM_HOST || asked->mode == NMX__NM_NIC_HOST || asked->mode == NMX__NM_ONE_HOST;
	struct nmx__nm_port_info info = { 0 };
	bool known = nmx__nm_request(fd, NMX__NM_PORT_INFO_GET, ask->name, &info, NULL) == 0;
	uint32_t rings = info.tx_rings > info.rx_rings ? info.tx_rings : info.rx_rings;

	if (wants_host && (is_switch(ask->name) || is_pipe(ask->name)))
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0, "\"%s\": ports of switches and pipes have no host rings", ask->name);
	if (known && asked->mode == NMX__NM_ONE_NIC && asked->ring >= rings)
		return nmx__fail(why, NMX_ERR_INVALID_RING_INDEX, 0, "\"%s\" has no ring %u: its rings are 0 to %u", ask->name, asked->ring, rings ? rings - 1 : 0);
	if (known && asked->mode == NMX__NM_ONE_HOST && asked->ring >= info.host_tx_rings && asked->ring >= info.host_rx_rings)
		return nmx__fail(why, NMX_ERR_INVALID_RING_INDEX, 0, "\"%s\" has no host ring %u: it has %u", ask->name, asked->ring, info.host_tx_rings);
	if (asked->flags & monitor)
		return nmx__fail(why, NMX_ERR_NO_SUCH, 0, "\"%s\": what is to be monitored must be open already, by netmap, and nobody has opened it", ask->name);
	if (is_switch(ask->name) && is_renamed(fd, strchr(ask->name, ':')))
		return nmx__fail(why, NMX_ERR_BIND_FAIL, 0,
		                 "\"%s\": netmap has changed the name of this persistent port when it was first opened: open \"%s\"", ask->name,
		                 strchr(ask->name, ':') + 1);
	if (asked->mem_id)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "\"%s\": netmap has no memory %u now, or cannot use it here: a memory is there while a port of it is open", ask->name,
		                 asked->mem_id);
	return nmx__fail(why, NMX_ERR_BIND_FAIL, 0,
	                 "\"%s\": netmap refuses it: an MTU that is too large for it (loopback), a name in use by a persistent port of a switch, or a driver that "
	                 "cannot do it; the kernel's log says why (dmesg | tail)",
	                 ask->name);
}

/* Which option the kernel did not do. */
static int option_refused(const struct nmx__nm_ask *ask, int sys_errno, struct nmx_report *why)
{
	const struct nmx__nm_option *o = ask->options;

	while (o && !o->status)
		o = (const struct nmx__nm_option *)(uintptr_t)o->next;
	if (!o)
		return 0;
	return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, (int)o->status, "\"%s\": netmap refuses %s here%s", ask->name,
	                 o->type == NMX__NM_OPT_OFFSETS ? "@offset" : "@extmem",
	                 o->status == EBUSY || sys_errno == EBUSY ? ", for the port is open already with another" : "");
}

static int explain_refusal(int fd, const struct nmx__nm_ask *ask, const struct nmx__nm_register *asked, int sys_errno, struct nmx_report *why)
{
	int err = option_refused(ask, sys_errno, why);

	if (err < 0)
		return err;
	switch (sys_errno) {
	case ENXIO:
	case ENODEV:
		return no_such(ask, why);
	case EBUSY:
		return nmx__fail(why, NMX_ERR_BUSY, 0, "\"%s\": %s", ask->name,
		                 asked->flags & NMX__NM_EXCLUSIVE ? "somebody has it open, and it cannot be had exclusively (/x, NMX_EXCLUSIVE)"
		                                                  : "somebody has it open exclusively, or the switch it is attached to (nmx switch list)");
	case ENOMEM:
		return no_memory(fd, ask, asked, why);
	case ENOTTY:
	case EINVAL:
	case EOPNOTSUPP:
		err = nmx__nm_check_api(fd, NULL, why);
		return err < 0 ? err : invalid(fd, ask, asked, why);
	case EPERM:
	case EACCES:
		return nmx__fail(why, NMX_ERR_PERMISSION, sys_errno, "\"%s\": netmap refuses it", ask->name);
	default:
		return nmx__fail(why, NMX_ERR_IO, sys_errno, "\"%s\": netmap refuses it", ask->name);
	}
}

int nmx__nm_register(int fd, struct nmx__nm_ask *ask, struct nmx_report *why)
{
	const struct nmx__nm_register asked = ask->reg;
	int err = nmx__nm_request(fd, NMX__NM_REGISTER, ask->name, &ask->reg, ask->options);

	return err < 0 ? explain_refusal(fd, ask, &asked, -err, why) : 0;
}

/* ---- the region */

static int corrupt(struct nmx_report *why, const char *what)
{
	return nmx__fail(why, NMX_ERR_CORRUPT, 0, "the netmap device answers nonsense (%s): not netmap, or of another version", what);
}

/* [ofs, ofs + bytes) is in the first `size` bytes. */
static bool within(size_t size, uint64_t ofs, uint64_t bytes) { return ofs <= size && bytes <= size - ofs; }

int nmx__nm_look(struct nmx__nm_view *view, const struct nmx__nm_region *region, uint64_t if_ofs, struct nmx_report *why)
{
	const struct nmx__nm_if *nifp;
	uint64_t rings;

	if (if_ofs % _Alignof(struct nmx__nm_if) || !within(region->tables, if_ofs, sizeof(*nifp)))
		return corrupt(why, "where the port is");
	nifp = (const struct nmx__nm_if *)(region->start + if_ofs);
	*view = (struct nmx__nm_view){ .region = *region, .nifp = (struct nmx__nm_if *)(region->start + if_ofs), .tx_rings = nifp->tx_rings,
		                       .rx_rings = nifp->rx_rings, .host_tx_rings = nifp->host_tx_rings, .host_rx_rings = nifp->host_rx_rings };
	rings = (uint64_t)view->tx_rings + view->rx_rings + view->host_tx_rings + view->host_rx_rings;
	return within(region->tables, if_ofs, sizeof(*nifp) + rings * sizeof(nifp->ring_ofs[0])) ? 0 : corrupt(why, "how many rings there are");
}

static int check_ring(const struct nmx__nm_region *region, uint64_t ofs, struct nmx__nm_ring *ring, struct nmx_report *why)
{
	struct netmap_ring *r = (struct netmap_ring *)(region->start + ofs);
	uint64_t bufs = ofs + (uint64_t)r->buf_ofs, room; /* may wrap: then it is out of range */

	*ring = (struct nmx__nm_ring){ .ring = r, .num_slots = r->num_slots, .buf_size = r->nr_buf_size };
	if (ring->num_slots < 2 || !within(region->tables, ofs, sizeof(*r) + (uint64_t)ring->num_slots * sizeof(r->slot[0])))
		return corrupt(why, "how many slots a ring has");
	if (ring->buf_size < BUF_MIN || ring->buf_size > BUF_MAX || !within(region->bytes, bufs, (uint64_t)(NMX__NM_FIRST_BUF + 1) * ring->buf_size))
		return corrupt(why, "where the buffers are");
	room = (region->bytes - bufs) / ring->buf_size;
	ring->bufs = region->start + bufs;
	ring->num_bufs = room > UINT32_MAX ? UINT32_MAX : (uint32_t)room;
	return 0;
}

int nmx__nm_ring_at(const struct nmx__nm_view *view, bool is_tx, uint32_t i, struct nmx__nm_ring *ring, struct nmx_report *why)
{
	uint32_t of_tx = view->tx_rings + view->host_tx_rings, of_rx = view->rx_rings + view->host_rx_rings;
	const char *way = is_tx ? "transmit" : "receive";
	int64_t relative;
	uint64_t ofs;

	if (i >= (is_tx ? of_tx : of_rx))
		return nmx__fail(why, NMX_ERR_INVALID_RING_INDEX, 0, "\"%.15s\" has no %s ring %u", view->nifp->name, way, i);
	relative = view->nifp->ring_ofs[is_tx ? i : of_tx + i];
	if (relative == 0)
		return nmx__fail(why, NMX_ERR_INVALID_RING_INDEX, 0, "netmap did not bind %s ring %u of \"%.15s\"", way, i, view->nifp->name);
	ofs = (uint64_t)((const uint8_t *)view->nifp - view->region.start) + (uint64_t)relative; /* may wrap, too */
	if (ofs % _Alignof(struct netmap_ring) || !within(view->region.tables, ofs, sizeof(struct netmap_ring)))
		return corrupt(why, "where a ring is");
	return check_ring(&view->region, ofs, ring, why);
}

int nmx__nm_sync_error(int sys_errno)
{
	switch (sys_errno) {
	case EIO:   /* its rings were stopped: the interface was removed */
	case ENXIO: /* the descriptor is bound to nothing any more */
	case ENODEV:
		return NMX_ERR_GONE;
	default:
		return NMX_ERR_IO;
	}
}
