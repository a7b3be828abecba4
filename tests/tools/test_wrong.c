/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Bad input to every command: one sentence on standard error that shows the offending text, 2 for wrong use and 1 for
 * anything else, no crash, and nothing left behind. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "interface.h"
#include "run.h"

#define MAX_WORDS 12

static struct child child;
static char file[100], out[100], other[100];

/* What every command needs to be right, so that one thing can be wrong. */
struct command {
	const char *name;
	const char *operands[2];
	const char *const *counts; /* options that take a count of at least 1 */
};

/* clang-format off */
#define LIST(...) (const char *const[]){ __VA_ARGS__, NULL }
static const struct command commands[] = {
	{ "gen", { "x{1", NULL }, LIST("-n", "--batch", "--rate", "--flows", "--slots", "--len") },
	{ "sink", { "x{1", NULL }, LIST("-n", "--slots") },
	{ "ping", { "x{1", NULL }, LIST("-n", "--len", "--slots") },
	{ "pong", { "x{1", NULL }, LIST("--slots") },
	{ "replay", { file, "x{1" }, LIST("--loop", "--rate", "--slots") },
	{ "dump", { "x{1", out }, LIST("-n", "--slots") },
};
/* clang-format on */
#define NUM_COMMANDS (sizeof(commands) / sizeof(*commands))

/* One line for one thing wrong; wrong use has a second that says where help is. */
static void check_said(const char *offending, int code)
{
	const char *line_end = strchr(child.err, '\n');
	const char *second = line_end ? line_end + 1 : "";

	EXPECT(child.code == code, "%s, \"%s\": %d, not %d: %s", child.what, offending, child.code, code, child.err);
	EXPECT(strncmp(child.err, "nmx ", 4) == 0 || strncmp(child.err, "nmx:", 4) == 0, "%s, \"%s\": no sentence: %s", child.what,
	       offending, child.err);
	EXPECT(strstr(child.err, offending), "%s: does not show \"%s\": %s", child.what, offending, child.err);
	if (code == 2)
		EXPECT(!*second || strncmp(second, "nmx help ", 9) == 0, "%s: more than a sentence: %s", child.what, child.err);
	else
		EXPECT(!*second, "%s, \"%s\": more than a sentence: %s", child.what, offending, child.err);
	run_dir_is_empty();
}

static void run_words(const struct command *command, const char *const *more)
{
	const char *words[MAX_WORDS] = { nmx_path, command->name };
	int n = 2;

	for (int i = 0; i < 2; i++)
		if (command->operands[i])
			words[n++] = command->operands[i];
	for (; *more && n < MAX_WORDS - 3; more++)
		words[n++] = *more;
	words[n++] = "--dir";
	words[n++] = run_dir;
	child_start(&child, words);
	child_wait(&child, 20000);
}

static void bad_options(const struct command *c)
{
	static const char *const numbers[] = { "0", "-1", "12q", "18446744073709551616", "", "1e9", "0x10", " 1", "1.5", "nan" };

	run_words(c, LIST("--frob"));
	check_said("unknown option --frob", 2);
	run_words(c, LIST("-Z"));
	check_said("unknown option -Z", 2);
	run_words(c, LIST("one-more"));
	check_said("\"one-more\"", 2);
	run_words(c, LIST("--quiet=3"));
	check_said("--quiet=3", 2);
	for (const char *const *option = c->counts; *option; option++)
		for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
			char shown[64];

			run_words(c, LIST(*option, numbers[i]));
			snprintf(shown, sizeof(shown), "%s \"%s\": ", *option, numbers[i]);
			check_said(shown, 2);
		}
	run_words(c, LIST("--slots", "1"));
	check_said("--slots \"1\": at least 2", 2);
	run_words(c, LIST("--slots", "32769"));
	check_said("--slots \"32769\": at most 32768", 2);
	child_start(&child, LIST(nmx_path, c->name));
	child_wait(&child, 20000);
	check_said("is missing", 2);
	child_start(&child, LIST(nmx_path, c->name, "", ""));
	child_wait(&child, 20000);
	check_said("\"\": empty", 2);
	if (c->operands[1]) {
		child_start(&child, LIST(nmx_path, c->name, c->operands[0]));
		child_wait(&child, 20000);
		check_said("is missing", 2);
	}
}

