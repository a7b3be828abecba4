/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* <nmx/switch.h>: reads the options, finds the backend, and lets it do what is asked. */
#include <string.h>

#include "base/report.h"
#include "core/port.h"

#define ALL_FLAGS NMX_SWITCH_HOST

/* Options of another version of the struct: what the caller does not know is zero, what we do not know must be. */
static int read_options(struct nmx_switch_options *out, const struct nmx_switch_options *options, size_t size, struct nmx_report *why)
{
	const uint8_t *bytes = (const uint8_t *)options;

	memset(out, 0, sizeof(*out));
	if (!options)
		return 0;
	for (size_t i = sizeof(*out); i < size; i++)
		if (bytes[i])
			return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "an option is set that this library (%s) does not know", nmx_version());
	memcpy(out, options, size < sizeof(*out) ? size : sizeof(*out));
	if (out->flags & ~(uint32_t)ALL_FLAGS)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "options.flags has unknown bits: %#x", out->flags & ~(uint32_t)ALL_FLAGS);
	return nmx__segment_check(out->segment, why);
}

static int find(const struct nmx__switch_ops **ops, struct nmx_switch_options *o, const struct nmx_switch_options *options, size_t size,
                struct nmx_report *why)
{
	const struct nmx__backend *backend;
	int err = 0;

	nmx__report_clear(why);
	if ((err = read_options(o, options, size, why)) < 0 || (err = nmx__backend_wanted(&o->backend, why)) < 0)
		return err;
	if (o->backend == NMX_ANY)
		o->backend = NMX_SWITCH;
	backend = nmx__backend_find((enum nmx_backend)o->backend);
	if (o->backend != NMX_SWITCH && o->backend != NMX_NETMAP)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "the %s backend has no switches; netmap and switch have",
		                 nmx_backend_name((enum nmx_backend)o->backend));
	if (!backend->ring_bytes || !backend->switches)
		return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, 0, "%s", backend->missing);
	*ops = backend->switches;
	return 0;
}

static int does_not_tell(const struct nmx_switch_options *o, struct nmx_report *why)
{
	return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0, "the %s backend does not tell what its switches have learnt, and for how long",
	                 nmx_backend_name((enum nmx_backend)o->backend));
}

int nmx_switch_list_sized(const struct nmx_switch_options *options, size_t options_size,
                          int (*fn)(const struct nmx_switch_port *port, void *arg), void *arg, struct nmx_report *why)
{
	const struct nmx__switch_ops *ops;
	struct nmx_switch_options o;
	int err = find(&ops, &o, options, options_size, why);

	return err < 0 ? err : ops->list(&o, fn, arg, why);
}

int nmx_switch_each_sized(const struct nmx_switch_options *options, size_t options_size,
                          int (*fn)(const char *name, const struct nmx_switch_info *info, void *arg), void *arg, struct nmx_report *why)
{
	const struct nmx__switch_ops *ops;
	struct nmx_switch_options o;
	int err = find(&ops, &o, options, options_size, why);

	return err < 0 ? err : ops->each(&o, fn, arg, why);
}

int nmx_switch_inspect_sized(const char *name, const struct nmx_switch_options *options, size_t options_size,
                             struct nmx_switch_info *info, size_t info_size, struct nmx_report *why)
{
	const struct nmx__switch_ops *ops;
	struct nmx_switch_info all = { 0 };
	struct nmx_switch_options o;
	int err = find(&ops, &o, options, options_size, why);

	if (err == 0)
		err = ops->inspect ? ops->inspect(name, &o, &all, why) : does_not_tell(&o, why);
	memset(info, 0, info_size);
	memcpy(info, &all, info_size < sizeof(all) ? info_size : sizeof(all));
	return err;
}

int nmx_switch_table_sized(const char *name, const struct nmx_switch_options *options, size_t options_size,
                           int (*fn)(const struct nmx_switch_address *address, void *arg), void *arg, struct nmx_report *why)
{
	const struct nmx__switch_ops *ops;
	struct nmx_switch_options o;
	int err = find(&ops, &o, options, options_size, why);

	if (err < 0)
		return err;
	return ops->table ? ops->table(name, &o, fn, arg, why) : does_not_tell(&o, why);
}

int nmx_switch_create_sized(const char *name, const struct nmx_switch_options *options, size_t options_size, struct nmx_report *why)
{
	const struct nmx__switch_ops *ops;
	struct nmx_switch_options o;
	int err = find(&ops, &o, options, options_size, why);

	return err < 0 ? err : ops->create(name, &o, why);
}

int nmx_switch_remove_sized(const char *name, const struct nmx_switch_options *options, size_t options_size, struct nmx_report *why)
{
	const struct nmx__switch_ops *ops;
	struct nmx_switch_options o;
	int err = find(&ops, &o, options, options_size, why);

	return err < 0 ? err : ops->remove(name, &o, why);
}

/* vale0:eth0, with nothing after it. */
static int find_port(const char *text, const struct nmx__switch_ops **ops, struct nmx_switch_options *o,
                     const struct nmx_switch_options *options, size_t size, struct nmx__name *name, struct nmx_report *why)
{
	int err = find(ops, o, options, size, why);

	if (err == 0)
		err = nmx__name_parse(text, name, why);
	if (err == 0 && (name->backend != NMX_SWITCH || strcmp(strncmp(text, "netmap:", 7) == 0 ? text + 7 : text, name->port) != 0))
		err = nmx__fail(why, NMX_ERR_BAD_NAME, 0, "\"%.80s\" is not a switch and an interface alone; write vale0:eth0", text);
	return err;
}

int nmx_switch_attach_sized(const char *text, const struct nmx_switch_options *options, size_t options_size, struct nmx_report *why)
{
	const struct nmx__switch_ops *ops;
	struct nmx_switch_options o;
	struct nmx__name name;
	int err = find_port(text, &ops, &o, options, options_size, &name, why);

	return err < 0 ? err : ops->attach(&name, &o, why);
}

int nmx_switch_detach_sized(const char *text, const struct nmx_switch_options *options, size_t options_size, struct nmx_report *why)
{
	const struct nmx__switch_ops *ops;
	struct nmx_switch_options o;
	struct nmx__name name;
	int err = find_port(text, &ops, &o, options, options_size, &name, why);

	return err < 0 ? err : ops->detach(&name, &o, why);
}
