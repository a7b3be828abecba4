/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The few small BPF programs that lead packets to us, by bare system calls: nothing to link, nothing to parse, and
 * everything is held by descriptors, so that the kernel takes it away with the last process that has them.
 *
 * Returns are descriptors (close-on-exec) or 0, or a negated errno.
 */
#ifndef NMX_XSK_BPF_H
#define NMX_XSK_BPF_H

#include <stdbool.h>
#include <stdint.h>

#define NMX__XDP_NAME "nmx_xdp"  /* of our program and our map, for whoever joins, and for people */
#define NMX__XSKS_NAME "nmx_xsks"
#define NMX__HOST_MARK 0x6e6d7831u /* of what we hand to the host, where an ingress program must know it again */

/* A map from queue to AF_XDP socket. */
int nmx__bpf_xsk_map(uint32_t queues);
int nmx__bpf_xsk_map_set(int map, uint32_t queue, int socket);

/* XDP: to the socket of the queue that a packet came in on; to the host where there is none.  *frags: in, whether packets
 * of several fragments are wanted; out, whether the kernel takes such a program (tried first, then without).  From Linux
 * 5.18 to 6.5 it does, but a socket gets the first fragment only: ask for it when a bind() with XDP_USE_SG went well. */
int nmx__bpf_load_xdp(int xsk_map, bool *frags);
/* BPF_LINK_CREATE, on an interface of the caller's network namespace; flags XDP_FLAGS_DRV_MODE or XDP_FLAGS_SKB_MODE.
 * -EBUSY: the interface has a program. */
int nmx__bpf_link_xdp(int prog, int ifindex, uint32_t flags);

/* The link on an interface that another process of ours made, and its map (NMX__XDP_NAME, NMX__XSKS_NAME): what a second
 * process needs to join with its own queues.  prog_id is what rtnetlink says of the interface (IFLA_XDP): links do not
 * tell their network namespace, and interfaces of two of them have the same ifindex; but a program of ours is on one
 * interface only.  -ENOENT: there is no program of ours, or not any more; -EPERM: needs CAP_SYS_ADMIN. */
int nmx__bpf_join(int ifindex, uint32_t prog_id, int *link, int *map);

/* tc programs.  DIVERT: bpf_redirect(ifindex, 0), but what carries `pass_mark` (0: nothing does) loses the mark and goes
 * on.  INJECT: bpf_redirect(ifindex, BPF_F_INGRESS), with `mark` set before (0: none).  DROP: TC_ACT_SHOT. */
int nmx__bpf_load_divert(int ifindex, uint32_t pass_mark);
int nmx__bpf_load_inject(int ifindex, uint32_t mark);
int nmx__bpf_load_drop(void);
/* tcx, from Linux 6.6, on an interface of the caller's network namespace.  -EINVAL and the like: the kernel has it not. */
int nmx__bpf_link_tcx(int prog, int ifindex, bool egress);

/* For kernels before tcx, where a filter outlives its maker: a program that does what `prog` does for as long as *array
 * is open, and nothing (TC_ACT_UNSPEC) from soon after: the kernel empties the array in the background. */
int nmx__bpf_load_guarded(int prog, int *array);

/* After a load that failed otherwise than with -EPERM: what the verifier said to this thread's last such, in one line;
 * or "". */
const char *nmx__bpf_complaint(void);

#endif
