/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The bare copying loop: the least that is a learning switch in shared memory.  A queue of full buffers for each port, which
 * senders copy into under its lock, once a batch; a table of addresses, one word each, without ageing.  No checks, no
 * counters, nothing to recover.  What finds no room is gone.
 */
#include <sched.h>

#include "switch.h"

enum { PORTS = 8, SLOTS = 1024, STRIDE = 2048, TABLE = 1024, SPINS = 1000 };

struct copy_port {
	_Atomic uint32_t lock;
	uint8_t pad0[124];
	_Atomic uint32_t tail;
	uint8_t pad1[124];
	_Atomic uint32_t head;
	uint8_t pad2[124];
	uint32_t len[SLOTS];
	uint8_t data[SLOTS][STRIDE] __attribute__((__aligned__(4096)));
};

static struct copy_switch {
	_Atomic uint64_t table[TABLE]; /* an address, and the port above it */
	struct copy_port port[PORTS];
} * copy_switch;

/* A sender: its port, and a transmit ring of one batch. */
struct copy_sender {
	uint32_t port;
	uint8_t to[MOST_BATCH]; /* PORTS: all */
	uint8_t data[MOST_BATCH][STRIDE];
};

static void copy_prepare(const struct switch_plan *plan)
{
	if (plan->base.slots != SLOTS || plan->base.batch > MOST_BATCH)
		die("the copying loop", "has other slots");
	if (!copy_switch)
		copy_switch = shared_memory(sizeof(*copy_switch));
	for (uint32_t i = 0; i < PORTS; i++)
		copy_switch->port[i].lock = copy_switch->port[i].tail = copy_switch->port[i].head = 0;
}

static uint64_t address_at(const uint8_t *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return value & 0xffffffffffff;
}

static uint32_t hash(uint64_t address) { return (uint32_t)((address * 0x9e3779b97f4a7c15) >> 54); }

static void learn(uint64_t address, uint32_t port)
{
	_Atomic uint64_t *word = &copy_switch->table[hash(address)];
	uint64_t now = address | (uint64_t)port << 48;

	if (atomic_load_explicit(word, memory_order_relaxed) != now)
		atomic_store_explicit(word, now, memory_order_relaxed);
}

static uint32_t find(uint64_t address)
{
	uint64_t word = atomic_load_explicit(&copy_switch->table[hash(address)], memory_order_relaxed);

	return (address & 1) || (word & 0xffffffffffff) != address ? PORTS : (uint32_t)(word >> 48);
}

static void lock(struct copy_port *p)
{
	for (uint32_t i = 1; atomic_exchange_explicit(&p->lock, 1, memory_order_acquire); i++)
		if (i % SPINS)
			spin_hint();
		else
			sched_yield();
}

/* Copies what is for this port. */
static void bring(const struct copy_sender *s, uint32_t n, uint32_t len, uint32_t to)
{
	struct copy_port *p = &copy_switch->port[to];
	uint32_t tail, room;

	lock(p);
	tail = atomic_load_explicit(&p->tail, memory_order_relaxed);
	room = SLOTS - (tail - atomic_load_explicit(&p->head, memory_order_acquire));
	for (uint32_t i = 0; i < n && room > 0; i++)
		if (s->to[i] == to || s->to[i] == PORTS) {
			p->len[tail % SLOTS] = len;
			memcpy(p->data[tail % SLOTS], s->data[i], len);
			tail++;
			room--;
		}
	atomic_store_explicit(&p->tail, tail, memory_order_release);
	atomic_store_explicit(&p->lock, 0, memory_order_release);
}

/* Ports of receivers come first, and only these are brought anything: nobody sends to a sender. */
static void forward(struct copy_sender *s, uint32_t n, uint32_t len, uint32_t receivers)
{
	uint32_t touched = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t to = find(address_at(s->data[i]));

		learn(address_at(s->data[i] + 6), s->port);
		s->to[i] = (uint8_t)to;
		touched |= to == PORTS ? (1u << receivers) - 1 : 1u << to;
	}
	for (uint32_t to = 0; to < receivers; to++)
		if (touched & (1u << to))
			bring(s, n, len, to);
}

static void copy_send(const struct switch_contender *c, const struct switch_plan *plan, struct meeting *m,
                      uint32_t index)
{
	static struct copy_sender s;
	const struct header header = header_of_sender(plan, index);
	uint64_t seed = 0;

	(void)c;
	s.port = receivers_of(plan) + index;
	gather(plan, m);
	while (!is_stopped(m)) {
		for (uint32_t i = 0; i < plan->base.batch; i++)
			write_packet(s.data[i], plan, &header, seed++);
		forward(&s, plan->base.batch, plan->base.len, receivers_of(plan));
	}
}

static uint32_t take(const struct switch_plan *plan, struct copy_port *p, uint64_t *sum)
{
	uint32_t head = atomic_load_explicit(&p->head, memory_order_relaxed),
		 tail = atomic_load_explicit(&p->tail, memory_order_acquire);

	for (uint32_t i = head; i != tail; i++)
		*sum += plan->base.touch ? read_payload(p->data[i % SLOTS], p->len[i % SLOTS]) : p->len[i % SLOTS];
	if (head != tail)
		atomic_store_explicit(&p->head, tail, memory_order_release);
	return tail - head;
}

static void copy_receive(const struct switch_contender *c, const struct switch_plan *plan, struct meeting *m)
{
	uint64_t count = 0, sum = 0;
	struct window window;

	(void)c;
	for (uint32_t i = 0; i < receivers_of(plan); i++) {
		const struct header hello = header_of_receiver(i);

		learn(address_at(hello.bytes + 6), i);
	}
	gather(plan, m);
	window = window_open(&plan->base);
	for (uint32_t turn = 0; turn % 256 || !window_over(&window, count, m); turn++)
		for (uint32_t i = 0; i < receivers_of(plan); i++)
			count += take(plan, &copy_switch->port[i], &sum);
	m->checksum = sum;
}

const struct switch_contender copy_contender = {
	.is = { "copy", NULL }, .send = copy_send, .receive = copy_receive, .prepare = copy_prepare
};
