/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "summary.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "say.h"
#include "units.h"

void summary_line(FILE *to, const char *what, uint64_t packets, uint64_t bytes, double seconds)
{
	char count[UNITS_TEXT], size[UNITS_TEXT], rate[UNITS_TEXT], bits[UNITS_TEXT], time[UNITS_TEXT];

	fprintf(to, "%-8s %s packets, %s bytes in %s", what, units_grouped(count, packets),
		units_grouped(size, bytes), units_time(time, (uint64_t)(seconds * 1e9)));
	if (seconds > 0)
		fprintf(to, ": %s, %s", units_scaled(rate, (double)packets / seconds, "pps"),
			units_scaled(bits, (double)bytes * 8 / seconds, "bit/s"));
	fputc('\n', to);
}

void summary_json(struct json *json, uint64_t packets, uint64_t bytes, double seconds)
{
	json_u64(json, "packets", packets);
	json_u64(json, "bytes", bytes);
	json_double(json, "seconds", seconds);
	json_double(json, "pps", seconds > 0 ? (double)packets / seconds : NAN);
	json_double(json, "bits_per_second", seconds > 0 ? (double)bytes * 8 / seconds : NAN);
}

int summary_exit(const char *command, FILE *to, bool ok)
{
	if (fflush(to) != 0 || ferror(to))
		return say(command, "the summary cannot be written: %s", strerror(errno));
	return ok ? EXIT_OK : EXIT_FAILED;
}
