/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <string.h>

#include "switch_model.h"

enum { HEADER_LEN = 14, BUF_LEN = 2048 };

/* Slots of one packet, among what its sender has sent. */
struct packet {
	struct sent *slots;
	uint32_t n;
	uint64_t bytes;
};

/* ---- units */

static uint32_t count(const struct units *u) { return u->tail - u->head; }

static struct unit *at(struct units *u, uint32_t i) { return &u->at[i % (2 * MODEL_SLOTS)]; }

static void push(struct units *to, struct unit unit) { *at(to, to->tail++) = unit; }

static struct unit pop(struct units *from) { return *at(from, from->head++); }

/* ---- shapes */

/* A ring is never full: one slot is nobody's. */
static uint32_t usable(uint32_t slots) { return slots - 1; }

static uint32_t most_frags(uint32_t slots) { return usable(slots) < NETMAP_MAX_FRAGS ? usable(slots) : NETMAP_MAX_FRAGS; }

/* A queue holds what the ring does, at least. */
static uint32_t room_in_queue(const struct model_port *port)
{
	uint32_t capacity = 1;

	while (capacity < usable(port->rx_slots))
		capacity *= 2;
	return capacity - count(&port->queue);
}

/* ---- where a packet goes */

static bool is_group(uint8_t host) { return host == GROUP || host == EVERYBODY; }

static bool hears(const struct model_port *port) { return port->open && !port->deaf; }

/* Who hears what goes to all: everybody else. */
static uint32_t find_audience(struct model *m, const struct model_port *sender, struct model_port **audience)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < MODEL_PORTS; i++)
		if (&m->port[i] != sender && hears(&m->port[i]))
			audience[n++] = &m->port[i];
	return n;
}

static struct model_port *port_of_number(struct model *m, uint32_t number)
{
	for (uint32_t i = 0; i < MODEL_PORTS; i++)
		if (m->port[i].open && m->port[i].number == number)
			return &m->port[i];
	return NULL;
}

/* For one port alone, or, if it has none, for nobody; or for all who hear. */
struct target {
	struct model_port *port;
	bool all;
};

static struct target find_host(struct model *m, const struct model_port *sender, uint8_t host)
{
	struct model_port *audience[MODEL_PORTS];

	if (is_group(host))
		return (struct target){ .all = true };
	if (m->port_of[host])
		return (struct target){ .port = &m->port[m->port_of[host] - 1] };
	if (find_audience(m, sender, audience) == 1) /* then it is for that one alone, and can wait */
		return (struct target){ .port = audience[0] };
	return (struct target){ .all = true };
}

/* ---- what becomes of it */

enum fate { ARRIVES, WAITS, IS_LOST };

/* others_wait: something for this receiver does, and nothing may overtake that. */
static enum fate deliver(struct model_port *sender, struct model_port *receiver, const struct packet *p, bool can_wait,
                         bool others_wait)
{
	if (p->n > most_frags(receiver->rx_slots)) {
		sender->stats.drop_too_long++;
		return IS_LOST;
	}
	if (others_wait || p->n > room_in_queue(receiver)) {
		if (can_wait)
			return WAITS;
		sender->stats.drop_full++;
		receiver->stats.drop_no_buffer++;
		return IS_LOST;
	}
	for (uint32_t i = 0; i < p->n; i++)
		push(&receiver->queue, p->slots[i].unit);
	return ARRIVES;
}

static void count_sent(struct model_port *sender, const struct packet *p)
{
	sender->stats.tx_packets++;
	sender->stats.tx_bytes += p->bytes;
}

/* Each who has no room misses it; it is sent once, whoever gets it. */
static void send_to_all(struct model *m, struct model_port *sender, const struct packet *p, const bool *waits)
{
	struct model_port *audience[MODEL_PORTS];
	uint32_t n = find_audience(m, sender, audience);

	count_sent(sender, p);
	for (uint32_t i = 0; i < n; i++)
		(void)deliver(sender, audience[i], p, false, waits[audience[i] - m->port]);
}

static enum fate send_to_one(struct model_port *sender, struct model_port *to, const struct packet *p, bool others_wait)
{
	enum fate fate;

	if (!to || to == sender || !hears(to)) {
		sender->stats.drop_no_port++;
		return IS_LOST;
	}
	fate = deliver(sender, to, p, sender->blocking, others_wait);
	if (fate == ARRIVES)
		count_sent(sender, p);
	return fate;
}

/* The packet that begins there.  One that lacks its end ends with the batch, for good. */
static struct packet packet_at(struct model_port *sender, uint32_t place)
{
	struct packet p = { .slots = &sender->sent[place] };

