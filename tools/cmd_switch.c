/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Who is in the switches, and what puts them there and takes them out. */
#include "commands.h"

#include <stdio.h>
#include <string.h>

#include <nmx/switch.h>

#include "json.h"
#include "say.h"
#include "summary.h"

#define MAX_NUMBER 65535

struct switch_options {
	const char *action, *name, *backend, *directory, *segment;
	uint64_t rings, slots, mem_id;
	bool host, json;
};

#define AT(field) offsetof(struct switch_options, field)
/* clang-format off */
static const struct opt switch_opts[] = {
	{ 0, NULL, OPT_TEXT, AT(action), "ACTION", "list, create, remove, attach or detach", 0, 0 },
	{ 0, NULL, OPT_TEXT, AT(name), "[NAME]", "vale0:eth0 to attach and detach, v0 to create and remove; of no use to list", 0, 0 },
	{ 0, "backend", OPT_TEXT, AT(backend), "BACKEND", "netmap: the kernel's switches; switch: those in user space", 0, 0 },
	{ 0, "host", OPT_FLAG, AT(host), NULL, "attach: the host's rings too, so that the host stays reachable", 0, 0 },
	{ 0, "rings", OPT_COUNT, AT(rings), "N", "create: rings each way", 1, MAX_NUMBER },
	{ 0, "slots", OPT_COUNT, AT(slots), "N", "create: slots of a ring", 1, MAX_NUMBER },
	{ 0, "memory", OPT_COUNT, AT(mem_id), "ID", "create, netmap: in this memory (1: that of the interfaces)", 1, MAX_NUMBER },
	{ 0, "json", OPT_FLAG, AT(json), NULL, "one JSON object", 0, 0 },
	{ 0, "dir", OPT_TEXT, AT(directory), "DIR", "directory of switches in user space", 0, 0 },
	{ 0, "segment", OPT_TEXT, AT(segment), "NAME", "segment in it", 0, 0 },
};
/* clang-format on */

/* ---- list */

struct listing {
	struct json *json; /* NULL: text */
	unsigned ports;
};

static void show_as_json(struct json *json, const struct nmx_switch_port *port)
{
	json_object(json, NULL);
	json_text(json, "name", port->name);
	json_text(json, "backend", nmx_backend_name((enum nmx_backend)port->backend));
	json_u64(json, "switch", port->switch_index);
	json_u64(json, "port", port->index);
	json_text(json, "user", port->user);
	json_bool(json, "stuck", port->stuck);
	if (port->has_stats) {
		json_u64(json, "rx_packets", port->stats.rx_packets);
		json_u64(json, "rx_bytes", port->stats.rx_bytes);
		json_u64(json, "tx_packets", port->stats.tx_packets);
		json_u64(json, "tx_bytes", port->stats.tx_bytes);
		json_u64(json, "drop_full", port->stats.drop_full);
	}
	json_close_object(json);
}

static int show(const struct nmx_switch_port *port, void *arg)
{
	struct listing *listing = arg;

	listing->ports++;
	if (listing->json) {
		show_as_json(listing->json, port);
		return 0;
	}
	printf("%-7s switch %-3u port %-3u %-20s %s%s", nmx_backend_name((enum nmx_backend)port->backend), port->switch_index, port->index, port->name,
	       port->user, port->stuck ? "stuck: netmap has lost its name in the switch, and can neither detach nor remove it" : "");
	if (port->has_stats)
		printf("  received %llu, sent %llu, dropped for lack of room %llu packets", (unsigned long long)port->stats.rx_packets,
		       (unsigned long long)port->stats.tx_packets, (unsigned long long)port->stats.drop_full);
	putchar('\n');
	return 0;
}

/* Of one backend, or of all that are here. */
static bool list(const struct nmx_switch_options *o, bool as_json)
{
	static const uint32_t both[] = { NMX_SWITCH, NMX_NETMAP };
	struct nmx_switch_options each = *o;
	struct nmx_report why = { 0 };
	struct json json;
	struct listing listing = { .json = as_json ? &json : NULL };
	bool ok = false;

	if (as_json) {
		json_begin(&json, stdout);
		json_array(&json, "ports");
	}
	for (unsigned i = 0; i < (o->backend ? 1 : 2); i++) {
		int err;

		each.backend = o->backend ? o->backend : both[i];
		err = nmx_switch_list(&each, show, &listing, &why);
		ok |= err == 0;
		if (err < 0 && (o->backend || err != NMX_ERR_UNSUPPORTED_PLATFORM))
			say("switch", "%s", why.text);
	}
	if (!ok && !o->backend)
		say("switch", "no switches can be had here: %s", why.text);
	if (as_json) {
		json_close_array(&json);
		json_bool(&json, "ok", ok);
		json_end(&json);
	} else if (ok && listing.ports == 0)
		puts("no ports in switches");
	return ok;
}

