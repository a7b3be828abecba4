/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fork.h"
#include "xsk/bpf.h"

/* Of newer headers than the oldest that we build with: the numbers are the kernel's interface, and do not change. */
#define ATTACH_TCX_INGRESS 46
#define ATTACH_TCX_EGRESS  47
#define XDP_HAS_FRAGS      (1u << 5)
#define TC_UNSPEC          (-1) /* go on with the next program: TCX_NEXT, and for a filter, TC_ACT_UNSPEC */
#define TC_SHOT            2

/* Instructions, as the few programs below need them. */
#define INSN(op, dst, src, offset, value)                      \
	{                                                      \
		(op), (dst), (src), (offset), (int32_t)(value) \
	}
#define SET(reg, value)             INSN(BPF_ALU64 | BPF_MOV | BPF_K, reg, 0, 0, value) /* signed, 64 bits */
#define SET_U32(reg, value)         INSN(BPF_ALU | BPF_MOV | BPF_K, reg, 0, 0, value)
#define SET_MAP(reg, fd)            INSN(BPF_LD | BPF_DW | BPF_IMM, reg, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define LOAD_U32(reg, base, offset) INSN(BPF_LDX | BPF_MEM | BPF_W, reg, base, offset, 0)
/* From a register: a constant cannot be stored into a context before Linux 6.4. */
#define STORE_U32(base, offset, reg) INSN(BPF_STX | BPF_MEM | BPF_W, base, reg, offset, 0)
/* If the low half of reg is not value, skips so many instructions. */
#define UNLESS_U32(reg, value, skip) INSN(BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, skip, value)
#define CALL(function)               INSN(BPF_JMP | BPF_CALL, 0, 0, 0, function)
#define RETURN()                     INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define RESULT                       BPF_REG_0
#define ARG1                         BPF_REG_1 /* at the start: the context */
#define ARG2                         BPF_REG_2
#define ARG3                         BPF_REG_3

#define QUEUE_OF_XDP offsetof(struct xdp_md, rx_queue_index)
#define MARK_OF_SKB  offsetof(struct __sk_buff, mark)

static _Thread_local char complaint[200];

const char *nmx__bpf_complaint(void) { return complaint; }

/* Of the calls that we make, those that return a descriptor return a closing-on-exec one. */
static int bpf(int command, union bpf_attr *attr)
{
	long result = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return result < 0 ? -errno : (int)result;
}

static int bpf_fd(int command, union bpf_attr *attr)
{
	int fd;

	nmx__fork_hold();
	fd = bpf(command, attr);
	if (fd >= 0 && nmx__fd_track_held(fd) < 0)
		fd = -errno;
	nmx__fork_let();
	return fd;
}

static int make_map(enum bpf_map_type type, const char *name, uint32_t entries)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr)); /* all of it: the kernel refuses what it does not know unless it is zero */
	attr.map_type = type;
	attr.key_size = sizeof(uint32_t);
	attr.value_size = sizeof(int);
	attr.max_entries = entries;
	snprintf(attr.map_name, sizeof(attr.map_name), "%s", name);
	return bpf_fd(BPF_MAP_CREATE, &attr);
}

static int map_set(int map, uint32_t key, int fd)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&fd;
	attr.flags = BPF_ANY;
	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

struct program {
	enum bpf_prog_type type;
	const char *name;
	const struct bpf_insn *insns;
	uint32_t num_insns;
	uint32_t flags;
};

static int load_once(const struct program *program, char *log, uint32_t log_bytes)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = program->type;
	attr.insns = (uintptr_t)program->insns;
	attr.insn_cnt = program->num_insns;
	attr.license = (uintptr_t) "Dual MIT/GPL";
	attr.prog_flags = program->flags;
	attr.log_buf = (uintptr_t)log;
	attr.log_size = log_bytes;
	attr.log_level = log ? 1 : 0;
	snprintf(attr.prog_name, sizeof(attr.prog_name), "%s", program->name);
	return bpf_fd(BPF_PROG_LOAD, &attr);
}

/* Keeps the last line of the log that says what is wrong; the very last ones are statistics. */
static void keep_complaint(const struct program *program)
{
	char log[4096] = "", *line, *rest = log;
	int fd = load_once(program, log, sizeof(log));

	nmx__fd_close(fd); /* -1 and other errors are fine */
	complaint[0] = '\0';
	while ((line = strsep(&rest, "\n")))
		if (line[0] && strncmp(line, "processed ", 10) != 0)
			snprintf(complaint, sizeof(complaint), "%s: %s", program->name, line);
}

