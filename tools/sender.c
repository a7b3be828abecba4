/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "sender.h"

#include "clock.h"
#include "say.h"
#include "stop.h"
#include "units.h"

#define WAIT_RINGS 64 /* more than that are looked at every slice of a wait */

void sender_start(struct sender *sender, struct port *port, struct live *live, uint64_t timeout_ns)
{
	*sender = (struct sender){ .port = port, .live = live, .timeout_ns = timeout_ns, .moved_ns = clock_ns() };
	sender_use(sender, 0, 1);
}

void sender_go(struct sender *sender, uint32_t ring)
{
	sender->at = ring;
	sender->tx = sender->rings[ring];
	sender->free_slots = nmx_tx_space(sender->tx);
}

void sender_use(struct sender *sender, uint32_t first, uint32_t num)
{
	sender->rings = sender->port->all_tx + first;
	sender->num_rings = num;
	sender_go(sender, 0);
}

/* Takes note of what a call on a ring returned.  False: it was an error. */
static bool note(struct sender *sender, int result)
{
	if (result == NMX_ERR_PEER_GONE)
		sender->peer_gone = true;
	else if (result < 0 && result != NMX_ERR_TIMED_OUT)
		sender->err = result;
	return result >= 0 || result == NMX_ERR_TIMED_OUT;
}

static int sync_ring(struct sender *sender, struct nmx_tx *tx)
{
	return port_tx_news(sender->port, tx, nmx_tx_sync(tx));
}

bool sender_sync(struct sender *sender)
{
	int free_slots = sync_ring(sender, sender->tx);

	if (!note(sender, free_slots))
		return false;
	sender->free_slots = (uint32_t)free_slots;
	return true;
}

static bool timed_out(struct sender *sender, uint64_t now)
{
	sender->gave_up |= sender->timeout_ns && now - sender->moved_ns >= sender->timeout_ns;
	return sender->gave_up;
}

/* Nothing moves: the rate all the same, and why that may be. */
static void tick(struct sender *sender, uint64_t now)
{
	live_tick(sender->live, now, sender->packets, sender->bytes);
	if (now < sender->link_due_ns)
		return;
	sender->link_due_ns = now + CLOCK_S;
	link_look(&sender->port->link);
}

static bool sync_all(struct sender *sender, struct nmx_tx **rings, uint32_t num, uint64_t *free_slots)
{
	*free_slots = 0;
	for (uint32_t i = 0; i < num; i++) {
		int n = sync_ring(sender, rings[i]);
		if (!note(sender, n))
			return false;
		*free_slots += (uint32_t)n;
	}
	return true;
}

/* Until one of the rings has room for `slots`: its number, or num, as sender_wait() says. */
static uint32_t wait_for_one(struct sender *sender, struct nmx_tx **rings, uint32_t num, uint32_t slots)
{
	struct nmx_wait_entry entries[WAIT_RINGS];
	uint64_t before = 0, free_slots;
	uint32_t n = num < WAIT_RINGS ? num : WAIT_RINGS;

	for (uint32_t i = 0; i < num; i++)
		before += nmx_tx_space(rings[i]);
	sender->moved_ns = clock_ns();
	while (!stop_asked()) {
		for (uint32_t i = 0; i < n; i++)
			entries[i] = (struct nmx_wait_entry){ .tx = rings[i], .slots = slots };
		int ready = port_rx_news(sender->port, nmx_wait(entries, n, STOP_SLICE_MS));
		if (!note(sender, ready) || !sync_all(sender, rings, num, &free_slots))
			return num;
		for (uint32_t i = 0; i < num; i++)
			if (nmx_tx_space(rings[i]) >= (i < n && entries[i].ready ? 1 : slots))
				return i;
		uint64_t now = clock_ns();
		if (free_slots != before)
			sender->moved_ns = now;
		before = free_slots;
		if (timed_out(sender, now))
			return num;
		tick(sender, now);
	}
	return num;
}

bool sender_wait(struct sender *sender, uint32_t slots)
{
	if (wait_for_one(sender, &sender->tx, 1, slots) == 1)
		return false;
	sender->free_slots = nmx_tx_space(sender->tx);
	return true;
}

bool sender_next(struct sender *sender, uint32_t slots)
{
	uint32_t num = sender->num_rings;

	for (uint32_t i = 1; i <= num; i++) {
		sender_go(sender, sender->at + 1 < num ? sender->at + 1 : 0);
		if (sender->free_slots == 0 && num > 1 && !sender_sync(sender))
			return false;
		if (sender->free_slots > 0)
			return true;
	}
	uint32_t ready = wait_for_one(sender, sender->rings, num, slots);
	if (ready == num)
		return false;
	sender_go(sender, ready);
	return true;
}

/* Of the ring at hand.  True: everything was taken. */
static bool drain(struct sender *sender)
{
	sender->moved_ns = clock_ns();
	for (;;) {
		bool hopeless = sender->peer_gone || sender->gave_up;
		uint32_t before = sender->free_slots;
		int err = nmx_tx_drain(sender->tx, hopeless ? 0 : STOP_SLICE_MS);
		if (err == 0)
			return true;
		note(sender, port_rx_news(sender->port, err));
		if (sender->err < 0 || hopeless)
			return false;
		if (sender->peer_gone)
			continue; /* it may have taken everything before it went */
		if (!sender_sync(sender) && sender->err < 0)
			return false;
		uint64_t now = clock_ns();
		if (sender->free_slots != before)
			sender->moved_ns = now;
		if (stop_asked() || timed_out(sender, now))
			return false;
		tick(sender, now);
	}
}

/* After a drain that failed.  A ring shows one slot less than it has: netmap(4). */
static uint64_t slots_in_use(const struct sender *sender)
{
	const struct nmx_info *info = &sender->port->info;
	uint32_t space = nmx_tx_space(sender->tx), all = info->tx_slots - 1;

	return space < all ? all - space : 0;
}

static void say_not_taken(const struct sender *sender, uint64_t left)
{
	const struct port *port = sender->port;
	char text[UNITS_TEXT];

	units_grouped(text, left);
	if (sender->peer_gone)
		say(port->command, "the other end has gone; it did not take the last packets (slots: %s)", text);
	else if (port->link.name[0])
		say(port->command, "%s did not send the last packets (slots: %s)%s", port->name, text,
		    link_is_down(&port->link) ? ": its link is down" : "");
	else
		say(port->command, "nobody took the last packets (slots: %s): is the other end of %s open?", text,
		    port->name);
}

uint64_t sender_finish(struct sender *sender)
{
	uint64_t left = 0;
	bool all = true;

	for (uint32_t i = 0; i < sender->num_rings; i++) {
		sender_go(sender, i);
		if (sender->err == 0 && drain(sender))
			continue;
		all = false;
		left += slots_in_use(sender);
	}
	if (sender->err < 0)
		port_say_error(sender->port, sender->err);
	else if (!all)
		say_not_taken(sender, left);
	return left;
}