static void other_options(void)
{
	static const struct {
		const char *command, *option, *value;
	} bad[] = {
		{ "gen", "--src-mac", "02:00:00:00:00" }, { "gen", "--dst-mac", "gg:00:00:00:00:00" }, { "gen", "--src-ip", "1.2.3.256" },
		{ "gen", "--dst-ip", "" },                { "gen", "--len", "59" },                    { "gen", "--len", "1500-60" },
		{ "gen", "--flows", "1025" },             { "gen", "--batch", "32769" },               { "gen", "--timeout", "1h" },
		{ "sink", "--timeout", "-1" },            { "sink", "--timeout", "0" },                { "sink", "--timeout", "" },
		{ "ping", "--interval", "x" },            { "ping", "--timeout", "3601" },             { "replay", "--rate", "fast" },
		{ "dump", "--timeout", "soon" },          { "ping", "--len", "1" },                    { "gen", "-n", "4G4" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		for (size_t k = 0; k < NUM_COMMANDS; k++) {
			char shown[100];

			if (strcmp(commands[k].name, bad[i].command) != 0)
				continue;
			run_words(&commands[k], LIST(bad[i].option, bad[i].value));
			snprintf(shown, sizeof(shown), "%s \"%s\"", bad[i].option, bad[i].value);
			check_said(shown, 2);
		}
	EXPECT(NMX_RUN(&child, "demo", "--frob") == 2, "%d", child.code);
	check_said("unknown option --frob", 2);
	EXPECT(NMX_RUN(&child, "doctor", "a", "b") == 2, "%d", child.code);
	check_said("\"b\"", 2);
	EXPECT(NMX_RUN(&child, "frobnicate") == 2, "%d", child.code);
	check_said("no command \"frobnicate\"", 2);
	EXPECT(NMX_RUN(&child, "help", "frobnicate") == 2, "%d", child.code);
	check_said("no command \"frobnicate\"", 2);
}

/* A port that cannot be had: the same sentence for every command. */
static void bad_ports(const struct command *c)
{
	static const struct {
		const char *name, *says;
	} ports[] = {
		{ "nosuch0", "there is no interface \"nosuch0\"" },
		{ "netmap:nosuch0-3", "there is no interface \"nosuch0\"" },
		{ "xdp:nosuch0", "there is no interface \"nosuch0\"" },
		{ "nosuch0^", "there is no interface \"nosuch0\"" },
		{ "a-name-too-long-for-one", "there is no interface \"a-name-too-long-for-one\"" },
		{ "vale0:a^", "write \"vale0:a\" alone" },
		{ "vale0:a@block=1", "write @block" },
		{ "netmap:", "netmap:" },
		{ "x{", "x{" },
		{ "x{1}", "x{1}" },
		{ "x{1@conf:slots=", "slots=" },
		{ "x{1@conf:frobs=3", "frobs" },
		{ "x{1@conf:slots=99999", "99999" },
		{ "two words", "two words" },
		{ "pcap:/nonexistent/file", "/nonexistent/file" },
	};

	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
		struct command wrong = *c;
		int at = strcmp(c->name, "replay") == 0;

		wrong.operands[at] = ports[i].name;
		run_words(&wrong, LIST("-q"));
		check_said(strstr(ports[i].says, "no interface") ? said_of_interface(ports[i].says) : ports[i].says, 1);
	}
}

static void bad_captures(void)
{
	static const struct {
		const char *path, *says;
	} in[] = { { "/nonexistent.pcap", "/nonexistent.pcap: No such file" }, { "/tmp", "/tmp" }, { "/dev/null", "/dev/null" } };
	static const struct {
		const char *path, *says;
	} to[] = { { "/nonexistent/out.pcap", "/nonexistent/out.pcap: No such file" }, { "/tmp", "/tmp: Is a directory" } };

	for (size_t i = 0; i < sizeof(in) / sizeof(*in); i++) {
		NMX_RUN(&child, "replay", in[i].path, "x{1", "-q", "--dir", run_dir);
		check_said(in[i].says, 1);
	}
	NMX_RUN(&child, "sink", "pcap:/proc/self/exe", "-q", "--dir", run_dir);
	check_said("/proc/self/exe: unknown file format", 1);
	NMX_RUN(&child, "sink", "pcap:/tmp", "-q", "--dir", run_dir);
	check_said("/tmp", 1);
	for (size_t i = 0; i < sizeof(to) / sizeof(*to); i++) {
		NMX_RUN(&child, "dump", "x}1", to[i].path, "-q", "--timeout", "100ms", "--dir", run_dir);
		check_said(to[i].says, 1);
	}
	NMX_RUN(&child, "dump", "null:", "/dev/full", "-q", "-n", "100000", "--dir", run_dir);
	check_said("/dev/full: No space left on device; 0 packets are in it", 1);
	NMX_RUN(&child, "replay", "-", "x{1", "--loop", "2", "--dir", run_dir);
	check_said("--loop", 2);
}

/* Nobody can read the summary: that is a failure as well. */
static void a_summary_that_cannot_be_written(void)
{
	static const char *const lines[] = { "gen null: -n 10 -q", "sink null: -n 10 -q --json", "doctor --json", "help", "help gen",
		                             "--version" };

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		char line[200];

		snprintf(line, sizeof(line), "'%s' %s >/dev/full", nmx_path, lines[i]);
		child_start(&child, LIST("/bin/sh", "-c", line));
		EXPECT(child_wait(&child, 20000) == 1, "%s: %d %s", lines[i], child.code, child.err);
	}
}

/* ---- the namespace directory */

