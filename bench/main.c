/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nmx-bench [--quick] [--json] [CASE...]
 *
 * Each case runs nmx and a bare loop that does the least that could do the same, in turns, each time in two fresh
 * processes pinned to two cores; the ratio of each pair counts, for machines are shared and noisy.
 */
#include "bench.h"

static const struct bench_case cases[] = {
	{ "touch64-b32", &nmx_stream, &bare_stream, { .batch = 32, .len = 64, .touch = true }, false, 0.6, .what = "64 bytes written and read, batch 32" },
	{ "touch64-b256", &nmx_stream, &bare_stream, { .batch = 256, .len = 64, .touch = true }, false, 0.6, .what = "64 bytes written and read, batch 256" },
	{ "copy1500-b32", &nmx_stream, &bare_stream, { .batch = 32, .len = 1500, .touch = true, .copy = true }, false, 0.9, .what = "1500 bytes copied in and read, batch 32" },
	{ "copy1500-b256", &nmx_stream, &bare_stream, { .batch = 256, .len = 1500, .touch = true, .copy = true }, false, 0.9, .what = "1500 bytes copied in and read, batch 256" },
	{ "bare64-b32", &nmx_stream, &bare_stream, { .batch = 32, .len = 64 }, false, 0, .what = "payload untouched, batch 32" },
	{ "bare64-b256", &nmx_stream, &bare_stream, { .batch = 256, .len = 64 }, false, 0, .what = "payload untouched, batch 256" },
	{ "turn-spin", &nmx_spin, &bare_spin, { 0 }, true, 1.5, .what = "round trip, spinning" },
	{ "turn-sleep", &nmx_sleep, &bare_sleep, { 0 }, true, 1.3, .what = "round trip, sleeping, against two eventfds" },
	{ 0 },
};

int main(int argc, char **argv) { return run_cases(cases, argc, argv); }
