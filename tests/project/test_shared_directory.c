/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* docs/security.md: who may do what with the files of a namespace directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <nmx/nmx.h>

static char directory[] = "/tmp/nmx-shared-XXXXXX";

struct modes {
	unsigned segment, own, bell;
};

/* Of the file of that pattern: names end in the segment's id. */
static unsigned mode_of(const char *pattern)
{
	char path[128];
	struct stat st;
	glob_t found = { 0 };
	unsigned mode = 0;

	snprintf(path, sizeof(path), "%s/%s", directory, pattern);
	if (glob(path, 0, NULL, &found) == 0 && found.gl_pathc == 1 && stat(found.gl_pathv[0], &st) == 0)
		mode = st.st_mode & 0777;
	globfree(&found);
	return mode;
}

static int open_pipe(struct nmx_port **port, struct nmx_report *why)
{
	struct nmx_options options = { .directory = directory };

	return nmx_open(port, "x{1", &options, why);
}

/* Of the files of a pipe that has been slept on: that makes the bell of x{1's receiver, queue 1 of record 0. */
static struct modes modes_in(mode_t directory_mode, mode_t mask)
{
	struct nmx_report why;
	struct nmx_port *port;
	struct nmx_rx *rx;
	struct modes modes;

	assert_int_equal(chmod(directory, directory_mode), 0);
	mask = umask(mask);
	if (open_pipe(&port, &why) < 0)
		fail_msg("%s", why.text);
	assert_int_equal(nmx_rx_ring(port, 0, &rx), 0);
	assert_int_equal(nmx_rx_wait(rx, 1), 0);
	umask(mask);
	modes = (struct modes){ mode_of("default"), mode_of("default.m0.*"), mode_of("default.b0.1.r.*") };
	nmx_rx_close(rx);
	nmx_close(port);
	return modes;
}

static void files_are_their_owners_alone(void **state)
{
	struct modes modes = modes_in(0700, 0);

	(void)state;
	assert_int_equal(modes.segment, 0600);
	assert_int_equal(modes.own, 0600);
	assert_int_equal(modes.bell, 0600);
}

/* Whatever the umask: a bell that the group cannot ring would leave it asleep until the tick. */
static void group_shares_all_but_own_files(void **state)
{
	struct modes modes = modes_in(02770, 077);

	(void)state;
	assert_int_equal(modes.segment, 0660);
	assert_int_equal(modes.own, 0640);
	assert_int_equal(modes.bell, 0660);
}

static void directory_that_everybody_may_write_to_is_refused(void **state)
{
	struct nmx_report why;
	struct nmx_port *port;

	(void)state;
	assert_int_equal(chmod(directory, 0777), 0);
	assert_int_equal(open_pipe(&port, &why), NMX_ERR_PERMISSION);
	assert_non_null(strstr(why.text, directory));
}

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

/* Fails when something was left there. */
static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_their_owners_alone),
		cmocka_unit_test(group_shares_all_but_own_files),
		cmocka_unit_test(directory_that_everybody_may_write_to_is_refused),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
