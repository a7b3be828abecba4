/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the driver of an interface is, and what of it matters to a program that takes packets off it before the stack. */
#ifndef NMX_XSK_DRIVER_H
#define NMX_XSK_DRIVER_H

#include <stdint.h>

enum nmx__feature { NMX__FEATURE_UNKNOWN, NMX__FEATURE_OFF, NMX__FEATURE_ON };

struct nmx__driver {
	char name[32];      /* "virtio_net", "veth"; "" when the kernel does not say */
	char bus[32];       /* "0000:00:03.0"; "" */
	uint32_t rx_queues; /* in use now (ethtool -l); 0: the driver does not say, which is mostly one */
	uint32_t tx_queues;
	uint32_t rss_queues; /* packets are spread over queues 0 to this - 1 (ethtool -x); 0: it does not say */
	int numa_node;       /* that the device is next to; -1: none */
	/* What changes packets on their way to us, and what the stack leaves to the device on their way out. */
	enum nmx__feature rx_vlan;     /* VLAN tags are taken out of the packet */
	enum nmx__feature gro_hw, lro; /* packets are joined; XDP programs are refused while it is so */
	enum nmx__feature rx_checksum, tx_checksum;
	enum nmx__feature tso;
};

/* Of an interface of the caller's network namespace; no rights are needed.  What the driver does not tell stays unknown.
 * Returns 0 or a negated errno; -ENODEV: there is none of this name. */
int nmx__driver_read(const char *ifname, struct nmx__driver *out);

#endif
