/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The stand-in's system calls, and the requests about ports. */
#include "standin.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fork.h"
#include "netmap/sys.h"
#include "support.h"

struct standin standin = { .lock = PTHREAD_MUTEX_INITIALIZER };
struct handle *standin_handles;

static struct handle *find_handle(int fd)
{
	for (struct handle *h = standin_handles; h; h = h->next)
		if (h->fd == fd)
			return h;
	return NULL;
}

/* ---- open and close */

static int standin_open(const char *path)
{
	struct handle *h;

	require_equal(strcmp(path, "/dev/netmap"), 0);
	if (standin.open_errno) {
		errno = standin.open_errno;
		return -1;
	}
	h = calloc(1, sizeof(*h));
	require(h != NULL);
	h->fd = nmx__fd_track(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
	require(h->fd >= 0);
	pthread_mutex_lock(&standin.lock);
	h->next = standin_handles;
	standin_handles = h;
	standin.opened++;
	pthread_mutex_unlock(&standin.lock);
	return h->fd;
}

/* The list that the program left in its netmap_if. */
static void take_extra_back(const struct handle *h)
{
	struct memory *m = h->port->memory;
	struct nmx__nm_if *nifp = (struct nmx__nm_if *)(m->start + h->if_ofs);
	uint32_t at = nifp->bufs_head;

	for (uint32_t i = 0; at >= NMX__NM_FIRST_BUF && at < m->buf_num && i < m->buf_num; i++) {
		uint32_t next;

		memcpy(&next, m->start + m->bytes - (size_t)(m->buf_num - at) * m->buf_size, sizeof(next));
		standin_free_buf(m, at);
		at = next;
	}
}

static void unbind(struct handle *h)
{
	struct port *port = h->port;

	if (!port)
		return;
	take_extra_back(h);
	port->memory->if_used[h->if_ofs / STANDIN_IF_SIZE] = false;
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = h->first[tx]; i < h->end[tx]; i++) {
			port->kring[tx][i].users--;
			port->kring[tx][i].exclusive &= port->kring[tx][i].users > 0;
		}
	h->port = NULL;
	if (--port->fds == 0)
		standin_forget(port);
}

static void standin_close(int fd)
{
	pthread_mutex_lock(&standin.lock);
	for (struct handle **at = &standin_handles; *at; at = &(*at)->next)
		if ((*at)->fd == fd) {
			struct handle *h = *at;

			*at = h->next;
			unbind(h);
			free(h);
			standin.closed++;
			break;
		}
	pthread_mutex_unlock(&standin.lock);
	nmx__fd_close(fd);
}

/* ---- memory */

static void *standin_map(int fd, size_t bytes, void *at)
{
	void *start = MAP_FAILED;
	struct handle *h;

	pthread_mutex_lock(&standin.lock);
	h = find_handle(fd);
	if (h && h->port && bytes <= h->port->memory->bytes && h->port->memory->file >= 0)
		start = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | (at ? MAP_FIXED : 0), h->port->memory->file, 0);
	else
		errno = EINVAL;
	standin.mapped += start != MAP_FAILED && !at;
	pthread_mutex_unlock(&standin.lock);
	if (start == MAP_FAILED)
		return NULL;
	require_equal(at ? 0 : nmx__map_track(start, bytes, false), 0);
	return start;
}

static void standin_unmap(void *start, size_t bytes)
{
	nmx__map_untrack(start);
	munmap(start, bytes);
	pthread_mutex_lock(&standin.lock);
	standin.mapped--;
	pthread_mutex_unlock(&standin.lock);
}

/* ---- REGISTER */

static struct nmx__nm_option *find_option(const struct nmx__nm_header *header, uint32_t type)
{
	struct nmx__nm_option *o = (struct nmx__nm_option *)(uintptr_t)header->options;

	while (o && o->type != type)
		o = (struct nmx__nm_option *)(uintptr_t)o->next;
	return o;
}

