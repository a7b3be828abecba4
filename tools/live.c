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

	*live = (struct live){ .on = !quiet, .last_ns = now, .next_ns = now + CLOCK_SECOND, .percent = -1 };
	live->terminal = isatty(STDERR_FILENO) != 0;
	live->colour = live_colour(STDERR_FILENO);
}

static void show_line(const struct live *live, double seconds, uint64_t packets, uint64_t bytes)
{
	char total[UNITS_TEXT], rate[UNITS_TEXT], bits[UNITS_TEXT];
	const char *bold = live->colour ? "\033[1m" : "", *red = live->colour ? "\033[31m" : "";
	const char *plain = live->colour ? "\033[0m" : "";

	units_scaled(rate, (double)(packets - live->last_packets) / seconds, "pps");
	units_scaled(bits, (double)(bytes - live->last_bytes) * 8 / seconds, "bit/s");
	fprintf(stderr, "%s%s%s%s  %s  %s packets", live->terminal ? "\r" : "", bold, rate, plain, bits,
		units_grouped(total, packets));
	if (live->percent >= 0)
		fprintf(stderr, "  %.0f %%", live->percent);
	if (live->bad)
		fprintf(stderr, "  %s%s bad%s", red, units_grouped(total, live->bad), plain);
	fputs(live->terminal ? "\033[K" : "\n", stderr);
	fflush(stderr);
	say_line_stands(live->terminal);
}

void live_show(struct live *live, uint64_t now_ns, uint64_t packets, uint64_t bytes)
{
	if (live->on && now_ns > live->last_ns)
		show_line(live, (double)(now_ns - live->last_ns) / (double)CLOCK_SECOND, packets, bytes);
	live->last_ns = now_ns;
	live->last_packets = packets;
	live->last_bytes = bytes;
	live->next_ns = now_ns + CLOCK_SECOND;
}

void live_end(struct live *live)
{
	if (live->on && live->terminal)
		fputs("\r\033[K", stderr);
	say_line_stands(0);
	live->on = false;
}
