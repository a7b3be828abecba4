/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Numbers in arguments, written as for the command nmx. */
#ifndef EXAMPLES_NUMBER_H
#define EXAMPLES_NUMBER_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Ends the program if it is something else. */
static inline uint64_t read_number(const char *what, const char *text)
{
	char *end;

	errno = 0;
	uint64_t number = strtoull(text, &end, 10);
	uint64_t unit = *end == 'k' ? 1000 : *end == 'M' ? 1000000 : *end == 'G' ? 1000000000 : 1;
	end += unit > 1;
	if (*text < '0' || *text > '9' || *end || errno || number > UINT64_MAX / unit) {
		fprintf(stderr, "%s \"%s\": write a whole number, as 1000, 10k or 2M\n", what, text);
		exit(2);
	}
	return number * unit;
}

#endif
