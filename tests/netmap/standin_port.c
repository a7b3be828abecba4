/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The stand-in's ports, rings and memories. */
#include "standin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support.h"

#define NIC_IFS      100 /* of the memory that all interfaces share */
#define PRIVATE_IFS  12
#define NUM_RINGS    200
#define NUM_BUFS     24576u
#define RING_SIZE    (sizeof(struct netmap_ring) + STANDIN_SLOTS * sizeof(struct netmap_slot))

static struct memory *memories[16];
static uint16_t last_id = 1; /* which is that of the interfaces */

/* ---- memories */

static uint32_t num_bufs(void) { return standin.buf_num ? standin.buf_num : NUM_BUFS; }
static size_t pages(size_t bytes) { return (bytes + 4095) / 4096 * 4096; }

struct memory *standin_memory_make(uint32_t buf_num, uint32_t if_num, uint32_t ring_num, uint32_t ring_size, uint8_t *given, size_t given_bytes)
{
	struct memory *m = calloc(1, sizeof(*m));
	size_t tables;
	int at = 0;

	while (memories[at])
		require(++at < 16);
	m->id = ++last_id ? last_id : (last_id = 2);
	m->file = -1;
	m->if_num = if_num ? if_num : PRIVATE_IFS;
	m->ring_num = ring_num;
	m->ring_size = ring_size ? ring_size : RING_SIZE;
	m->buf_size = STANDIN_BUF;
	tables = pages((size_t)m->if_num * STANDIN_IF_SIZE) + pages((size_t)ring_num * m->ring_size);
	m->buf_num = given ? (uint32_t)((given_bytes - tables) / STANDIN_BUF) : buf_num;
	m->bytes = tables + (size_t)m->buf_num * STANDIN_BUF;
	if (given)
		m->start = given;
	else {
		m->file = memfd_create("netmap", MFD_CLOEXEC);
		require(m->file >= 0 && ftruncate(m->file, (off_t)m->bytes) == 0);
		m->start = mmap(NULL, m->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->file, 0);
		require(m->start != MAP_FAILED);
	}
	m->if_used = calloc(m->if_num, sizeof(bool));
	m->ring_used = calloc(m->ring_num, sizeof(bool));
	m->buf_used = calloc(m->buf_num, sizeof(bool));
	m->refs = 1;
	memories[at] = m;
	return m;
}

struct memory *standin_memory_find(uint16_t id)
{
	for (int i = 0; i < 16; i++)
		if (memories[i] && memories[i]->id == id)
			return memories[i];
	return NULL;
}

void standin_memory_put(struct memory *m)
{
	if (--m->refs)
		return;
	for (int i = 0; i < 16; i++)
		if (memories[i] == m)
			memories[i] = NULL;
	for (uint32_t i = NMX__NM_FIRST_BUF; i < m->buf_num; i++)
		standin.double_frees += m->buf_used[i]; /* nobody has it, and nobody gave it back */
	if (m->file >= 0) {
		munmap(m->start, m->bytes);
		close(m->file);
	}
	free(m->if_used);
	free(m->ring_used);
	free(m->buf_used);
	free(m);
}

struct memory *standin_global(void)
{
	struct memory *m = standin_memory_find(1);

	if (!m) {
		m = standin_memory_make(num_bufs(), standin.if_num ? standin.if_num : NIC_IFS, NUM_RINGS, 0, NULL, 0);
		m->id = 1;
	}
	return m;
}

int standin_take(bool *used, uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < count; i++)
		if (!used[i]) {
			used[i] = true;
			return (int)i;
		}
	return -1;
}

void standin_free_buf(struct memory *m, uint32_t index)
{
	if (index < NMX__NM_FIRST_BUF || index >= m->buf_num)
		return;
	standin.double_frees += !m->buf_used[index];
	m->buf_used[index] = false;
}