/* The verifier gives up when a signal waits: on a slow machine, and with a timer that is quick, it would each time. */
static int load(const struct program *program)
{
	sigset_t all, before;
	int fd, attempts = 5;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	do /* some cannot be kept waiting */
		fd = load_once(program, NULL, 0);
	while (fd == -EAGAIN && --attempts);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	/* Rights are the caller's to explain; flags that a kernel does not know, our callers try without. */
	if (fd < 0 && fd != -EPERM && !(fd == -EINVAL && program->flags))
		keep_complaint(program);
	return fd;
}

static int load_tc(const char *name, const struct bpf_insn *insns, size_t bytes)
{
	const uint32_t n = (uint32_t)(bytes / sizeof(*insns));
	const struct program program = { BPF_PROG_TYPE_SCHED_CLS, name, insns, n, 0 };

	return load(&program);
}

int nmx__bpf_xsk_map(uint32_t queues) { return make_map(BPF_MAP_TYPE_XSKMAP, NMX__XSKS_NAME, queues); }

int nmx__bpf_xsk_map_set(int map, uint32_t queue, int socket) { return map_set(map, queue, socket); }

int nmx__bpf_load_xdp(int xsk_map, bool *frags)
{
	/* return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_PASS); */
	const struct bpf_insn insns[] = {
		LOAD_U32(ARG2, ARG1, QUEUE_OF_XDP),
		SET_MAP(ARG1, xsk_map),
		SET(ARG3, XDP_PASS),
		CALL(BPF_FUNC_redirect_map),
		RETURN(),
	};
	struct program program = { BPF_PROG_TYPE_XDP, NMX__XDP_NAME, insns, sizeof(insns) / sizeof(*insns), 0 };
	int fd = -EINVAL;

	if (*frags) {
		program.flags = XDP_HAS_FRAGS;
		fd = load(&program);
	}
	if (fd == -EINVAL) {
		*frags = false;
		program.flags = 0;
		fd = load(&program);
	}
	return fd;
}

static int link_create(int prog, int ifindex, uint32_t attach_type, uint32_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)prog;
	attr.link_create.target_ifindex = (uint32_t)ifindex;
	attr.link_create.attach_type = attach_type;
	attr.link_create.flags = flags;
	return bpf_fd(BPF_LINK_CREATE, &attr);
}

int nmx__bpf_link_xdp(int prog, int ifindex, uint32_t flags) { return link_create(prog, ifindex, BPF_XDP, flags); }

int nmx__bpf_link_tcx(int prog, int ifindex, bool egress)
{
	return link_create(prog, ifindex, egress ? ATTACH_TCX_EGRESS : ATTACH_TCX_INGRESS, 0);
}

/* By id: of a program, a map or a link. */
static int get_fd(int command, uint32_t id)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_id = id; /* a union with map_id and link_id */
	return bpf_fd(command, &attr);
}

static int get_info(int fd, void *info, uint32_t bytes)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info = (uintptr_t)info;
	attr.info.info_len = bytes;
	return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
}

/* The id of the one map of program prog_id, if that is ours. */
static int map_of_program(uint32_t prog_id, uint32_t *map_id)
{
	struct bpf_prog_info info = { .nr_map_ids = 1, .map_ids = (uintptr_t)map_id };
	int fd = get_fd(BPF_PROG_GET_FD_BY_ID, prog_id), err;

	if (fd < 0)
		return fd;
	err = get_info(fd, &info, sizeof(info));
	nmx__fd_close(fd);
	if (err < 0)
		return err;
	if (info.type != BPF_PROG_TYPE_XDP || info.nr_map_ids != 1 || strcmp(info.name, NMX__XDP_NAME) != 0)
		return -ENOENT;
	return 0;
}

static int open_xsk_map(uint32_t map_id)
{
	struct bpf_map_info info = { 0 };
	int fd = get_fd(BPF_MAP_GET_FD_BY_ID, map_id), err;

	if (fd < 0)
		return fd;
	err = get_info(fd, &info, sizeof(info));
	if (err == 0 && info.type == BPF_MAP_TYPE_XSKMAP && strcmp(info.name, NMX__XSKS_NAME) == 0)
		return fd;
	nmx__fd_close(fd);
	return err < 0 ? err : -ENOENT;
}

