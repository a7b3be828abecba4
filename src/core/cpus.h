/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* CPUs for workers: which there are, and in what order to take them. */
#ifndef NMX_CORE_CPUS_H
#define NMX_CORE_CPUS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NMX__MAX_CPUS 1024 /* as many as cpu_set_t has; a machine with more of them does not pin */

struct nmx__cpus {
	unsigned long bits[NMX__MAX_CPUS / (CHAR_BIT * sizeof(unsigned long))];
};
bool nmx__cpus_has(const struct nmx__cpus *set, uint32_t cpu);
void nmx__cpus_add(struct nmx__cpus *set, uint32_t cpu);
void nmx__cpus_text(const struct nmx__cpus *set, char *out, size_t size); /* "CPUs 0-3,8", for messages; cut when it is longer */

/* Those that the calling thread may use: its mask, which the kernel keeps within the cpuset of its control group. */
int nmx__cpus_allowed(struct nmx__cpus *set); /* 0 or -errno */
/* Pins the calling thread.  0 or -errno: -EINVAL, there is none of this number, or the cpuset lacks it. */
int nmx__cpu_pin(int cpu);

/* The first `max` of the set, best first: those of the node (-1: none is better), in them a thread of each core, and by their
 * numbers.  sysfs: "/sys", which is asked.  Returns how many; *near: how many of the whole set are of the node.  -1: no
 * memory. */
int nmx__cpus_order(const struct nmx__cpus *set, const char *sysfs, int node, int *order, uint32_t max, uint32_t *near);

#endif
