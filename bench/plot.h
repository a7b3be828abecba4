/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A plot as SVG: panels side by side, each with curves over a logarithmic axis, all over the same upright one. */
#ifndef NMX_BENCH_PLOT_H
#define NMX_BENCH_PLOT_H

#include <stdint.h>

enum { MOST_POINTS = 8, MOST_CURVES = 2 };

struct curve {
	const char *name;
	int points;
	uint32_t x[MOST_POINTS]; /* rising */
	double y[MOST_POINTS];
};

struct panel {
	const char *label; /* of the axis, with its unit */
	int curves;
	struct curve curve[MOST_CURVES];
};

void curve_add(struct curve *c, uint32_t x, double y);
/* label: of the upright axis, with its unit. */
void write_plot(const char *path, const char *label, const struct panel *panel, int panels);

#endif
