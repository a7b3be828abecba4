/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "plot.h"

enum { WIDTH = 360, HEIGHT = 240, LEFT = 64, TOP = 40, GAP = 40, BOTTOM = 56, INSET = 24, LEGEND = 20, TICKS = 5 };

/* With a background of its own, for the page that shows it may follow another scheme than what shows it. */
static const char style[] =
    "<style>\n"
    "  text { font: 12px sans-serif; fill: #24292f; }\n"
    "  .ground { fill: #ffffff; } .grid { stroke: #d0d7de; } .axis { stroke: #57606a; }\n"
    "  .line { fill: none; stroke-width: 2; } .c0 { stroke: #0a5cad; } .c1 { stroke: #b3470b; stroke-dasharray: 7 3; "
    "}\n"
    "  .d0 { fill: #0a5cad; } .d1 { fill: #b3470b; }\n"
    "  @media (prefers-color-scheme: dark) {\n"
    "    text { fill: #e6edf3; } .ground { fill: #0d1117; } .grid { stroke: #30363d; } .axis { stroke: #8b949e; }\n"
    "    .c0 { stroke: #6cb6ff; } .c1 { stroke: #f0883e; } .d0 { fill: #6cb6ff; } .d1 { fill: #f0883e; }\n"
    "  }\n"
    "</style>\n";

void curve_add(struct curve *c, uint32_t x, double y)
{
	if (c->points == MOST_POINTS)
		die(c->name, "has too many points");
	c->x[c->points] = x;
	c->y[c->points++] = y;
}

/* What lies where: in pixels from the left and from above. */
struct scale {
	double left, least, most; /* of a panel: its edge, and logarithms */
	double top;               /* the value at the upper end */
};

static double x_of(const struct scale *s, uint32_t x)
{
	return s->left + INSET + (WIDTH - 2 * INSET) * (log(x) - s->least) / (s->most - s->least);
}

static double y_of(const struct scale *s, double y) { return TOP + HEIGHT * (1 - y / s->top); }

/* The least round step of which TICKS reach the value. */
static double round_step(double value)
{
	static const double steps[] = { 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8 };
	double power = pow(10, floor(log10(value / TICKS)));

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (steps[i] * power * TICKS >= value)
			return steps[i] * power;
	return 10 * power;
}

static double highest(const struct panel *panel, int panels)
{
	double most = 1;

	for (int i = 0; i < panels; i++)
		for (int k = 0; k < panel[i].curves; k++)
			for (int j = 0; j < panel[i].curve[k].points; j++)
				most = fmax(most, panel[i].curve[k].y[j]);
	return most;
}

/* The axes, and a line at each value that was measured. */
static void write_axes(FILE *f, const struct panel *p, const struct scale *s, bool first)
{
	const struct curve *c = &p->curve[0];

	for (int i = 0; i <= TICKS; i++) {
		double value = s->top * i / TICKS, y = y_of(s, value);

		fprintf(f, "<path class=\"%s\" d=\"M%.1f %.1fh%d\"/>\n", i ? "grid" : "axis", s->left, y, WIDTH);
		if (first)
			fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n", s->left - 8, y + 4,
			        value);
	}
	for (int i = 0; i < c->points; i++) {
		double x = x_of(s, c->x[i]);

		fprintf(f,
		        "<path class=\"axis\" d=\"M%.1f %dv6\"/>\n<text x=\"%.1f\" y=\"%d\" "
		        "text-anchor=\"middle\">%u</text>\n",
		        x, TOP + HEIGHT, x, TOP + HEIGHT + 20, c->x[i]);
	}
	fprintf(f, "<path class=\"axis\" d=\"M%.1f %dv%d\"/>\n", s->left, TOP, HEIGHT);
	fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", s->left + WIDTH / 2.0,
	        TOP + HEIGHT + 42, p->label);
}

static void write_curve(FILE *f, const struct curve *c, const struct scale *s, int number)
{
	double legend = s->left + number * (double)WIDTH / MOST_CURVES;

	fprintf(f, "<path class=\"line c%d\" d=\"", number);
	for (int i = 0; i < c->points; i++)
		fprintf(f, "%c%.1f %.1f", i ? 'L' : 'M', x_of(s, c->x[i]), y_of(s, c->y[i]));
	fputs("\"/>\n", f);
	for (int i = 0; i < c->points; i++)
		fprintf(f, "<circle class=\"d%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"><title>%u: %.1f</title></circle>\n",
		        number, x_of(s, c->x[i]), y_of(s, c->y[i]), c->x[i], c->y[i]);
	fprintf(f,
	        "<path class=\"line c%d\" d=\"M%.1f %dh28\"/>\n<circle class=\"d%d\" cx=\"%.1f\" cy=\"%d\" "
	        "r=\"4\"/>\n",
	        number, legend, LEGEND, number, legend + 14, LEGEND);
	fprintf(f, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", legend + 36, LEGEND + 4, c->name);
}

static FILE *open_file(const char *path)
{
	FILE *f = fopen(path, "we");

	if (f)
		return f;
	die(path, strerror(errno));
}

void write_plot(const char *path, const char *label, const struct panel *panel, int panels)
{
	const int width = LEFT + panels * (WIDTH + GAP), height = TOP + HEIGHT + BOTTOM;
	const double step = round_step(highest(panel, panels));
	FILE *f = open_file(path);

	fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\">\n%s",
	        width, height, width, height, style);
	fprintf(f, "<rect class=\"ground\" width=\"%d\" height=\"%d\"/>\n", width, height);
	fprintf(f, "<text transform=\"translate(18 %d) rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
	        TOP + HEIGHT / 2, label);
	for (int i = 0; i < panels; i++) {
		const struct panel *p = &panel[i];
		const struct curve *c = &p->curve[0];
		const struct scale s = { .left = LEFT + i * (WIDTH + GAP),
			                 .least = log(c->x[0]),
			                 .most = log(c->x[c->points - 1]),
			                 .top = step * TICKS };

		write_axes(f, p, &s, i == 0);
		for (int k = 0; k < p->curves; k++)
			write_curve(f, &p->curve[k], &s, k);
	}
	fputs("</svg>\n", f);
	if (fclose(f) != 0)
		die(path, strerror(errno));
}
