/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commands.h"
#include "say.h"
#include "stop.h"

#include <nmx/nmx.h>

static void usage(FILE *to)
{
	fputs("usage: nmx COMMAND [options]\n\n", to);
	for (const struct command *const *c = commands; *c; c++)
		fprintf(to, "  %-8s %s\n", (*c)->name, (*c)->summary);
	fputs("\nnmx help COMMAND shows its options; nmx --version the version.\n", to);
}

static const struct command *find(const char *name)
{
	for (const struct command *const *c = commands; *c; c++)
		if (strcmp((*c)->name, name) == 0)
			return *c;
	return NULL;
}

static int no_such_command(const char *name)
{
	fprintf(stderr, "nmx: no command \"%s\"; nmx help lists them\n", name);
	return EXIT_USAGE;
}

static int written(void)
{
	return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_OK : EXIT_FAILED;
}

static int help(int argc, char **argv)
{
	if (argc == 0) {
		usage(stdout);
		return written();
	}
	const struct command *command = find(argv[0]);
	if (!command)
		return no_such_command(argv[0]);
	opt_help(command, stdout);
	return written();
}

static int run(const struct command *command, int argc, char **argv)
{
	void *options = malloc(command->size);
	char error[512];
	int code = EXIT_USAGE;

	if (!options)
		return say(command->name, "out of memory");
	switch (opt_parse(command, argc, argv, options, error, sizeof(error))) {
	case OPT_WRONG:
		say(command->name, "%s", error);
		fprintf(stderr, "nmx help %s shows the options\n", command->name);
		break;
	case OPT_HELP:
		opt_help(command, stdout);
		code = written();
		break;
	case OPT_OK:
		stop_catch();
		code = command->run(options);
		break;
	}
	free(options);
	return code;
}

/* A descriptor below 3 that is closed would be given to the next file that is opened, and messages would be written
 * into it. */
static void occupy_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < 3);
	if (fd >= 3)
		close(fd);
}

int main(int argc, char **argv)
{
	occupy_standard_descriptors();
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	const char *name = argv[1];
	if (strcmp(name, "--version") == 0) {
		printf("nmx %s\n", nmx_version());
		return written();
	}
	if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return help(argc - 2, argv + 2);
	const struct command *command = find(name);
	return command ? run(command, argc - 2, argv + 2) : no_such_command(name);
}
