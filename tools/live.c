/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "live.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "say.h"
#include "units.h"

bool live_colour(int fd)
{
	const char *no_colour = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return isatty(fd) && !(no_colour && *no_colour) && terminal && strcmp(terminal, "dumb") != 0;
}

void live_start(struct live *live, bool quiet)
{
	uint64_t now = clock_ns();

	*live = (struct live){ .on = !quiet, .last_ns = now, .next_ns = now + CLOCK_S, .percent = -1 };
	live->terminal = isatty(STDERR_FILENO) != 0;
	live->colour = live_colour(STDERR_FILENO);
}

static void show_rate(const struct live *live, double seconds, const struct live_count *now,
                      const struct live_count *last)
{
	char rate[UNITS_TEXT], bits[UNITS_TEXT];
	const char *bold = live->colour ? "\033[1m" : "", *plain = live->colour ? "\033[0m" : "";

	units_scaled(rate, (double)(now->packets - last->packets) / seconds, "pps");
	units_scaled(bits, (double)(now->bytes - last->bytes) * 8 / seconds, "bit/s");
	fprintf(stderr, "%s%s%s  %s  ", bold, rate, plain, bits);
}

static void show_line(const struct live *live, double seconds, const struct live_count *counts, int ways)
{
	static const char *const arrows[LIVE_WAYS] = { "-> ", "<- " };
	const char *red = live->colour ? "\033[31m" : "", *plain = live->colour ? "\033[0m" : "";
	uint64_t packets = 0;
	char text[UNITS_TEXT];

	fputs(live->terminal ? "\r" : "", stderr);
	for (int i = 0; i < ways && i < LIVE_WAYS; i++) {
		fputs(ways > 1 ? arrows[i] : "", stderr);
		show_rate(live, seconds, &counts[i], &live->last[i]);
		packets += counts[i].packets;
	}
	fprintf(stderr, "%s packets", units_grouped(text, packets));
	if (live->percent >= 0)
		fprintf(stderr, "  %.0f %%", live->percent);
	if (live->bad)
		fprintf(stderr, "  %s%s bad%s", red, units_grouped(text, live->bad), plain);
	fputs(live->terminal ? "\033[K" : "\n", stderr);
	fflush(stderr);
	say_line_stands(live->terminal);
}

void live_show(struct live *live, uint64_t now_ns, const struct live_count *counts, int ways)
{
	if (live->on && now_ns > live->last_ns)
		show_line(live, (double)(now_ns - live->last_ns) / (double)CLOCK_S, counts, ways);
	live->last_ns = now_ns;
	live->next_ns = now_ns + CLOCK_S;
	for (int i = 0; i < ways; i++)
		live->last[i] = counts[i];
}

void live_end(struct live *live)
{
	if (live->on && live->terminal)
		fputs("\r\033[K", stderr);
	say_line_stands(0);
	live->on = false;
}
