/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Network interfaces by rtnetlink: what they are, veth pairs of ours, news of their going up and away.
 *
 * Every call takes a descriptor from nmx__nl_open() and works in the network namespace that this was made in.  One
 * thread at a time a descriptor.  Returns 0 or a negated errno, as the kernel said it; nothing is allocated.
 * Descriptors are close-on-exec and tracked: nmx__fd_close() of base/fork.h closes them.
 */
#ifndef NMX_XSK_NETLINK_H
#define NMX_XSK_NETLINK_H

#include <linux/if_link.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nmx__link {
	int ifindex;
	char name[IFNAMSIZ];
	char kind[16];   /* "veth", "tun"; "" when the kernel does not say: mostly hardware */
	char alias[128]; /* IFLA_IFALIAS; "" */
	uint32_t flags;  /* IFF_* */
	uint32_t mtu;
	uint32_t num_rx_queues, num_tx_queues; /* that it was made with; fewer may be in use (ethtool -l) */
	uint32_t xdp_mode;                     /* XDP_ATTACHED_* */
	int peer_ifindex;   /* of a veth pair, where both ends are in one namespace; 0 */
	uint32_t xdp_prog;                     /* its id; 0: none */
	struct rtnl_link_stats64 stats;
};

/* groups: 0, or RTMGRP_LINK for nmx__nl_news() and nothing else.  A descriptor (non-blocking when groups is set), or
 * -errno. */
int nmx__nl_open(uint32_t groups);
/* The network namespace that it works in, as a descriptor, or -errno (-EPERM: it is not ours to administer). */
int nmx__nl_netns(int fd);

/* By name, or, when name is NULL, by ifindex.  -ENODEV: there is none. */
int nmx__nl_link(int fd, const char *name, int ifindex, struct nmx__link *link);

/* What has been said of the interface since the last call; reads all that waits, also what is about others. */
enum nmx__nl_news {
	NMX__NL_NOTHING,
	NMX__NL_CHANGED,
	NMX__NL_GONE
}; /* CHANGED: or messages were lost; look yourself */
enum nmx__nl_news nmx__nl_news(int fd, int ifindex);

/* A veth pair: `name` here (alias as given, from a moment after), `peer` in the namespace of peer_fd, which is of
 * nmx__nl_open() too; both down, without IPv6 addresses of their own, without ARP, with so many queues each way and that
 * MTU (65535 at most).  -EEXIST: the name is taken, and nothing is made. */
int nmx__nl_veth_make(int fd, const char *name, const char *alias, const char *peer, int peer_fd, uint32_t queues,
                      uint32_t mtu);
int nmx__nl_link_up(int fd, int ifindex);
int nmx__nl_link_delete(int fd, int ifindex);

/* Attaches an XDP program to an interface (XDP_FLAGS_DRV_MODE and such) for as long as that lives. */
int nmx__nl_xdp(int fd, int ifindex, int prog_fd, uint32_t flags);

#endif