/* Which rings a mode is about. */
static int select_rings(const struct port *port, const struct nmx__nm_register *reg, uint32_t first[2], uint32_t end[2])
{
	for (int tx = 0; tx < 2; tx++) {
		uint32_t nic = port->rings[tx], host = port->kind == NIC ? port->host_rings[tx] : 0;

		switch (reg->mode) {
		case NMX__NM_ALL_NIC: first[tx] = 0, end[tx] = nic; break;
		case NMX__NM_HOST: first[tx] = nic, end[tx] = nic + host; break;
		case NMX__NM_NIC_HOST: first[tx] = 0, end[tx] = nic + host; break;
		case NMX__NM_ONE_NIC: first[tx] = reg->ring, end[tx] = reg->ring + 1u; break;
		case NMX__NM_ONE_HOST: first[tx] = nic + reg->ring, end[tx] = nic + reg->ring + 1u; break;
		default: return EINVAL;
		}
		if (reg->mode != NMX__NM_ALL_NIC && reg->mode != NMX__NM_ONE_NIC && host == 0)
			return EINVAL;
		if (end[tx] > nic + host || (reg->mode == NMX__NM_ONE_NIC && end[tx] > nic && reg->ring >= port->rings[!tx]))
			return EINVAL;
		if (reg->mode == NMX__NM_ONE_NIC && end[tx] > nic)
			first[tx] = end[tx] = 0;
		if ((reg->flags & NMX__NM_TX_ONLY && !tx) || (reg->flags & NMX__NM_RX_ONLY && tx))
			first[tx] = end[tx] = 0;
	}
	return 0;
}

static int claim_rings(struct port *port, const struct handle *h)
{
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = h->first[tx]; i < h->end[tx]; i++) {
			const struct kring *k = &port->kring[tx][i];

			if (k->exclusive || ((h->flags & NMX__NM_EXCLUSIVE) && k->users))
				return EBUSY;
		}
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = h->first[tx]; i < h->end[tx]; i++) {
			port->kring[tx][i].users++;
			port->kring[tx][i].exclusive = (h->flags & NMX__NM_EXCLUSIVE) != 0;
		}
	return 0;
}

static void give_extra(struct port *port, struct nmx__nm_if *nifp, struct nmx__nm_register *reg)
{
	struct memory *m = port->memory;
	uint32_t want = reg->extra_bufs < standin.extra_most ? reg->extra_bufs : standin.extra_most;

	reg->extra_bufs = 0;
	nifp->bufs_head = 0;
	for (; reg->extra_bufs < want; reg->extra_bufs++) {
		int index = standin_take(m->buf_used, NMX__NM_FIRST_BUF, m->buf_num);

		if (index < 0)
			return;
		memcpy(m->start + m->bytes - (size_t)(m->buf_num - (uint32_t)index) * m->buf_size, &nifp->bufs_head, sizeof(uint32_t));
		nifp->bufs_head = (uint32_t)index;
	}
}

/* The netmap_if of one descriptor: places of rings that it is not bound to are 0. */
static int make_if(struct handle *h, struct port *port, struct nmx__nm_register *reg)
{
	struct memory *m = port->memory;
	int slot = standin_take(m->if_used, 0, m->if_num);
	struct nmx__nm_if *nifp;
	uint32_t host[2], all[2];

	if (slot < 0)
		return ENOMEM;
	h->if_ofs = (size_t)slot * STANDIN_IF_SIZE;
	nifp = (struct nmx__nm_if *)(m->start + h->if_ofs);
	memset(nifp, 0, STANDIN_IF_SIZE);
	for (int tx = 0; tx < 2; tx++) {
		host[tx] = port->host_rings[tx] ? port->host_rings[tx] : 1; /* at least 1, also where there is none */
		all[tx] = port->rings[tx] + host[tx];
	}
	memcpy(nifp->name, port->name, sizeof(nifp->name) - 1);
	nifp->tx_rings = port->rings[1];
	nifp->rx_rings = port->rings[0];
	nifp->host_tx_rings = host[1];
	nifp->host_rx_rings = host[0];
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = h->first[tx]; i < h->end[tx]; i++)
			nifp->ring_ofs[tx ? i : all[1] + i] = (int64_t)port->kring[tx][i].ofs - (int64_t)h->if_ofs;
	give_extra(port, nifp, reg);
	return 0;
}

