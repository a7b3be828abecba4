/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The list of errors: what was once given out never changes. */
#include <limits.h>
#include <string.h>

#include "support.h"

/* Written down a second time on purpose.  Add; never change. */
static const struct {
	int value;
	const char *name;
	int sys;
} errors[] = {
	{ -1001, "NMX_ERR_IO", EIO },
	{ -1002, "NMX_ERR_WOULD_BLOCK", EAGAIN },
	{ -1003, "NMX_ERR_BIND_FAIL", EADDRNOTAVAIL },
	{ -1004, "NMX_ERR_INVALID_RING_INDEX", EINVAL },
	{ -1005, "NMX_ERR_PACKET_TOO_LARGE", EMSGSIZE },
	{ -1006, "NMX_ERR_INSUFFICIENT_SPACE", ENOSPC },
	{ -1007, "NMX_ERR_UNSUPPORTED_PLATFORM", ENOTSUP },
	{ -1008, "NMX_ERR_FALLBACK_UNSUPPORTED", EOPNOTSUPP },
	{ -1009, "NMX_ERR_BUSY", EBUSY },
	{ -1010, "NMX_ERR_BAD_NAME", EINVAL },
	{ -1011, "NMX_ERR_BAD_OPTION", EINVAL },
	{ -1012, "NMX_ERR_NO_SUCH", ENXIO },
	{ -1013, "NMX_ERR_PERMISSION", EPERM },
	{ -1014, "NMX_ERR_NO_MEMORY", ENOMEM },
	{ -1015, "NMX_ERR_RESET", ECONNRESET },
	{ -1016, "NMX_ERR_GONE", ENODEV },
	{ -1017, "NMX_ERR_TIMED_OUT", ETIMEDOUT },
	{ -1018, "NMX_ERR_OTHER_REGION", EXDEV },
	{ -1019, "NMX_ERR_CORRUPT", EBADMSG },
	{ -1020, "NMX_ERR_PEER_GONE", EPIPE },
	{ -1021, "NMX_ERR_FORKED", ESTALE },
	{ -1022, "NMX_ERR_LINK_DOWN", ENETDOWN },
};
enum { NUM_ERRORS = sizeof(errors) / sizeof(errors[0]) };

static void values_names_and_errnos_never_change(void **state)
{
	(void)state;
	for (int i = 0; i < NUM_ERRORS; i++) {
		if (strcmp(nmx_error_name(errors[i].value), errors[i].name) != 0)
			support_fail(__FILE__, __LINE__, "%d is called %s, and was %s", errors[i].value, nmx_error_name(errors[i].value),
			             errors[i].name);
		require_equal(nmx_errno(errors[i].value), errors[i].sys);
	}
	require_equal(NMX_ERR_IO, -1001);
	require_equal(NMX_ERR_LINK_DOWN, -1022);
	require_equal(NMX_OK, 0);
}

static void the_list_has_no_more_and_no_less(void **state)
{
	int listed = 0;

#define COUNT(value, name, sys, text) listed++;
	NMX_ERRORS(COUNT)
#undef COUNT
	(void)state;
	require_equal(listed, NUM_ERRORS);
}

static void values_are_unique_and_no_negated_errno(void **state)
{
	static const int values[] = {
#define VALUE(value, name, sys, text) value,
		NMX_ERRORS(VALUE)
#undef VALUE
	};

	(void)state;
	for (int i = 0; i < NUM_ERRORS; i++) {
		require(values[i] < -1000);
		for (int k = 0; k < i; k++)
			require(values[i] != values[k]);
	}
}

static void each_error_has_a_sentence_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < NUM_ERRORS; i++) {
		require(strlen(nmx_strerror(errors[i].value)) >= 10);
		for (int k = 0; k < i; k++)
			require(strcmp(nmx_strerror(errors[i].value), nmx_strerror(errors[k].value)) != 0);
	}
}

static void anything_else_has_a_text_too(void **state)
{
	static const int others[] = { 0, 1, 42, INT_MAX, -1, -2, -11, -1000, -1023, -99999, INT_MIN };

	(void)state;
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		require(nmx_strerror(others[i]) && *nmx_strerror(others[i]));
		require(nmx_error_name(others[i]) && *nmx_error_name(others[i]));
		require(strncmp(nmx_error_name(others[i]), "NMX_ERR_", 8) != 0);
		require(others[i] >= 0 ? nmx_errno(others[i]) == 0 : nmx_errno(others[i]) > 0);
	}
	for (int backend = -2; backend < 20; backend++)
		require(nmx_backend_name((enum nmx_backend)backend) && *nmx_backend_name((enum nmx_backend)backend));
	require_equal(strcmp(nmx_backend_name(NMX_PIPE), "pipe"), 0);
	require_equal(strcmp(nmx_backend_name(NMX_LOOP), "loop"), 0);
	require_contains(nmx_version(), "0.1.0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_names_and_errnos_never_change),
		cmocka_unit_test(the_list_has_no_more_and_no_less),
		cmocka_unit_test(values_are_unique_and_no_negated_errno),
		cmocka_unit_test(each_error_has_a_sentence_of_its_own),
		cmocka_unit_test(anything_else_has_a_text_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
