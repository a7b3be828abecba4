/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A histogram of any 64-bit values with a bounded relative error, after HdrHistogram: every power of two is cut into
 * equal steps, so a value is known to better than 1/HIST_STEPS (0.8 %).  Minimum and maximum are exact. */
#ifndef NMX_TOOLS_HIST_H
#define NMX_TOOLS_HIST_H

#include <stdint.h>
#include <stdio.h>

#include "json.h"

#define HIST_STEP_BITS 7
#define HIST_STEPS (1u << HIST_STEP_BITS)
#define HIST_BUCKETS ((64 - HIST_STEP_BITS + 1) * HIST_STEPS)

struct hist {
	uint64_t count, min, max; /* min and max are 0 while count is */
	double sum;
	uint64_t bucket[HIST_BUCKETS];
};

static inline uint32_t hist_bucket(uint64_t value)
{
	if (value < HIST_STEPS)
		return (uint32_t)value;
	uint32_t shift = 63 - (uint32_t)__builtin_clzll(value) - HIST_STEP_BITS;
	return (shift + 1) * HIST_STEPS + (uint32_t)(value >> shift) - HIST_STEPS;
}

static inline void hist_add(struct hist *hist, uint64_t value)
{
	if (hist->count == 0 || value < hist->min)
		hist->min = value;
	if (value > hist->max)
		hist->max = value;
	hist->count++;
	hist->sum += (double)value;
	hist->bucket[hist_bucket(value)]++;
}

/* The smallest value that `percent` of all values do not exceed, within the error; never beyond min and max.  0 when
 * the histogram is empty. */
uint64_t hist_percentile(const struct hist *hist, double percent);

/* Of values in nanoseconds. */
void hist_json(const struct hist *hist, struct json *json, const char *key);
void hist_line(const struct hist *hist, FILE *to);  /* min ... max on one line */
void hist_chart(const struct hist *hist, FILE *to); /* a bar for each half power of two */

#endif