/* ---- changes */

static int create(const char *name, const struct nmx_switch_options *o, struct nmx_report *why) { return nmx_switch_create(name, o, why); }
static int remove_port(const char *name, const struct nmx_switch_options *o, struct nmx_report *why) { return nmx_switch_remove(name, o, why); }
static int attach(const char *name, const struct nmx_switch_options *o, struct nmx_report *why) { return nmx_switch_attach(name, o, why); }
static int detach(const char *name, const struct nmx_switch_options *o, struct nmx_report *why) { return nmx_switch_detach(name, o, why); }

static const struct action {
	const char *word, *example;
	int (*act)(const char *name, const struct nmx_switch_options *options, struct nmx_report *why);
	bool has_index;
} actions[] = {
	{ "create", "v0", create, false },
	{ "remove", "v0", remove_port, false },
	{ "attach", "vale0:eth0", attach, true },
	{ "detach", "vale0:eth0", detach, true },
};

static bool act(const struct action *action, const char *name, const struct nmx_switch_options *o, bool as_json)
{
	struct nmx_report why;
	struct json json;
	int index = action->act(name, o, &why);

	if (as_json) {
		json_begin(&json, stdout);
		json_text(&json, "action", action->word);
		json_text(&json, "name", name);
		if (index >= 0 && action->has_index)
			json_u64(&json, "port", (uint64_t)index);
		json_text(&json, "error", index < 0 ? why.text : "");
		json_bool(&json, "ok", index >= 0);
		json_end(&json);
	} else if (index >= 0 && action->has_index)
		printf("%s %s: port %d\n", action->word, name, index);
	if (index < 0)
		say("switch", "%s", why.text);
	return index >= 0;
}

/* ---- the command */

static bool read_backend(const char *text, uint32_t *backend)
{
	for (uint32_t id = NMX_SWITCH; text && !*backend && id; id = id == NMX_SWITCH ? NMX_NETMAP : 0)
		if (strcmp(text, nmx_backend_name((enum nmx_backend)id)) == 0)
			*backend = id;
	return !text || *backend;
}

static int switch_command(const void *given)
{
	const struct switch_options *given_options = given;
	struct nmx_switch_options o = { .flags = given_options->host ? NMX_SWITCH_HOST : 0, .tx_rings = (uint32_t)given_options->rings,
		                        .rx_rings = (uint32_t)given_options->rings, .tx_slots = (uint32_t)given_options->slots,
		                        .rx_slots = (uint32_t)given_options->slots, .mem_id = (uint32_t)given_options->mem_id,
		                        .directory = given_options->directory, .segment = given_options->segment };
	const struct action *action = NULL;
	bool lists = strcmp(given_options->action, "list") == 0;

	for (unsigned i = 0; i < sizeof(actions) / sizeof(*actions); i++)
		if (strcmp(given_options->action, actions[i].word) == 0)
			action = &actions[i];
	if (!read_backend(given_options->backend, &o.backend))
		return say("switch", "\"%s\" has no switches; --backend is netmap or switch", given_options->backend), EXIT_USAGE;
	if (!lists && !action)
		return say("switch", "\"%s\" is no action; list, create, remove, attach and detach are", given_options->action), EXIT_USAGE;
	if (lists && given_options->name)
		return say("switch", "list takes no name, and was given \"%s\"", given_options->name), EXIT_USAGE;
	if (action && !given_options->name)
		return say("switch", "%s lacks a name: nmx switch %s %s", action->word, action->word, action->example), EXIT_USAGE;
	return summary_exit("switch", stdout, lists ? list(&o, given_options->json) : act(action, given_options->name, &o, given_options->json));
}

const struct command cmd_switch = {
	.name = "switch",
	.summary = "list what is in switches; put interfaces in and take them out",
	.details = "What is attached stays when this command ends, until it is detached.  Without --host the host gets nothing more\n"
		   "of what an attached interface receives.\n"
		   "Exit status 1: it could not be done.\n",
	.opts = switch_opts,
	.num_opts = sizeof(switch_opts) / sizeof(*switch_opts),
	.size = sizeof(struct switch_options),
	.defaults = &(const struct switch_options){ .action = NULL },
	.run = switch_command,
};
