/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>

static int line_stands;

void say_line_stands(int stands)
{
	line_stands = stands;
}

int say(const char *command, const char *format, ...)
{
	va_list args;

	if (line_stands)
		fputs("\r\033[K", stderr);
	line_stands = 0;
	fprintf(stderr, "nmx %s: ", command);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return EXIT_FAILED;
}
