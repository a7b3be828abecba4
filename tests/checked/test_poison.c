/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Runs each victim of AddressSanitizer: it is stopped at the line it names.  usage: test_poison VICTIMS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run.h"

static struct child child;

static void check(const char *victims, const char *name, const char *kind, bool fine)
{
	char *end, *first;

	child_start(&child, (const char *const[]){ victims, name, kind, run_dir, NULL });
	child_wait(&child, 10000);
	if (fine) {
		EXPECT(child.code == 0, "%s, %s: %d, %s", name, kind, child.code, child.err);
		return;
	}
	run_dir_clear();
	if (!EXPECT(child.code == 1 && strstr(child.err, "use-after-poison"), "%s, %s: %d, %s", name, kind, child.code, child.err))
		return;
	end = strchr(child.out, '\n');
	*(end ? end : child.out) = '\0';
	first = strstr(child.out, "victims_poison.c");
	EXPECT(first && strstr(child.err, first), "%s, %s: does not name %s: %s", name, kind, child.out, child.err);
}

int main(int argc, char **argv)
{
	static const char *const wrong[] = { "read_after_sync", "write_after_tx_sync", "read_after_put", "write_beyond_the_buffer" };

	if (argc < 2) {
		puts("skipped: the compiler has no AddressSanitizer, or the build is for another sanitizer");
		return SKIP;
	}
	setenv("ASAN_OPTIONS", "exitcode=1:detect_leaks=0:abort_on_error=0", 1);
	run_begin(argv[1]);
	for (int pipe = 0; pipe < 2; pipe++) {
		for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
			check(argv[1], wrong[i], pipe ? "pipe" : "loop", false);
		check(argv[1], "owned_is_fine", pipe ? "pipe" : "loop", true);
	}
	return expect_result();
}