/* Counts what is marked as used against what rings have. */
uint32_t standin_lost(const struct memory *m)
{
	uint32_t used = 0, had = 0;

	for (uint32_t i = NMX__NM_FIRST_BUF; i < m->buf_num; i++)
		used += m->buf_used[i];
	for (struct port *p = standin.ports; p; p = p->next)
		for (int tx = 0; tx < 2 && p->memory == m && p->has_rings; tx++)
			for (uint32_t i = 0; i < STANDIN_RINGS; i++)
				had += p->kind == PIPE_END && !tx ? 0 : p->kring[tx][i].num_slots;
	return used - had;
}

/* ---- rings */

struct netmap_ring *standin_ring(struct port *port, bool is_tx, uint32_t ring)
{
	return (struct netmap_ring *)(port->memory->start + port->kring[is_tx][ring].ofs);
}

static uint32_t rings_of(const struct port *port, int tx) { return port->rings[tx] + (port->kind == NIC ? port->host_rings[tx] : 0); }

/* A receive ring of a pipe begins with the buffers of the transmit ring at the other end. */
static void fill_slots(const struct memory *m, struct netmap_ring *ring, const struct netmap_ring *same)
{
	for (uint32_t s = 0; s < ring->num_slots; s++)
		ring->slot[s] = (struct netmap_slot){
			.buf_idx = same ? same->slot[s].buf_idx : (uint32_t)standin_take(m->buf_used, NMX__NM_FIRST_BUF, m->buf_num),
			.len = (uint16_t)m->buf_size,
		};
}

static int make_ring(struct port *port, int tx, uint32_t i)
{
	struct memory *m = port->memory;
	struct kring *k = &port->kring[tx][i];
	int slot = standin_take(m->ring_used, 0, m->ring_num);
	size_t bufs = m->bytes - (size_t)m->buf_num * m->buf_size;
	struct netmap_ring *ring;

	if (slot < 0)
		return ENOMEM;
	*k = (struct kring){ .is_tx = tx, .num_slots = port->slots[tx], .port = port,
		             .ofs = pages((size_t)m->if_num * STANDIN_IF_SIZE) + (size_t)slot * m->ring_size };
	k->hwtail = k->rtail = k->pipe_tail = tx ? k->num_slots - 1 : 0;
	ring = standin_ring(port, tx, i);
	memset(ring, 0, sizeof(*ring));
	*(int64_t *)&ring->buf_ofs = (int64_t)bufs - (int64_t)k->ofs;
	*(uint32_t *)&ring->num_slots = k->num_slots;
	*(uint32_t *)&ring->nr_buf_size = m->buf_size;
	*(uint16_t *)&ring->ringid = (uint16_t)i;
	*(uint16_t *)&ring->dir = (uint16_t)tx;
	ring->tail = k->hwtail;
	if (!tx)
		k->queue = calloc(STANDIN_QUEUE, sizeof(*k->queue));
	return 0;
}

static int make_all(struct port *port)
{
	int err = 0;

	if (port->has_rings)
		return 0;
	if (!port->memory) {
		port->memory = port->peer && port->kind == PIPE_END && port->peer->memory ? port->peer->memory
		               : port->kind == NIC                                       ? standin_global()
		                                                                         : NULL;
		if (port->memory)
			port->memory->refs++;
		else
			port->memory = standin_memory_make(num_bufs(), standin.if_num, NUM_RINGS, 0, NULL, 0);
	}
	port->has_rings = true;
	for (int tx = 1; tx >= 0; tx--)
		for (uint32_t i = 0; i < rings_of(port, tx) && !err; i++)
			err = make_ring(port, tx, i);
	return err;
}

static void fill_all(struct port *port, int tx, bool of_peer)
{
	for (uint32_t i = 0; i < rings_of(port, tx); i++)
		fill_slots(port->memory, standin_ring(port, tx, i), of_peer ? standin_ring(port->peer, true, i) : NULL);
}

