/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Which node of a large machine new memory comes from: set_mempolicy(2), around what allocates. */
#ifndef NMX_XSK_NUMA_H
#define NMX_XSK_NUMA_H

#include <stdbool.h>

/* Until nmx__numa_restore(), what this thread has the kernel allocate, files in memory included, comes from that node while
 * it has some.  Leaves things as they are, and returns false, for node -1, where a policy has been set (numactl), and where
 * the kernel knows none. */
bool nmx__numa_prefer(int node);
void nmx__numa_restore(bool preferred);

#endif
