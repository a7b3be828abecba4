/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Two network namespaces without names, and veth pairs between them: the kernel removes all of it with the last
 * process that has it, however that ends. */
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "xdp.h"

enum { MOST_WORDS = 32 };

void enter_namespace(int netns)
{
	if (setns(netns, CLONE_NEWNET) < 0)
		die("setns", strerror(errno));
}

/* Runs ip(8) in a namespace (-1: this one) with the words of a line. */
static int ip(int netns, const char *format, ...)
{
	char line[256], *words[MOST_WORDS] = { (char *)(uintptr_t) "ip" }, *rest = line;
	int n = 1, status;
	va_list args;
	pid_t pid;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	while (n < MOST_WORDS - 1 && (words[n] = strsep(&rest, " ")))
		n++;
	if ((pid = fork()) < 0)
		die("fork", strerror(errno));
	if (pid == 0) {
		if (netns >= 0)
			enter_namespace(netns);
		execvp("ip", words);
		die("ip", "cannot be run: install iproute2");
	}
	if (waitpid(pid, &status, 0) < 0)
		die("waitpid", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The namespace of a child that has one of its own and waits to be killed. */
static int far_namespace(pid_t *child)
{
	char path[64], byte = 0;
	int ready[2], netns;

	if (pipe2(ready, O_CLOEXEC) < 0 || (*child = fork()) < 0)
		die("a second namespace", strerror(errno));
	if (*child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) < 0 || write(ready[1], &byte, 1) != 1)
			die("unshare", strerror(errno));
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		die("a second namespace", "cannot be made");
	close(ready[0]);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)*child);
	netns = open(path, O_RDONLY | O_CLOEXEC);
	if (netns < 0)
		die(path, strerror(errno));
	return netns;
}

int make_lab(int pairs)
{
	pid_t child;
	int far;

	if (unshare(CLONE_NEWNET) < 0)
		die("a network namespace", strerror(errno));
	far = far_namespace(&child);
	for (int i = 0; i < pairs; i++)
		if (ip(-1, "link add c%d numrxqueues 1 numtxqueues 1 type veth peer name g%d numrxqueues 1 numtxqueues 1 netns %d", i, i, (int)child) != 0 ||
		    ip(-1, "link set c%d addrgenmode none up", i) != 0 || ip(far, "link set g%d addrgenmode none up", i) != 0)
			die("veth pairs", "cannot be made");
	switch_gro_on("c0");
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return far;
}

void bridge_far_ends(int far, int pairs)
{
	bool made = ip(far, "link add br0 type bridge mcast_snooping 0") == 0 && ip(far, "link set br0 addrgenmode none up") == 0;

	for (int i = 0; i < pairs; i++)
		made = made && ip(far, "link set g%d master br0", i) == 0;
	if (!made)
		die("a bridge", "cannot be made");
}

void clean_lab(void)
{
	for (int i = 0; i < 2; i++)
		if (ip(-1, "link set dev c%d xdp off", i) != 0)
			die("c0, c1", "a contender left a program that cannot be taken away");
}

unsigned ifindex_of(const char *name)
{
	unsigned index = if_nametoindex(name);

	if (index == 0)
		die(name, strerror(errno));
	return index;
}

void switch_gro_on(const char *name)
{
	struct ethtool_value value = { .cmd = ETHTOOL_SGRO, .data = 1 };
	struct ifreq request = { .ifr_data = (void *)&value };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request) < 0)
		die(name, "GRO cannot be switched on");
	close(fd);
}
