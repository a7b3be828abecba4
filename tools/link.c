/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "link.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "say.h"
#include "stop.h"

static enum link_state state_of(const char *name)
{
	enum link_state state = LINK_NONE;
	struct ifreq request;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return LINK_NONE; /* it cannot be told, so nothing is said */
	memset(&request, 0, sizeof(request));
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		state = LINK_GONE;
	else if (!(request.ifr_flags & IFF_UP))
		state = LINK_DOWN;
	else
		state = (request.ifr_flags & IFF_RUNNING) ? LINK_UP : LINK_NO_CARRIER;
	close(fd);
	return state;
}

void link_start(struct link *link, const char *command, const char *name)
{
	*link = (struct link){ .command = command };
	snprintf(link->name, sizeof(link->name), "%s", name);
	if (link->name[0])
		link->state = state_of(link->name);
}

bool link_is_down(const struct link *link) { return link->state == LINK_DOWN || link->state == LINK_NO_CARRIER; }

static void say_state(const struct link *link)
{
	const char *command = link->command;

	switch (link->state) {
	case LINK_UP:
		say(command, "%s: the link is up", link->name);
		break;
	case LINK_NO_CARRIER:
		say(command, "%s: the interface is up, but there is no link", link->name);
		break;
	case LINK_DOWN:
		say(command, "%s: the interface is down; ip link set %s up", link->name, link->name);
		break;
	case LINK_GONE: /* its rings will say so */
	case LINK_NONE:
		break;
	}
}

enum link_state link_look(struct link *link)
{
	enum link_state before = link->state;

	if (!link->name[0])
		return LINK_NONE;
	link->state = state_of(link->name);
	if (link->state != before)
		say_state(link);
	return link->state;
}

void link_await(struct link *const *links, int n, uint64_t timeout_ns)
{
	uint64_t deadline = clock_ns() + timeout_ns;
	bool waits = true;

	while (waits && !stop_asked()) {
		waits = false;
		for (int i = 0; i < n; i++) {
			if (links[i]->name[0])
				links[i]->state = state_of(links[i]->name);
			waits |= link_is_down(links[i]);
		}
		if (waits && clock_ns() >= deadline)
			break;
		if (waits)
			clock_sleep(STOP_SLICE_MS * CLOCK_MS / 2);
	}
	for (int i = 0; i < n; i++)
		if (link_is_down(links[i]))
			say_state(links[i]);
}
