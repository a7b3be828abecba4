/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#define _WITH_CPU_SET_T /* FreeBSD: as Linux has it */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/cpus.h"

#define WORD_BITS (CHAR_BIT * sizeof(unsigned long))

_Static_assert(sizeof(struct nmx__cpus) == sizeof(cpu_set_t), "one is passed as the other");

bool nmx__cpus_has(const struct nmx__cpus *set, uint32_t cpu)
{
	return cpu < NMX__MAX_CPUS && set->bits[cpu / WORD_BITS] >> cpu % WORD_BITS & 1;
}

void nmx__cpus_add(struct nmx__cpus *set, uint32_t cpu)
{
	if (cpu < NMX__MAX_CPUS)
		set->bits[cpu / WORD_BITS] |= 1ul << cpu % WORD_BITS;
}

void nmx__cpus_text(const struct nmx__cpus *set, char *out, size_t size)
{
	size_t at = (size_t)snprintf(out, size, "CPUs");
	const char *separator = " ";

	for (uint32_t cpu = 0, last; cpu < NMX__MAX_CPUS && at < size; cpu++) {
		if (!nmx__cpus_has(set, cpu))
			continue;
		for (last = cpu; nmx__cpus_has(set, last + 1);)
			last++;
		at += (size_t)snprintf(out + at, size - at, "%s%u", separator, cpu);
		if (last > cpu && at < size)
			at += (size_t)snprintf(out + at, size - at, "-%u", last);
		separator = ",";
		cpu = last;
	}
}

int nmx__cpus_allowed(struct nmx__cpus *set)
{
	*set = (struct nmx__cpus){ 0 };
	return sched_getaffinity(0, sizeof(set->bits), (cpu_set_t *)set->bits) < 0 ? -errno : 0;
}

int nmx__cpu_pin(int cpu)
{
	struct nmx__cpus one = { 0 };

	if (cpu < 0)
		return -EINVAL;
	nmx__cpus_add(&one, (uint32_t)cpu);
	return sched_setaffinity(0, sizeof(one.bits), (const cpu_set_t *)one.bits) < 0 ? -errno : 0;
}

/* ---- what sysfs says */

/* "0-3,8,10-11", as the kernel writes it.  What is not of that form ends it; no such file is an empty list. */
static struct nmx__cpus read_list(const char *path)
{
	struct nmx__cpus set = { 0 };
	FILE *file = fopen(path, "re");
	uint32_t low, high;
	int next = ',';

	while (file && next == ',' && fscanf(file, "%u", &low) == 1) {
		high = low;
		next = getc(file);
		if (next == '-' && fscanf(file, "%u", &high) == 1)
			next = getc(file);
		for (; low <= high && low < NMX__MAX_CPUS; low++)
			nmx__cpus_add(&set, low);
	}
	if (file)
		fclose(file);
	return set;
}

static struct nmx__cpus cpus_of_node(const char *sysfs, int node)
{
	char path[256];

	if (node < 0)
		return (struct nmx__cpus){ 0 };
	snprintf(path, sizeof(path), "%s/devices/system/node/node%d/cpulist", sysfs, node);
	return read_list(path);
}

/* How many threads of the same core come before this one. */
static uint32_t rank_in_core(const struct nmx__cpus *set, const char *sysfs, uint32_t cpu)
{
	struct nmx__cpus siblings;
	uint32_t rank = 0;
	char path[256];

	snprintf(path, sizeof(path), "%s/devices/system/cpu/cpu%u/topology/thread_siblings_list", sysfs, cpu);
	siblings = read_list(path);
	for (uint32_t other = 0; other < cpu; other++)
		rank += nmx__cpus_has(&siblings, other) && nmx__cpus_has(set, other);
	return rank;
}

/* ---- order */

struct candidate {
	uint32_t is_far, rank, cpu;
};

static int by_merit(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->is_far != y->is_far)
		return x->is_far < y->is_far ? -1 : 1;
	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return x->cpu < y->cpu ? -1 : x->cpu > y->cpu;
}

int nmx__cpus_order(const struct nmx__cpus *set, const char *sysfs, int node, int *order, uint32_t max, uint32_t *near)
{
	struct nmx__cpus of_node = cpus_of_node(sysfs, node);
	struct candidate *all = calloc(NMX__MAX_CPUS, sizeof(*all));
	uint32_t n = 0;

	*near = 0;
	if (!all)
		return -1;
	for (uint32_t cpu = 0; cpu < NMX__MAX_CPUS; cpu++) {
		if (!nmx__cpus_has(set, cpu))
			continue;
		bool is_near = nmx__cpus_has(&of_node, cpu);

		*near += is_near;
		all[n++] = (struct candidate){ .is_far = !is_near, .rank = rank_in_core(set, sysfs, cpu), .cpu = cpu };
	}
	qsort(all, n, sizeof(*all), by_merit);
	n = n < max ? n : max;
	for (uint32_t i = 0; i < n; i++)
		order[i] = (int)all[i].cpu;
	free(all);
	return (int)n;
}
