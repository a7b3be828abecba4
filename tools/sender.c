/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "sender.h"

#include "clock.h"
#include "say.h"
#include "stop.h"
#include "units.h"

void sender_start(struct sender *sender, struct port *port, struct live *live, uint64_t timeout_ns)
{
	*sender = (struct sender){ .port = port, .live = live, .timeout_ns = timeout_ns, .moved_ns = clock_ns() };
}

/* Takes note of what a call on the ring returned.  False: it was an error. */
static bool note(struct sender *sender, int result)
{
	if (result == NMX_ERR_PEER_GONE)
		sender->peer_gone = true;
	else if (result < 0 && result != NMX_ERR_TIMED_OUT)
		sender->err = result;
	return result >= 0 || result == NMX_ERR_TIMED_OUT;
}

bool sender_sync(struct sender *sender)
{
	int free_slots = nmx_tx_sync(sender->port->tx);

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

bool sender_wait(struct sender *sender, uint32_t slots)
{
	sender->moved_ns = clock_ns();
	while (!stop_asked()) {
		int ready = nmx_tx_wait(sender->port->tx, slots, STOP_SLICE_MS);
		uint32_t before = sender->free_slots;
		if (!note(sender, ready) || !sender_sync(sender))
			return false;
		if (ready > 0)
			return true;
		uint64_t now = clock_ns();
		if (sender->free_slots != before)
			sender->moved_ns = now;
		if (timed_out(sender, now))
			return false;
		live_tick(sender->live, now, sender->packets, sender->bytes);
	}
	return false;
}

/* True: everything was taken. */
static bool drain(struct sender *sender)
{
	sender->moved_ns = clock_ns();
	for (;;) {
		bool hopeless = sender->peer_gone || sender->gave_up;
		uint32_t before = sender->free_slots;
		int err = nmx_tx_drain(sender->port->tx, hopeless ? 0 : STOP_SLICE_MS);
		if (err == 0)
			return true;
		note(sender, err);
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
		live_tick(sender->live, now, sender->packets, sender->bytes);
	}
}

/* After a drain that failed.  A ring shows one slot less than it has: netmap(4). */
static uint64_t slots_in_use(const struct sender *sender)
{
	const struct nmx_info *info = &sender->port->info;
	uint32_t space = nmx_tx_space(sender->port->tx), all = info->tx_slots - 1;

	return space < all ? all - space : 0;
}

uint64_t sender_finish(struct sender *sender)
{
	const char *command = sender->port->command;
	char text[UNITS_TEXT];

	if (sender->err == 0 && drain(sender))
		return 0;
	uint64_t left = slots_in_use(sender);
	if (sender->err < 0)
		port_say_error(sender->port, sender->err);
	else if (sender->peer_gone)
		say(command, "the other end has gone; it did not take the last packets (slots: %s)",
		    units_grouped(text, left));
	else
		say(command, "nobody took the last packets (slots: %s): is the other end of %s open?",
		    units_grouped(text, left), sender->port->name);
	return left;
}
