/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench.h"
#include "memif.h"

enum { VERSION = 2 << 8, COOKIE = 0x3e31f20, NO_INTERRUPTS = 1, FROM_CLIENT = 1, MOST_LOG2_SLOTS = 14 };
enum type { ACK = 1, HELLO, INIT, ADD_REGION, ADD_RING, CONNECT, CONNECTED, DISCONNECT };

/* One a packet of the socket, with a descriptor where it says so. */
struct message {
	uint16_t type;
	union {
		struct __attribute__((__packed__)) {
			char name[32];
			uint16_t least_version, most_version, last_region, last_to_client, last_from_client;
			uint8_t log2_slots;
		} hello;
		struct __attribute__((__packed__)) {
			uint16_t index;
			uint64_t size;
		} region; /* with it: its memory */
		struct __attribute__((__packed__)) {
			uint16_t flags, index, region;
			uint32_t offset;
			uint8_t log2_slots;
			uint16_t private_size;
		} ring; /* with it: an eventfd */
		char name[32];
		struct __attribute__((__packed__)) {
			uint32_t code;
			char reason[96];
		} disconnect;
		uint8_t all[126];
	};
} __attribute__((__packed__));
_Static_assert(sizeof(struct message) == 128, "as memif 2.0 has it");

int memif_listen(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
		die(path, strerror(errno));
	return fd;
}

static void say(const struct memif *m, const struct message *message)
{
	if (send(m->fd, message, sizeof(*message), MSG_NOSIGNAL) != (ssize_t)sizeof(*message))
		die("memif", "the client does not listen");
}

/* Returns the descriptor that came with it, or -1. */
static int hear(const struct memif *m, struct message *message)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = { message, sizeof(*message) };
	struct msghdr packet = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(m->fd, &packet, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(*message))
		die("memif", "the client has gone");
	c = CMSG_FIRSTHDR(&packet);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static void add_region(struct memif *m, const struct message *message, int fd)
{
	void *memory;

	if (message->region.index >= MEMIF_REGIONS)
		die("memif", "the client has too many regions");
	memory = mmap(NULL, message->region.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		die("memif", strerror(errno));
	m->region[message->region.index] = memory;
	close(fd);
}

static uint8_t *region_at(const struct memif *m, uint32_t index)
{
	if (index < MEMIF_REGIONS && m->region[index])
		return m->region[index];
	die("memif", "the client has a ring nowhere");
}

static void add_ring(struct memif *m, const struct message *message, int fd)
{
	struct memif_ring *ring =
	    (struct memif_ring *)(void *)(region_at(m, message->ring.region) + message->ring.offset);

	if (ring->cookie != COOKIE)
		die("memif", "a ring is not one");
	m->mask = (1u << message->ring.log2_slots) - 1;
	if (message->ring.flags & FROM_CLIENT) {
		m->from_client = ring;
		ring->flags |= NO_INTERRUPTS;
	} else {
		m->to_client = ring;
	}
	close(fd);
}

void memif_accept(struct memif *m, int listening)
{
	const struct message hello = { HELLO, .hello = { "nmx-bench", VERSION, VERSION, MEMIF_REGIONS - 1, 0, 0,
		                                         MOST_LOG2_SLOTS } },
			     ack = { ACK, .all = { 0 } };
	struct message message;

	if ((m->fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC)) < 0)
		die("memif", strerror(errno));
	say(m, &hello);
	for (;; say(m, &ack)) {
		int fd = hear(m, &message);

		if (message.type == ADD_REGION)
			add_region(m, &message, fd);
		else if (message.type == ADD_RING)
			add_ring(m, &message, fd);
		else if (message.type == CONNECT)
			break;
		else if (message.type != INIT)
			die("memif",
			    message.type == DISCONNECT ? message.disconnect.reason : "the client speaks in riddles");
	}
	if (!m->to_client || !m->from_client)
		die("memif", "the client has no rings");
}

void memif_let_go(struct memif *m) { say(m, &(struct message){ CONNECTED, .name = "nmx-bench" }); }

void memif_outlive(struct memif *m)
{
	struct message message;

	while (recv(m->fd, &message, sizeof(message), 0) > 0)
		;
}
