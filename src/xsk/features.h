/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a driver can do with XDP, by the kernel's own list, which it has from Linux 6.3 on; and whose program is there. */
#ifndef NMX_XSK_FEATURES_H
#define NMX_XSK_FEATURES_H

#include <stddef.h>
#include <stdint.h>

/* Bits of the list: netdev.yaml of the kernel, "xdp-act". */
#define NMX__XDP_ACT_BASIC        (1u << 0)
#define NMX__XDP_ACT_REDIRECT     (1u << 1)
#define NMX__XDP_ACT_XSK_ZEROCOPY (1u << 3)
#define NMX__XDP_ACT_RX_SG        (1u << 5)

/* Of an interface of the caller's network namespace; no rights are needed.  0, or a negated errno: -ENOENT, the kernel has
 * no such list. */
int nmx__xdp_features(int ifindex, uint64_t *features);

/* The name of a program; "" when it is not ours to know (CAP_SYS_ADMIN), or it has gone. */
void nmx__xdp_prog_name(uint32_t prog_id, char *out, size_t size);

#endif