	while (place + p.n < sender->num_sent) {
		struct unit *unit = &p.slots[p.n++].unit;

		p.bytes += unit->len;
		if (!unit->more)
			return p;
	}
	p.slots[p.n - 1].unit.more = false;
	return p;
}

static uint32_t len_of(const struct sent *s) { return s->no_data ? 0 : s->unit.len; }

/* Else it is counted as what it is. */
static bool is_frame(struct model_port *sender, const struct packet *p)
{
	bool fits = p->n <= most_frags(sender->tx_slots);

	for (uint32_t i = 0; i < p->n; i++)
		fits = fits && len_of(&p->slots[i]) > 0 && len_of(&p->slots[i]) <= BUF_LEN;
	if (len_of(p->slots) < HEADER_LEN)
		sender->stats.drop_too_short++;
	else if (!fits)
		sender->stats.drop_too_long++;
	return fits && len_of(p->slots) >= HEADER_LEN;
}

/* What is before the first that waits is through.  Behind it, what does not wait is done. */
static void keep_what_waits(struct model_port *sender, const bool *held)
{
	uint32_t first = 0;

	while (first < sender->num_sent && !held[first])
		first++;
	for (uint32_t i = first; i < sender->num_sent; i++)
		sender->sent[i].done = !held[i];
	sender->num_sent -= first;
	memmove(sender->sent, sender->sent + first, sender->num_sent * sizeof(sender->sent[0]));
}

void model_tx_sync(struct model *m, uint32_t index)
{
	struct model_port *sender = &m->port[index];
	bool waits[MODEL_PORTS] = { false }, held[MODEL_SLOTS] = { false };
	struct target found = { 0 };
	struct packet p;
	int last = -1;

	for (uint32_t place = 0; place < sender->num_sent; place += p.n) {
		const struct sent *first = &sender->sent[place];
		uint32_t forced = first->flags >> NS_PORT_SHIFT;
		struct target to;

		p = (struct packet){ .n = 1 };
		if (first->done)
			continue;
		p = packet_at(sender, place);
		if (!is_frame(sender, &p))
			continue;
		if (!(first->flags & NS_NO_LEARN) && !is_group(first->unit.src))
			m->port_of[first->unit.src] = (uint8_t)(index + 1);
		if (first->unit.dst != last) /* what follows goes there too, even if its host has moved here meanwhile */
			found = find_host(m, sender, first->unit.dst);
		last = first->unit.dst;
		to = forced ? (struct target){ .port = port_of_number(m, forced) } : found;
		if (to.all)
			send_to_all(m, sender, &p, waits);
		else if (send_to_one(sender, to.port, &p, to.port && waits[to.port - m->port]) == WAITS) {
			waits[to.port - m->port] = true;
			memset(held + place, true, p.n);
		}
	}
	keep_what_waits(sender, held);
}

/* ---- receivers */

/* Slots of the first packet of the queue. */
static uint32_t first_packet(struct units *queue, uint64_t *bytes)
{
	uint32_t n = 0;

	*bytes = 0;
	do
		*bytes += at(queue, queue->head + n)->len;
	while (at(queue, queue->head + n++)->more);
	return n;
}

void model_rx_sync(struct model_port *port)
{
	uint64_t bytes;

	if (port->seen == port->queue.head) /* else there is something to do without looking for more */
		port->seen = port->queue.tail;
	while (port->queue.head != port->seen) {
		uint32_t n = first_packet(&port->queue, &bytes), room = usable(port->rx_slots) - count(&port->ring);

		if (room == 0)
			return;
		if (n > 1 && !port->chains) {
			port->queue.head += n;
			port->stats.drop_too_long++;
			continue;
		}
		if (n > room)
			return;
		for (uint32_t i = 0; i < n; i++)
			push(&port->ring, pop(&port->queue));
		port->stats.rx_packets++;
		port->stats.rx_bytes += bytes;
	}
}

uint32_t model_waiting(const struct model_port *port) { return count(&port->ring); }

struct unit model_take(struct model_port *port) { return pop(&port->ring); }

/* ---- ports */

void model_open(struct model *m, uint32_t index, const struct model_port *shape)
{
	m->port[index] = *shape;
	m->port[index].open = true;
}

void model_close(struct model *m, uint32_t index)
{
	m->port[index].blocking = false;
	model_tx_sync(m, index);
	m->port[index].open = false;
	for (uint32_t host = 0; host < MODEL_HOSTS; host++)
		if (m->port_of[host] == index + 1)
			m->port_of[host] = 0;
}

uint32_t model_space(const struct model_port *port) { return usable(port->tx_slots) - port->num_sent; }

void model_put(struct model_port *port, const struct sent *sent) { port->sent[port->num_sent++] = *sent; }
