/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "base/report.h"

static const struct {
	int value, sys;
	const char *name, *text;
} errors[] = {
#define ENTRY(value, name, sys, text) { value, sys, "NMX_ERR_" #name, text },
	NMX_ERRORS(ENTRY)
#undef ENTRY
};

static int find(int err)
{
	for (unsigned i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (errors[i].value == err)
			return (int)i;
	return -1;
}

const char *nmx_strerror(int err)
{
	int i = find(err);

	if (err >= 0)
		return "no error";
	return i < 0 ? "not an error of nmx" : errors[i].text;
}

const char *nmx_error_name(int err)
{
	int i = find(err);

	if (err >= 0)
		return "NMX_OK";
	return i < 0 ? "(not an error of nmx)" : errors[i].name;
}

int nmx_errno(int err)
{
	int i = find(err);

	if (err >= 0)
		return 0;
	return i < 0 ? EINVAL : errors[i].sys;
}

const char *nmx_version(void)
{
#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)
	return TEXT(NMX_VERSION_MAJOR) "." TEXT(NMX_VERSION_MINOR) "." TEXT(NMX_VERSION_PATCH);
}

const char *nmx_backend_name(enum nmx_backend backend)
{
	static const char *const names[] = { "any", "netmap", "xdp", "pipe", "switch", "pcap", "null", "loop" };

	return (unsigned)backend < sizeof(names) / sizeof(names[0]) ? names[backend] : "unknown";
}

const char *nmx_mode_name(uint32_t mode)
{
	static const char *const names[] = { "none", "netmap", "zero-copy", "copy", "tc" };

	return mode < sizeof(names) / sizeof(names[0]) ? names[mode] : "unknown";
}

/* What a person can do about an errno that says little by itself. */
static const char *advice(int sys_errno)
{
	switch (sys_errno) {
	case EMFILE:
		return " (raise it with: ulimit -n 65536)";
	case ENFILE:
		return " (raise it with: sysctl fs.file-max)";
	default:
		return "";
	}
}

static void append(struct nmx_report *why, const char *format, ...) __attribute__((__format__(__printf__, 2, 3)));
static void append(struct nmx_report *why, const char *format, ...)
{
	size_t used = strnlen(why->text, sizeof(why->text) - 1);
	va_list args;

	va_start(args, format);
	vsnprintf(why->text + used, sizeof(why->text) - used, format, args);
	va_end(args);
}

int (nmx__fail)(struct nmx_report *why, int err, int sys_errno, const char *format, ...)
{
	va_list args;

	if (!why)
		return err;
	why->err = err;
	why->sys_errno = sys_errno;
	va_start(args, format);
	vsnprintf(why->text, sizeof(why->text), format, args);
	va_end(args);
	if (sys_errno)
		append(why, ": %s%s", strerror(sys_errno), advice(sys_errno));
	return err;
}

void nmx__note(struct nmx_report *why, const char *format, ...)
{
	char text[256];
	va_list args;

	if (!why)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	append(why, "%s%s", why->text[0] ? "; " : "", text);
}

void nmx__report_clear(struct nmx_report *why)
{
	if (why)
		memset(why, 0, sizeof(*why));
}