static void in_directory(const char *path, const char *says)
{
	for (size_t i = 0; i < NUM_COMMANDS; i++) {
		const struct command *c = &commands[i];

		NMX_RUN(&child, c->name, c->operands[0], c->operands[1] ? c->operands[1] : "-q", "--dir", path);
		check_said(says, 1);
		EXPECT(strstr(child.err, path), "%s: does not name %s: %s", c->name, path, child.err);
	}
	EXPECT(NMX_RUN(&child, "doctor", "--dir", path) == 1, "doctor: %d", child.code);
	child_says(&child, says);
}

static void bad_directories(void)
{
	static char too_long[600];

	in_directory("/nonexistent/dir", "does not exist");
	in_directory(file, "is not a directory");
	EXPECT(symlink(run_dir, other) == 0, "symlink");
	in_directory(other, "is a link");
	unlink(other);
	EXPECT(mkdir(other, 0700) == 0 && chmod(other, 0777) == 0, "mkdir");
	in_directory(other, "everybody may write to");
	chmod(other, 0700);
	if (geteuid() == 0 && chown(other, 12345, 12345) == 0)
		in_directory(other, "belongs to user 12345");
	else if (geteuid() != 0)
		in_directory("/", "belongs to user 0");
	rmdir(other);
	memset(too_long, 'a', sizeof(too_long) - 1);
	NMX_RUN(&child, "gen", "x{1", "--dir", too_long);
	check_said("is longer than", 1);
}

/* ---- the segment's file */

static void write_segment(const void *bytes, size_t size)
{
	char path[200];
	int fd;

	snprintf(path, sizeof(path), "%s/default", run_dir);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	EXPECT(fd >= 0 && write(fd, bytes, size) == (ssize_t)size, "%s", path);
	close(fd);
}

static void with_segment(const char *what)
{
	for (size_t i = 0; i < NUM_COMMANDS; i++) {
		const struct command *c = &commands[i];

		NMX_RUN(&child, c->name, c->operands[0], c->operands[1] ? c->operands[1] : "-q", "--dir", run_dir);
		EXPECT(child.code == 1, "%s, a segment that is %s: %d %s", c->name, what, child.code, child.err);
		EXPECT(strstr(child.err, "default\""), "%s, a segment that is %s: %s", c->name, what, child.err);
	}
	NMX_RUN(&child, "doctor", "--clean", "--audit", "--dir", run_dir);
	EXPECT(child.code < 2 && !*child.err, "doctor: %d %s", child.code, child.err);
	child_says(&child, "default");
	run_dir_clear();
}

static void bad_segments(void)
{
	static uint8_t page[8192];
	struct child gen;
	char path[200], text[40];
	int fd;

	memset(page, 0xa5, sizeof(page));
	write_segment(page, sizeof(page));
	with_segment("garbage");
	memset(page, 0, sizeof(page));
	write_segment(page, sizeof(page));
	with_segment("zeros");
	memset(page, 'x', 100);
	write_segment(page, 100);
	with_segment("short");

	snprintf(path, sizeof(path), "%s/default", run_dir);
	NMX_START(&gen, "gen", "y{1", "--dir", run_dir, "-q", "-n", "1", "--timeout", "20");
	for (int tries = 0; tries < 400 && (access(path, R_OK) < 0 || (fd = open(path, O_RDONLY)) < 0 || close(fd) != 0); tries++)
		sleep_ms(5);
	sleep_ms(100);
	fd = open(path, O_RDONLY);
	EXPECT(fd >= 0 && read(fd, page, sizeof(page)) == sizeof(page), "%s", path);
	close(fd);
	kill(gen.pid, 9);
	child_wait(&gen, 5000);
	run_dir_clear();
	page[8]++; /* struct nmx__seg_header: version */
	write_segment(page, sizeof(page));
	NMX_RUN(&child, "gen", "x{1", "-q", "--dir", run_dir);
	snprintf(text, sizeof(text), "is of layout %u", page[8]);
	child_says(&child, text);
	with_segment("of another version");
	page[8]--;
	write_segment(page, sizeof(page)); /* its header claims more than the file has */
	with_segment("cut short");
	EXPECT(mkdir(path, 0700) == 0, "mkdir");
	with_segment("a directory");
	rmdir(path);
	EXPECT(symlink("/dev/null", path) == 0, "symlink");
	with_segment("a link");
	NMX_RUN(&child, "gen", "x{1", "-q", "--dir", run_dir, "--segment", "../etc");
	check_said("../etc", 1);
}

int main(int argc, char **argv)
{
	struct capture c;

	if (argc < 2)
		return 2;
	run_begin(argv[1]);
	snprintf(file, sizeof(file), "%s.in", run_dir);
	snprintf(out, sizeof(out), "%s.out", run_dir);
	snprintf(other, sizeof(other), "%s.other", run_dir);
	capture_begin(&c, file, CAPTURE_NS, 1);
	capture_add(&c, 60, 0);
	capture_end(&c);
	for (size_t i = 0; i < NUM_COMMANDS; i++) {
		bad_options(&commands[i]);
		bad_ports(&commands[i]);
	}
	other_options();
	bad_captures();
	a_summary_that_cannot_be_written();
	bad_directories();
	bad_segments();
	remove(file);
	remove(out);
	return expect_result();
}
