/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <limits.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/mempolicy.h>

#include "xsk/numa.h"

#define MAX_NODES 1024 /* of any Linux */
#define WORD_BITS (CHAR_BIT * sizeof(unsigned long))

bool nmx__numa_prefer(int node)
{
	unsigned long nodes[MAX_NODES / WORD_BITS] = { 0 };
	int mode;

	if (node < 0 || node >= MAX_NODES || syscall(SYS_get_mempolicy, &mode, NULL, 0ul, NULL, 0ul) < 0 || mode != MPOL_DEFAULT)
		return false;
	nodes[(unsigned)node / WORD_BITS] |= 1ul << (unsigned)node % WORD_BITS;
	/* The kernel takes one bit fewer than it is told of. */
	return syscall(SYS_set_mempolicy, MPOL_PREFERRED, nodes, MAX_NODES + 1ul) == 0;
}

void nmx__numa_restore(bool preferred)
{
	if (preferred)
		syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0ul);
}
