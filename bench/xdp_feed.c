/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Frames that the kernel makes from one that it is given, and redirects to an interface (BPF_PROG_TEST_RUN with live frames,
 * Linux 5.18): they come in at the other end as a driver hands them over, in pages with room before them.  What a sender of
 * the other cases costs is saved, and what veth does to its packets, which is to copy each into such a page.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "xdp.h"

#ifndef BPF_F_TEST_XDP_LIVE_FRAMES
#define BPF_F_TEST_XDP_LIVE_FRAMES (1U << 1)
#endif

/* return bpf_redirect(ifindex, 0); */
static int load_redirect(unsigned ifindex)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = (int)ifindex },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return load_xdp_program(code, sizeof(code) / sizeof(code[0]));
}

static void end(int signal)
{
	(void)signal;
	_exit(0);
}

/* One call for the whole run, because to begin and to end one takes 30 ms; a signal ends it. */
void feed(const struct xdp_plan *plan, struct xdp_meeting *m, const char *interface)
{
	int program = load_redirect(ifindex_of(interface));
	uint8_t frame[CHUNK];
	union bpf_attr attr;

	signal(FEED_END, end);
	write_frame(frame, plan->len);
	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)program;
	attr.test.data_in = (uintptr_t)frame;
	attr.test.data_size_in = plan->len;
	attr.test.repeat = INT32_MAX;
	attr.test.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
	attr.test.batch_size = plan->batch;
	atomic_fetch_add(&m->ready, 1);
	if (bpf(BPF_PROG_TEST_RUN, &attr) < 0)
		die("feeding frames (Linux 5.18)", strerror(errno));
}
