/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Command lines: the first byte chooses the command, the rest are its words, each ended by a zero byte.
 * Beyond memory errors: what was accepted is within the limits of the table, what was refused has a sentence. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"

#define WORDS 32

static size_t num_commands(void)
{
	size_t n = 0;

	while (commands[n])
		n++;
	return n;
}

static void check_limits(const struct command *command, const uint8_t *options)
{
	for (size_t i = 0; i < command->num_opts; i++) {
		const struct opt *opt = &command->opts[i];
		uint64_t value, preset;
		if (opt->kind != OPT_COUNT && opt->kind != OPT_SECONDS)
			continue;
		memcpy(&value, options + opt->offset, sizeof(value));
		memcpy(&preset, (const uint8_t *)command->defaults + opt->offset, sizeof(preset));
		if (value != preset && (value < opt->min || (opt->max && value > opt->max)))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[WORDS], error[512];
	int argc = 0;

	if (size < 1)
		return 0;
	const struct command *command = commands[data[0] % num_commands()];
	char *words = malloc(size); /* exactly, so that a read beyond the last word is seen */
	void *options = malloc(command->size);
	if (!words || !options)
		abort();
	memcpy(words, data + 1, size - 1);
	words[size - 1] = '\0';
	for (size_t at = 0; at < size && argc < WORDS; at += strlen(words + at) + 1)
		argv[argc++] = words + at;
	switch (opt_parse(command, argc, argv, options, error, sizeof(error))) {
	case OPT_OK:
		check_limits(command, options);
		break;
	case OPT_WRONG:
		if (error[0] == '\0' || !memchr(error, '\0', sizeof(error)))
			abort();
		break;
	case OPT_HELP:
		break;
	}
	free(options);
	free(words);
	return 0;
}
