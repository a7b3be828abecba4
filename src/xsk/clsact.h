/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A program on an interface as a filter of its clsact qdisc, as it is done before tcx (Linux 6.6).  A filter outlives its
 * maker, and so does the qdisc: the program must be one of nmx__bpf_load_guarded(), and whoever attaches next in the
 * same place replaces what a killed process left.  So only one process at a time may attach there.
 */
#ifndef NMX_XSK_CLSACT_H
#define NMX_XSK_CLSACT_H

#include <stdbool.h>

/* fd is of nmx__nl_open().  Returns 0, or a negated errno: -EEXIST: somebody else's filter or qdisc is in the way;
 * -EPERM, -ENODEV, and -ENOENT or -EOPNOTSUPP when the kernel lacks clsact or such filters.
 * *qdisc: the qdisc is there for our sake, and to be removed with the filter. */
int nmx__clsact_attach(int fd, int ifindex, bool egress, int prog, bool *qdisc);
/* With `qdisc`, also the qdisc, when no filter is left in it. */
void nmx__clsact_detach(int fd, int ifindex, bool egress, bool qdisc);

#endif