static int set_offsets(struct port *port, const struct handle *h, const struct nmx__nm_header *header)
{
	struct nmx__nm_offsets *o = (struct nmx__nm_offsets *)find_option(header, NMX__NM_OPT_OFFSETS);
	uint64_t mask = !o ? 0 : o->bits == 0 || o->bits == 64 ? UINT64_MAX : ((uint64_t)1 << o->bits) - 1;

	if (!o)
		return 0;
	if (o->max > port->memory->buf_size || (o->max & mask) != o->max || o->initial > o->max || o->bits > 64) {
		o->option.status = EINVAL;
		return EINVAL;
	}
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = h->first[tx]; i < h->end[tx]; i++) {
			struct kring *k = &port->kring[tx][i];
			struct netmap_ring *ring = standin_ring(port, tx, i);

			k->offset_mask = mask;
			ring->offset_mask = mask;
			for (uint32_t s = 0; s < ring->num_slots && k->users == 1; s++)
				ring->slot[s].ptr = o->initial;
		}
	return 0;
}

static int use_extmem(struct port *port, const struct nmx__nm_header *header)
{
	struct nmx__nm_extmem *e = (struct nmx__nm_extmem *)find_option(header, NMX__NM_OPT_EXTMEM);

	if (!e || port->memory)
		return 0;
	port->memory = standin_memory_make(0, e->pools.if_num, 16, 0, (uint8_t *)(uintptr_t)e->address, e->pools.memsize);
	return port->memory ? 0 : ENOMEM;
}

static int bind_handle(struct handle *h, struct port *port, const struct nmx__nm_header *header, struct nmx__nm_register *reg)
{
	int err;

	if ((err = use_extmem(port, header)) || (err = standin_make_rings(port)))
		return err;
	h->flags = reg->flags;
	if ((err = select_rings(port, reg, h->first, h->end)) || (err = claim_rings(port, h)))
		return err;
	err = make_if(h, port, reg);
	if (!err)
		err = set_offsets(port, h, header);
	if (!err)
		return 0;
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = h->first[tx]; i < h->end[tx]; i++)
			port->kring[tx][i].users--;
	return err;
}

static int request_register(struct handle *h, const struct nmx__nm_header *header)
{
	struct nmx__nm_register *reg = (struct nmx__nm_register *)(uintptr_t)header->body;
	struct port *port;
	int err = 0;

	if (!reg)
		return EINVAL;
	if (h->port)
		return EBUSY;
	port = standin_port(header->name, reg, &err);
	if (!port)
		return err;
	err = port->refuse ? EINVAL : port->gone ? ENXIO : bind_handle(h, port, header, reg);
	if (err) {
		if (port->fds == 0)
			standin_forget(port);
		return err;
	}
	h->port = port;
	port->fds++;
	reg->if_ofs = h->if_ofs;
	reg->memsize = port->memory->bytes;
	reg->mem_id = port->memory->id;
	reg->tx_rings = (uint16_t)port->rings[1];
	reg->rx_rings = (uint16_t)port->rings[0];
	reg->host_tx_rings = (uint16_t)port->host_rings[1];
	reg->host_rx_rings = (uint16_t)port->host_rings[0];
	reg->tx_slots = port->slots[1];
	reg->rx_slots = port->slots[0];
	if (port->persistent && standin.renames && strchr(port->name, ':'))
		memmove(port->name, strchr(port->name, ':') + 1, strlen(strchr(port->name, ':')));
	if (standin.spoil)
		standin.spoil(reg, port->memory, standin.spoil_arg);
	return 0;
}

/* ---- the others */

static int request_info(const struct nmx__nm_header *header)
{
	struct nmx__nm_port_info *info = (struct nmx__nm_port_info *)(uintptr_t)header->body;
	struct nmx__nm_register reg = { .mem_id = info->mem_id };
	struct port *port;
	int err = 0;

	if (!*header->name) {
		info->memsize = standin_global()->bytes;
		info->mem_id = 1;
		return 0;
	}
	port = standin_port(header->name, &reg, &err);
	if (!port)
		return err;
	if (port->gone)
		return ENXIO;
	err = standin_make_rings(port);
	if (err)
		return err;
	*info = (struct nmx__nm_port_info){ .memsize = port->memory->bytes, .tx_slots = port->slots[1], .rx_slots = port->slots[0],
		                            .tx_rings = (uint16_t)port->rings[1], .rx_rings = (uint16_t)port->rings[0],
		                            .host_tx_rings = (uint16_t)port->host_rings[1], .host_rx_rings = (uint16_t)port->host_rings[0],
		                            .mem_id = port->memory->id };
	if (port->fds == 0)
		standin_forget(port);
	return 0;
}

