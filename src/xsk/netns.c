/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/report.h"
#include "xsk/netns.h"
#include "xsk/rights.h"

#ifndef AF_XDP
#define AF_XDP 44
#endif

/*
 * A thread that enters a new network namespace needs CAP_SYS_ADMIN, and could not come back without it.  So a child is
 * born into it, makes the sockets there and hands them over.  It is born as posix_spawn() does it: it borrows our memory
 * while this thread is suspended, so that nothing of the program is copied, however large it is, no handler of
 * pthread_atfork() runs, and no handler of a signal.  It makes system calls only, and bare ones: those of the C library
 * may be places where this thread is cancelled.
 */
#define STACK_BYTES (64 << 10)
#define TIMEOUT_MS  5000 /* where the child is a process with memory of its own: see make_child() */

enum step { STEP_BORN, STEP_NETLINK, STEP_XDP };

struct answer {
	int err; /* errno of what failed; 0 */
	enum step step;
};

/* Of control data that carries all of them. */
#define CONTROL_BYTES CMSG_SPACE(sizeof(int) * (1 + NMX__NETNS_SOCKETS))

struct order {
	pid_t parent;
	int channel;
	uint32_t num_sockets;
	struct answer answer;
	int fds[1 + NMX__NETNS_SOCKETS];
	_Alignas(struct cmsghdr) char control[CONTROL_BYTES];
};

/* --- the child --- */

static bool make_socket(struct order *order, uint32_t i, int family, int protocol, enum step step)
{
	long fd = syscall(SYS_socket, family, SOCK_RAW | SOCK_CLOEXEC, protocol);

	order->fds[i] = (int)fd;
	if (fd < 0)
		order->answer = (struct answer){ errno, step };
	return fd >= 0;
}

static int child(void *arg)
{
	struct order *order = arg;
	struct iovec payload = { &order->answer, sizeof(order->answer) };
	struct msghdr message = { .msg_iov = &payload, .msg_iovlen = 1 };
	size_t bytes = sizeof(int) * (1 + order->num_sockets);
	bool ok;

	/* Our parent may have been killed before this comes into force. */
	syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (syscall(SYS_getppid) != order->parent)
		return 1;
	ok = make_socket(order, 0, AF_NETLINK, NETLINK_ROUTE, STEP_NETLINK);
	for (uint32_t i = 0; i < order->num_sockets && ok; i++)
		ok = make_socket(order, 1 + i, AF_XDP, 0, STEP_XDP);
	if (ok) {
		struct cmsghdr *c = (struct cmsghdr *)(void *)order->control;

		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(bytes),
			               .cmsg_level = SOL_SOCKET,
			               .cmsg_type = SCM_RIGHTS };
		memcpy(order->control + CMSG_LEN(0), order->fds, bytes);
		message.msg_control = order->control;
		message.msg_controllen = CMSG_SPACE(bytes);
	}
	return syscall(SYS_sendmsg, order->channel, &message, MSG_NOSIGNAL) < 0;
}

/* --- the parent --- */

/* The C library's, by its other name: ThreadSanitizer has its own clone(), which takes every child for one by fork() and
 * stops at one that shares our memory. */
extern int __clone(int (*fn)(void *), void *stack, int flags, void *arg, ...) __attribute__((__weak__));

static int clone_of(int flags, void *top, struct order *order)
{
	return __clone ? __clone(child, top, flags, order) : clone(child, top, flags, order);
}

/* -1 and errno.  Without a signal for its end, it is nobody's but ours to wait for, also when SIGCHLD is ignored.
 * Where the kernel is not bare (valgrind) the child gets a copy of the memory and runs beside us. */
static pid_t make_child(struct order *order, void *stack)
{
	const int flags = CLONE_VM | CLONE_VFORK | CLONE_NEWNET;
	void *top = (char *)stack + STACK_BYTES;
	sigset_t all, before;
	pid_t pid;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = clone_of(flags, top, order);
	/* As the owner of a user namespace we may do in it, and in its network namespace, what we like. */
	if (pid < 0 && errno == EPERM)
		pid = clone_of(flags | CLONE_NEWUSER, top, order);
	err = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = err;
	return pid;
}

