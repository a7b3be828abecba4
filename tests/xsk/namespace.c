/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "namespace.h"

int namespace_required(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNET) < 0) {
		printf("network namespaces cannot be made (%s): run the tests as root\n", strerror(errno));
		exit(77);
	}
	if (system("ip link add nmxtest0 type veth peer name nmxtest1 >/dev/null 2>&1 && ip link del nmxtest0") !=
	    0) {
		printf("veth interfaces cannot be made: they need the command ip (package iproute2) and the module "
		       "veth\n");
		exit(77);
	}
	return 0;
}

int namespace_make(void)
{
	require(unshare(CLONE_NEWNET) == 0);
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	require(fd >= 0);
	return fd;
}

void namespace_go(int namespace_fd) { require(setns(namespace_fd, CLONE_NEWNET) == 0); }

void run(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	int status = system(command);
	if (status != 0)
		support_fail(__FILE__, __LINE__, "%s: status %d", command, status);
}

void veth(const char *name, const char *peer, int queues)
{
	run("ip link add %s numrxqueues %d numtxqueues %d type veth peer name %s numrxqueues %d numtxqueues %d", name,
	    queues, queues, peer, queues, queues);
	/* Else IPv6, where there is one, sends packets of its own. */
	run("ip link set %s addrgenmode none 2>/dev/null; ip link set %s addrgenmode none 2>/dev/null; true", name,
	    peer);
	run("ip link set %s up && ip link set %s up", name, peer);
}

int ifindex_of(const char *name)
{
	unsigned index = if_nametoindex(name);

	require(index > 0);
	return (int)index;
}

uint32_t xdp_program_of(const char *name)
{
	char command[64], line[512];
	unsigned id = 0;

	snprintf(command, sizeof(command), "ip link show dev %s", name);
	FILE *out = popen(command, "re");
	require(out != NULL);
	while (fgets(line, sizeof(line), out)) {
		const char *found = strstr(line, "prog/xdp id ");
		if (found)
			id = (unsigned)strtoul(found + strlen("prog/xdp id "), NULL, 10);
	}
	require(pclose(out) == 0);
	return id;
}

int packet_socket(const char *name, uint16_t ethertype)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
		                       .sll_protocol = htons(ethertype),
		                       .sll_ifindex = ifindex_of(name) };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	require(fd >= 0);
	require(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

void send_frame(int socket, const void *frame, size_t len) { require_equal(send(socket, frame, len, 0), len); }

size_t receive_frame(int socket, void *frame, size_t size, int wait_ms)
{
	struct pollfd poller = { .fd = socket, .events = POLLIN };

	if (poll(&poller, 1, wait_ms) <= 0)
		return 0;
	ssize_t len = recv(socket, frame, size, MSG_TRUNC);
	require(len > 0 && (size_t)len <= size);
	return (size_t)len;
}