static int request_pools(const struct nmx__nm_header *header)
{
	struct nmx__nm_pools *pools = (struct nmx__nm_pools *)(uintptr_t)header->body;
	const struct port *port = standin_find(header->name);
	const struct memory *m = !port ? NULL : port->memory ? port->memory : port->kind == NIC ? standin_global() : NULL;

	if (!m)
		return ENXIO;
	*pools = (struct nmx__nm_pools){ .memsize = m->bytes, .mem_id = m->id, .if_num = m->if_num, .if_size = STANDIN_IF_SIZE, .ring_num = m->ring_num,
		                         .ring_size = m->ring_size, .buf_num = m->buf_num, .buf_size = m->buf_size };
	return 0;
}

static int control(struct handle *h, struct nmx__nm_header *header)
{
	if (header->version != standin.api || header->reserved)
		return EINVAL;
	switch (header->type) {
	case NMX__NM_REGISTER: return request_register(h, header);
	case NMX__NM_PORT_INFO_GET: return request_info(header);
	case NMX__NM_POOLS_INFO_GET: return request_pools(header);
	default: return standin_switch_request(header);
	}
}

static int sync_handle(const struct handle *h, bool tx)
{
	tx ? standin.tx_syncs++ : standin.rx_syncs++;
	if (!h->port)
		return ENXIO;
	if (h->port->gone)
		return EIO;
	for (uint32_t i = h->first[tx]; i < h->end[tx]; i++)
		standin_sync(&h->port->kring[tx][i]);
	return 0;
}

static int standin_ioctl(int fd, unsigned long request, void *arg)
{
	struct handle *h;
	int err;

	pthread_mutex_lock(&standin.lock);
	h = find_handle(fd);
	if (!h || standin.not_netmap)
		err = ENOTTY;
	else if (request == NMX__NM_CTRL)
		err = control(h, arg);
	else
		err = request == NMX__NM_TXSYNC || request == NMX__NM_RXSYNC ? sync_handle(h, request == NMX__NM_TXSYNC) : EOPNOTSUPP;
	pthread_mutex_unlock(&standin.lock);
	errno = err;
	return err ? -1 : 0;
}

int standin_poll(int fd, int events)
{
	struct handle *h;
	int ready = 0;

	pthread_mutex_lock(&standin.lock);
	h = find_handle(fd);
	require(h && h->port);
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = h->first[tx]; i < h->end[tx] && (events & (tx ? POLLOUT : POLLIN)); i++) {
			const struct netmap_ring *ring = standin_ring(h->port, tx, i);

			standin_sync(&h->port->kring[tx][i]);
			ready |= ring->cur != ring->tail ? (tx ? POLLOUT : POLLIN) : 0;
		}
	pthread_mutex_unlock(&standin.lock);
	return ready;
}

static bool standin_is_up(const char *interface)
{
	const struct port *port;
	bool up;

	pthread_mutex_lock(&standin.lock);
	port = standin_find(interface);
	up = port && port->kind == NIC && !port->gone && !port->down;
	pthread_mutex_unlock(&standin.lock);
	return up;
}

/* ---- begin and end */

void standin_start(void)
{
	static const struct nmx__nm_sys calls = { standin_open, standin_close, standin_ioctl, standin_map, standin_unmap, standin_is_up };

	standin = (struct standin){ .lock = PTHREAD_MUTEX_INITIALIZER, .api = NMX__NM_API, .extra_most = UINT32_MAX };
	standin_switch_start();
	nmx__nm_sys = &calls;
}

void standin_stop(void)
{
	while (standin.ports) {
		standin.ports->persistent = false;
		standin.ports->kind = PIPE_END; /* goes when nobody has it */
		standin.ports->peer = NULL;
		standin_forget(standin.ports);
	}
	standin_memory_put(standin_global());
}

void standin_end(void)
{
	require_equal(standin.opened, standin.closed);
	require_equal(standin.mapped, 0);
	require_equal(standin_lost(standin_global()), 0);
	standin_stop();
	require_equal(standin.double_frees, 0);
}