/* 0, or a negated errno when there is no answer. */
static int receive(int channel, struct answer *answer, int *fds, uint32_t num_fds)
{
	struct iovec payload = { answer, sizeof(*answer) };
	_Alignas(struct cmsghdr) char control[CONTROL_BYTES];
	struct msghdr message = {
		.msg_iov = &payload, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct pollfd readable = { .fd = channel, .events = POLLIN };
	uint32_t got = 0;
	ssize_t n;
	int ready, err;

	do
		ready = poll(&readable, 1, TIMEOUT_MS);
	while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return ready == 0 ? -ETIMEDOUT : -errno;
	nmx__fork_hold();
	n = recvmsg(channel, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	err = errno;
	for (struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		got = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), got * sizeof(int));
	}
	for (uint32_t i = 0; i < got; i++)
		fds[i] = nmx__fd_track_held(fds[i]);
	nmx__fork_let();
	if (n < 0)
		return -err;
	if (n != sizeof(*answer))
		return -ECHILD; /* it was killed before it could say anything */
	if (answer->err)
		return 0;
	if (got < num_fds)
		return -EMFILE; /* what exceeds the limit is cut off */
	for (uint32_t i = 0; i < got; i++)
		if (fds[i] < 0)
			return -ENOMEM;
	return 0;
}

static void reap(pid_t pid, bool kill_it)
{
	pid_t done;

	if (kill_it)
		kill(pid, SIGKILL);
	do
		done = waitpid(pid, NULL, __WALL);
	while (done < 0 && errno == EINTR);
}

/* what: "the host rings of \"eth0\"". */
static int failed(struct nmx_report *why, const char *what, int sys_errno, enum step step)
{
	const unsigned needed = NMX__RIGHT_RAW | NMX__RIGHT_BPF | NMX__RIGHT_ADMIN;
	char text[200];

	switch (sys_errno) {
	case EPERM:
	case EACCES:
		snprintf(text, sizeof(text), "cannot get %s%s", what,
		         step == STEP_BORN ? " (making a network namespace, or a user namespace around it)" : "");
		return nmx__rights_fail(why, step == STEP_BORN ? needed | NMX__RIGHT_SYS : needed, sys_errno, text);
	case ENOSPC: /* clone(2): a limit of namespaces; those that are being removed still count */
	case EUSERS:
		return nmx__fail(why, NMX_ERR_NO_MEMORY, sys_errno,
		                 "cannot get %s: there are as many network namespaces as user.max_net_namespaces and "
		                 "user.max_user_namespaces allow",
		                 what);
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case EAGAIN:
		return nmx__fail(why, NMX_ERR_NO_MEMORY, sys_errno, "cannot get %s: no network namespace", what);
	default:
		break;
	}
	if (step == STEP_XDP && (sys_errno == EAFNOSUPPORT || sys_errno == EPROTONOSUPPORT))
		return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, sys_errno, "cannot get %s: this kernel has no AF_XDP sockets",
		                 what);
	if (step == STEP_BORN && (sys_errno == EINVAL || sys_errno == ENOSYS))
		return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, sys_errno,
		                 "cannot get %s: this kernel has no network namespaces", what);
	return nmx__fail(why, NMX_ERR_IO, sys_errno, "cannot get %s: no network namespace", what);
}

/* Child, answer, end.  Returns 0 or a negated errno; what the child itself says is in answer. */
static int ask_child(struct order *order, void *stack, int *channel, struct answer *answer, int *fds)
{
	int err;
	pid_t pid;

	order->channel = channel[1];
	pid = make_child(order, stack);
	if (pid < 0)
		return -errno;
	/* So that there is an end to wait for, when it dies; its own copy is another. */
	close(channel[1]);
	channel[1] = -1;
	err = receive(channel[0], answer, fds, 1 + order->num_sockets);
	reap(pid, err != 0);
	return err;
}

int nmx__netns_make(int *nl, int *sockets, uint32_t num_sockets, const char *what, struct nmx_report *why)
{
	struct order order = { .parent = getpid(), .num_sockets = num_sockets };
	int fds[1 + NMX__NETNS_SOCKETS], channel[2], err;
	struct answer answer = { 0, STEP_BORN };
	void *stack;

	memset(fds, 0xff, sizeof(fds));
	if (num_sockets > NMX__NETNS_SOCKETS)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "%u rings are more than the %d that there can be",
		                 num_sockets, NMX__NETNS_SOCKETS);
	stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return failed(why, what, errno, STEP_BORN);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) < 0) {
		err = errno;
		munmap(stack, STACK_BYTES);
		return failed(why, what, err, STEP_BORN);
	}
	err = ask_child(&order, stack, channel, &answer, fds);
	close(channel[0]);
	if (channel[1] >= 0)
		close(channel[1]);
	munmap(stack, STACK_BYTES);
	if (err || answer.err) {
		for (uint32_t i = 0; i < 1 + num_sockets; i++)
			nmx__fd_close(fds[i]);
		return failed(why, what, err ? -err : answer.err, answer.step);
	}
	*nl = fds[0];
	for (uint32_t i = 0; i < num_sockets; i++)
		sockets[i] = fds[1 + i];
	return 0;
}
