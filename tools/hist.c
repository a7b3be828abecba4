/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "hist.h"

#include <stdbool.h>

#include "units.h"

static const struct {
	double percent;
	const char *key;
} percentiles[] = { { 50, "p50" }, { 90, "p90" }, { 99, "p99" }, { 99.9, "p99.9" } };
#define PERCENTILES (sizeof(percentiles) / sizeof(*percentiles))

static uint64_t highest_of(uint32_t bucket)
{
	if (bucket < HIST_STEPS)
		return bucket;
	uint32_t shift = bucket / HIST_STEPS - 1;
	uint64_t first = (uint64_t)(bucket % HIST_STEPS + HIST_STEPS) << shift;
	return first + ((UINT64_C(1) << shift) - 1);
}

/* How many values `percent` of all are: rounded up, at least one. */
static uint64_t rank_of(const struct hist *hist, double percent)
{
	double exact = percent / 100 * (double)hist->count;
	uint64_t rank = (uint64_t)exact;

	/* 99.9 % of 1000 is 999, although the product is a little more. */
	if (exact - (double)rank > 1e-6)
		rank++;
	return rank < 1 ? 1 : rank > hist->count ? hist->count : rank;
}

uint64_t hist_percentile(const struct hist *hist, double percent)
{
	uint64_t seen = 0, rank;

	if (hist->count == 0)
		return 0;
	rank = rank_of(hist, percent);
	for (uint32_t i = 0; i < HIST_BUCKETS; i++) {
		seen += hist->bucket[i];
		if (seen >= rank) {
			uint64_t value = highest_of(i);
			return value > hist->max ? hist->max : value < hist->min ? hist->min : value;
		}
	}
	return hist->max;
}

void hist_json(const struct hist *hist, struct json *json, const char *key)
{
	json_object(json, key);
	json_u64(json, "count", hist->count);
	json_u64(json, "min", hist->min);
	json_double(json, "mean", hist->count ? hist->sum / (double)hist->count : 0);
	for (size_t i = 0; i < PERCENTILES; i++)
		json_u64(json, percentiles[i].key, hist_percentile(hist, percentiles[i].percent));
	json_u64(json, "max", hist->max);
	json_close_object(json);
}

void hist_line(const struct hist *hist, FILE *to)
{
	char text[UNITS_TEXT];

	if (hist->count == 0) {
		fputs("unknown\n", to);
		return;
	}
	fprintf(to, "min %s", units_time(text, hist->min));
	for (size_t i = 0; i < PERCENTILES; i++)
		fprintf(to, "  %s %s", percentiles[i].key,
			units_time(text, hist_percentile(hist, percentiles[i].percent)));
	fprintf(to, "  max %s\n", units_time(text, hist->max));
}

/* Values of `width` neighbouring buckets, from the one that contains `first`. */
static uint64_t sum_of(const struct hist *hist, uint32_t first, uint32_t width)
{
	uint64_t sum = 0;

	for (uint32_t i = first; i < first + width && i < HIST_BUCKETS; i++)
		sum += hist->bucket[i];
	return sum;
}

void hist_chart(const struct hist *hist, FILE *to)
{
	enum { BAR = 50, WIDTH = HIST_STEPS / 2 };
	static const char bar[BAR + 1] = "##################################################";
	uint64_t most = 0;
	char up_to[UNITS_TEXT], count[UNITS_TEXT];

	if (hist->count == 0)
		return;
	uint32_t first = hist_bucket(hist->min) / WIDTH * WIDTH, last = hist_bucket(hist->max);
	for (uint32_t i = first; i <= last; i += WIDTH)
		most = sum_of(hist, i, WIDTH) > most ? sum_of(hist, i, WIDTH) : most;
	for (uint32_t i = first; i <= last; i += WIDTH) {
		uint64_t n = sum_of(hist, i, WIDTH);
		int length = (int)((double)n / (double)most * BAR + 0.5);
		fprintf(to, "  up to %9s %15s %.*s\n", units_time(up_to, highest_of(i + WIDTH - 1)),
			units_grouped(count, n), n && !length ? 1 : length, bar);
	}
}
