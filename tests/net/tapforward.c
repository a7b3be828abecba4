/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The simplest program that can stand between an interface and its host: two taps, read() and write(), one packet a call.
 * What nmx bridge is measured against.
 *
 *   host --(tc egress of DEV)--> host tap --read, write--> wire tap --(tc ingress)--> out of DEV
 *   wire --(tc ingress of DEV)--> wire tap --read, write--> host tap --(tc ingress)--> received on DEV
 *
 * What the two injecting programs hand over carries a mark, by which the two diverting programs of DEV let it pass.
 * The taps and the programs live as long as the process.
 *
 * usage: tapforward DEV      until SIGTERM; says "ready" on standard error when it forwards
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TCX_INGRESS = 46, TCX_EGRESS = 47, MARK = 0x7461 }; /* attach types, which older headers do not have */
#define NEXT (-1)                                          /* what a tcx program returns to let a packet go on */

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static int __attribute__((__noreturn__)) die(const char *what)
{
	fprintf(stderr, "tapforward: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- programs */

#define INSN(op, dst, src, offset, value) \
	((struct bpf_insn){ .code = (op), .dst_reg = (dst), .src_reg = (src), .off = (offset), .imm = (value) })
#define MOVE(dst, value)       INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value)
#define LOAD_MARK(dst)         INSN(BPF_LDX | BPF_MEM | BPF_W, dst, 1, offsetof(struct __sk_buff, mark), 0)
#define STORE_MARK(src)        INSN(BPF_STX | BPF_MEM | BPF_W, 1, src, offsetof(struct __sk_buff, mark), 0)
#define SKIP_UNLESS(reg, v, n) INSN(BPF_JMP | BPF_JNE | BPF_K, reg, 0, n, v)
#define CALL(function)         INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define EXIT()                 INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static int load(const struct bpf_insn *insns, size_t count)
{
	union bpf_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = (uint32_t)count;
	attr.license = (uintptr_t) "Dual MIT/GPL";
	fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
	return fd < 0 ? die("loading a program") : fd;
}

static void attach(int prog, unsigned ifindex, uint32_t type)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)prog;
	attr.link_create.target_ifindex = ifindex;
	attr.link_create.attach_type = type;
	if (syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr)) < 0)
		die("attaching a program (tcx, Linux 6.6)");
}

/* To the tap, but for what carries our mark. */
static int divert(unsigned tap)
{
	const struct bpf_insn insns[] = {
		LOAD_MARK(2), SKIP_UNLESS(2, MARK, 4), MOVE(3, 0), STORE_MARK(3),           MOVE(0, NEXT),
		EXIT(),       MOVE(1, (int)tap),       MOVE(2, 0), CALL(BPF_FUNC_redirect), EXIT(),
	};

	return load(insns, sizeof(insns) / sizeof(*insns));
}

static int inject(unsigned dev, bool ingress)
{
	const struct bpf_insn insns[] = {
		MOVE(3, MARK),           STORE_MARK(3), MOVE(1, (int)dev), MOVE(2, ingress ? BPF_F_INGRESS : 0),
		CALL(BPF_FUNC_redirect), EXIT(),
	};

	return load(insns, sizeof(insns) / sizeof(*insns));
}

/* ---- taps */

static void interface_call(unsigned long request, struct ifreq *req, const char *what)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, request, req) < 0)
		die(what);
	close(fd);
}

static int open_tap(const char *name, int mtu, unsigned *ifindex)
{
	struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	char path[128];
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), sysctl;

	snprintf(req.ifr_name, IFNAMSIZ, "%s", name);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &req) < 0)
		die("/dev/net/tun");
	/* The host must say nothing on it: it is not a network. */
	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	sysctl = open(path, O_WRONLY | O_CLOEXEC);
	if (sysctl >= 0) {
		if (write(sysctl, "1", 1) != 1)
			die(path);
		close(sysctl);
	}
	req.ifr_mtu = mtu;
	interface_call(SIOCSIFMTU, &req, "the tap's MTU");
	req.ifr_flags = IFF_UP | IFF_NOARP;
	interface_call(SIOCSIFFLAGS, &req, "the tap");
	*ifindex = if_nametoindex(name);
	return fd;
}

/* ---- packets */

static void forward(int from, int to)
{
	static char packet[65536];
	ssize_t got;

	/* As many as there are, but not for ever: the other direction wants its turn. */
	for (int i = 0; i < 64 && (got = read(from, packet, sizeof(packet))) > 0; i++)
		if (write(to, packet, (size_t)got) < 0 && errno != EAGAIN && errno != ENOBUFS)
			die("write");
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct ifreq req = { 0 };
	unsigned dev = argc == 2 ? if_nametoindex(argv[1]) : 0, host, wire;
	struct pollfd taps[2] = { { .events = POLLIN }, { .events = POLLIN } };

	if (!dev) {
		fprintf(stderr, "usage: tapforward DEV\n");
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	snprintf(req.ifr_name, IFNAMSIZ, "%s", argv[1]);
	interface_call(SIOCGIFMTU, &req, argv[1]);
	taps[0].fd = open_tap("taphost", req.ifr_mtu, &host);
	taps[1].fd = open_tap("tapwire", req.ifr_mtu, &wire);
	attach(inject(dev, true), host, TCX_INGRESS);
	attach(inject(dev, false), wire, TCX_INGRESS);
	attach(divert(host), dev, TCX_EGRESS);
	attach(divert(wire), dev, TCX_INGRESS);
	fprintf(stderr, "ready\n");
	while (!stop) {
		if (poll(taps, 2, -1) <= 0)
			continue;
		forward(taps[0].fd, taps[1].fd);
		forward(taps[1].fd, taps[0].fd);
	}
	return 0;
}