static bool is_link(int fd, int ifindex, uint32_t prog_id)
{
	struct bpf_link_info info = { 0 };

	return get_info(fd, &info, sizeof(info)) == 0 && info.type == BPF_LINK_TYPE_XDP && info.prog_id == prog_id &&
	       info.xdp.ifindex == (uint32_t)ifindex;
}

static int open_link(int ifindex, uint32_t prog_id)
{
	union bpf_attr attr;
	uint32_t id = 0;
	int err, fd;

	for (;;) {
		memset(&attr, 0, sizeof(attr));
		attr.start_id = id;
		err = bpf(BPF_LINK_GET_NEXT_ID, &attr);
		if (err < 0)
			return err; /* -ENOENT after the last */
		id = attr.next_id;
		fd = get_fd(BPF_LINK_GET_FD_BY_ID, id);
		if (fd == -ENOENT || fd == -EAGAIN)
			continue; /* gone in the meantime, or not there yet */
		if (fd < 0)
			return fd;
		if (is_link(fd, ifindex, prog_id))
			return fd;
		nmx__fd_close(fd);
	}
}

int nmx__bpf_join(int ifindex, uint32_t prog_id, int *link, int *map)
{
	uint32_t map_id = 0;
	int err, link_fd, map_fd;

	if (!prog_id)
		return -ENOENT;
	err = map_of_program(prog_id, &map_id);
	if (err < 0)
		return err;
	map_fd = open_xsk_map(map_id);
	if (map_fd < 0)
		return map_fd;
	link_fd = open_link(ifindex, prog_id);
	if (link_fd < 0) {
		nmx__fd_close(map_fd);
		return link_fd;
	}
	*link = link_fd;
	*map = map_fd;
	return 0;
}

int nmx__bpf_load_divert(int ifindex, uint32_t pass_mark)
{
	const struct bpf_insn insns[] = {
		/* if (skb->mark == pass_mark) { skb->mark = 0; return TC_ACT_UNSPEC; } */
		LOAD_U32(ARG2, ARG1, MARK_OF_SKB),
		UNLESS_U32(ARG2, pass_mark, 4),
		SET(ARG2, 0),
		STORE_U32(ARG1, MARK_OF_SKB, ARG2),
		SET(RESULT, TC_UNSPEC),
		RETURN(),
		/* return bpf_redirect(ifindex, 0); */
		SET(ARG1, ifindex),
		SET(ARG2, 0),
		CALL(BPF_FUNC_redirect),
		RETURN(),
	};
	const size_t test = pass_mark ? 0 : 6 * sizeof(*insns);

	return load_tc("nmx_divert", insns + test / sizeof(*insns), sizeof(insns) - test);
}

int nmx__bpf_load_inject(int ifindex, uint32_t mark)
{
	const struct bpf_insn insns[] = {
		/* skb->mark = mark; */
		SET_U32(ARG2, mark),
		STORE_U32(ARG1, MARK_OF_SKB, ARG2),
		/* return bpf_redirect(ifindex, BPF_F_INGRESS); */
		SET(ARG1, ifindex),
		SET(ARG2, BPF_F_INGRESS),
		CALL(BPF_FUNC_redirect),
		RETURN(),
	};
	const size_t set_mark = mark ? 0 : 2 * sizeof(*insns);

	return load_tc("nmx_inject", insns + set_mark / sizeof(*insns), sizeof(insns) - set_mark);
}

int nmx__bpf_load_drop(void)
{
	static const struct bpf_insn insns[] = { SET(RESULT, TC_SHOT), RETURN() };

	return load_tc("nmx_drop", insns, sizeof(insns));
}

int nmx__bpf_load_guarded(int prog, int *array)
{
	int fd, err, map = make_map(BPF_MAP_TYPE_PROG_ARRAY, "nmx_guarded", 1);

	if (map < 0)
		return map;
	const struct bpf_insn insns[] = {
		/* tail_call(ctx, &array, 0): comes back only when there is nothing in it. */
		SET_MAP(ARG2, map),
		SET(ARG3, 0),
		CALL(BPF_FUNC_tail_call),
		/* return TC_ACT_UNSPEC; */
		SET(RESULT, TC_UNSPEC),
		RETURN(),
	};
	fd = load_tc("nmx_guard", insns, sizeof(insns));
	/* After the load: the array takes only programs of the kind that uses it. */
	err = fd < 0 ? fd : map_set(map, 0, prog);
	if (err < 0) {
		nmx__fd_close(fd);
		nmx__fd_close(map);
		return err;
	}
	*array = map;
	return fd;
}