/* Both ends of a pipe at once: each ring is one set of buffers. */
int standin_make_rings(struct port *port)
{
	struct port *peer = port->kind == PIPE_END ? port->peer : NULL;
	int err;

	if (port->has_rings)
		return 0;
	err = make_all(port);
	if (!err && peer)
		err = make_all(peer);
	if (err)
		return err;
	fill_all(port, 1, false);
	if (peer) {
		fill_all(peer, 1, false);
		fill_all(peer, 0, true);
		for (uint32_t i = 0; i < port->rings[1]; i++) {
			port->kring[1][i].pipe = &peer->kring[0][i];
			peer->kring[0][i].pipe = &port->kring[1][i];
		}
		for (uint32_t i = 0; i < peer->rings[1]; i++) {
			peer->kring[1][i].pipe = &port->kring[0][i];
			port->kring[0][i].pipe = &peer->kring[1][i];
		}
	}
	fill_all(port, 0, peer != NULL);
	return 0;
}

/* What was released has gone back to the sender, what was not is the receiver's still: as netmap gathers it. */
static uint32_t owner_of(const struct port *port, int tx, uint32_t i, uint32_t s)
{
	const struct kring *k = &port->kring[tx][i], *rx = k->pipe;
	const struct netmap_ring *ring = standin_ring((struct port *)port, tx, i);

	if (!rx)
		return ring->slot[s].buf_idx;
	/* [hwcur of the receiver, hwcur of the sender) is with the receiver. */
	uint32_t n = k->num_slots, from = rx->hwcur, to = k->hwcur;
	bool at_receiver = (s + n - from) % n < (to + n - from) % n;

	return at_receiver ? standin_ring(rx->port, false, i)->slot[s].buf_idx : ring->slot[s].buf_idx;
}

void standin_drop_rings(struct port *port)
{
	struct memory *m = port->memory;

	if (!port->has_rings)
		return;
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = 0; i < rings_of(port, tx); i++) {
			struct kring *k = &port->kring[tx][i];

			if (k->num_slots == 0)
				continue; /* there was no place for it */
			for (uint32_t s = 0; s < k->num_slots && !(port->kind == PIPE_END && !tx); s++)
				standin_free_buf(m, owner_of(port, tx, i, s));
			m->ring_used[(k->ofs - pages((size_t)m->if_num * STANDIN_IF_SIZE)) / m->ring_size] = false;
			free(k->queue);
			k->queue = NULL;
		}
}

static void forget_rings(struct port *port)
{
	if (port->has_rings)
		memset(port->kring, 0, sizeof(port->kring));
	port->has_rings = false;
	if (port->memory)
		standin_memory_put(port->memory);
	port->memory = NULL;
}

/* ---- ports */

struct port *standin_find(const char *name)
{
	for (struct port *p = standin.ports; p; p = p->next)
		if (strcmp(p->name, name) == 0)
			return p;
	return NULL;
}

static struct port *add(const char *name, enum kind kind, uint32_t tx_rings, uint32_t rx_rings, uint32_t tx_slots, uint32_t rx_slots)
{
	struct port *port = calloc(1, sizeof(*port)), **at = &standin.ports;

	memcpy(port->name, name, strnlen(name, sizeof(port->name) - 1));
	port->kind = kind;
	port->rings[0] = rx_rings;
	port->rings[1] = tx_rings;
	port->slots[0] = rx_slots;
	port->slots[1] = tx_slots;
	while (*at)
		at = &(*at)->next;
	*at = port;
	return port;
}

struct port *standin_nic(const char *name, uint32_t rings, uint32_t slots)
{
	struct port *port = add(name, NIC, rings, rings, slots, slots);

	port->host_rings[0] = port->host_rings[1] = 1;
	return port;
}

void standin_wire(struct port *a, struct port *b)
{
	a->peer = b;
	b->peer = a;
}

static uint32_t given(uint32_t asked, uint32_t otherwise, uint32_t most)
{
	return asked == 0 ? otherwise : asked < most ? asked : most;
}

static struct port *make_pipe(const char *name, const struct nmx__nm_register *reg)
{
	char other[64] = "";
	struct port *a, *b;
	char *brace;

	memcpy(other, name, strnlen(name, sizeof(other) - 1));
	brace = strpbrk(other, "{}");
	*brace = *brace == '{' ? '}' : '{';
	a = add(name, PIPE_END, given(reg->tx_rings, 1, 8), given(reg->rx_rings, 1, 8), given(reg->tx_slots, STANDIN_SLOTS, STANDIN_SLOTS),
	        given(reg->rx_slots, STANDIN_SLOTS, STANDIN_SLOTS));
	b = add(other, PIPE_END, a->rings[0], a->rings[1], a->slots[0], a->slots[1]);
	standin_wire(a, b);
	return a;
}

static bool is_switch_port(const char *name, int *err)
{
	const char *colon = strchr(name, ':');

	if (strncmp(name, "vale", 4) != 0)
		return false;
	*err = !colon || strlen(colon + 1) > 15 ? ENOMEM : 0;
	return true;
}

struct port *standin_port(const char *name, const struct nmx__nm_register *reg, int *err)
{
	struct port *port = standin_find(name);

	*err = 0;
	if (port && (reg->flags & (NMX__NM_MONITOR_RX | NMX__NM_MONITOR_TX)) && !strchr(name, '#')) {
		*err = port->fds ? 0 : EINVAL;
		port = port->fds ? add("", MONITOR, 1, 1, STANDIN_SLOTS, STANDIN_SLOTS) : NULL;
		if (port)
			strcpy(port->name, "monitor#0");
		return port;
	}
	if (reg->mem_id && !standin_memory_find(reg->mem_id) && !(reg->mem_id == 1 && standin_global())) {
		*err = EINVAL;
		return NULL;
	}
	if (port && reg->mem_id && port->memory && port->memory->id != reg->mem_id) {
		*err = EINVAL;
		return NULL;
	}
	if (port)
		return port;
	if (strncmp(name, "vale", 4) == 0 && strchr(name, ':') && standin_find(strchr(name, ':') + 1) && *standin_find(strchr(name, ':') + 1)->bridge) {
		*err = EINVAL; /* renamed */
		return NULL;
	}
	if (strpbrk(name, "{}"))
		return make_pipe(name, reg);
	if (!is_switch_port(name, err)) {
		*err = ENXIO;
		return NULL;
	}
	if (*err)
		return NULL;
	port = add(name, SWITCH_PORT, given(reg->tx_rings, 1, 16), given(reg->rx_rings, 1, 16), given(reg->tx_slots, STANDIN_SLOTS, STANDIN_SLOTS),
	           given(reg->rx_slots, STANDIN_SLOTS, STANDIN_SLOTS));
	memcpy(port->bridge, name, strcspn(name, ":") < sizeof(port->bridge) ? strcspn(name, ":") : 0);
	if (reg->mem_id) {
		port->memory = standin_memory_find(reg->mem_id);
		port->memory->refs++;
	}
	return port;
}

static void take_out(struct port *port)
{
	for (struct port **at = &standin.ports; *at; at = &(*at)->next)
		if (*at == port) {
			*at = port->next;
			free(port);
			return;
		}
}

void standin_forget(struct port *port)
{
	struct port *peer = port->kind == PIPE_END ? port->peer : NULL;

	if (peer && peer->fds > 0)
		return; /* both ends go together */
	standin_drop_rings(port);
	if (peer)
		standin_drop_rings(peer);
	forget_rings(port);
	if (peer) {
		forget_rings(peer);
		take_out(peer);
	}
	if (port->kind != NIC && !port->persistent)
		take_out(port);
}

void standin_unplug(struct port *port)
{
	pthread_mutex_lock(&standin.lock);
	port->gone = true;
	for (int tx = 0; tx < 2; tx++)
		for (uint32_t i = 0; i < rings_of(port, tx); i++)
			standin_ready(&port->kring[tx][i], true);
	pthread_mutex_unlock(&standin.lock);
}
