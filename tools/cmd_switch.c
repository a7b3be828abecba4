/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Who is in the switches, and what puts them there and takes them out. */
#include "commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nmx/switch.h>

#include "attach.h"
#include "say.h"
#include "summary.h"
#include "switch_show.h"

#define MAX_NUMBER 65535
#define MAX_AGEING 86400
#define FLOOD_PPS  10000

struct switch_options {
	const char *action, *name, *backend, *directory, *segment, *log;
	uint64_t rings, slots, mem_id, ageing_s, flood_pps;
	bool host, daemon, json, quiet;
};

#define AT(field) offsetof(struct switch_options, field)
/* clang-format off */
static const struct opt switch_opts[] = {
	{ 0, NULL, OPT_TEXT, AT(action), "ACTION", "list, show, create, remove, attach or detach", 0, 0 },
	{ 0, NULL, OPT_TEXT, AT(name), "[NAME]",
	  "vale0:eth0 to attach and detach; vale0 to show, if not all; vale0, vale0:a or, of netmap, v0 to create and remove", 0, 0 },
	{ 0, "backend", OPT_TEXT, AT(backend), "BACKEND", "netmap: the kernel's switches; switch: those in user space", 0, 0 },
	{ 0, "host", OPT_FLAG, AT(host), NULL, "attach: the host's rings too, so that the host stays reachable", 0, 0 },
	{ 'd', "daemon", OPT_FLAG, AT(daemon), NULL, "attach, user space: in a process of its own, until detach", 0, 0 },
	{ 0, "flood-limit", OPT_RATE, AT(flood_pps), "N",
	  "attach, user space: packets a second from the interface to everybody, or max (default: 10k)", 1, UINT32_MAX },
	{ 0, "log", OPT_TEXT, AT(log), "FILE", "attach -d: what it has to say, and the summary", 0, 0 },
	{ 'q', "quiet", OPT_FLAG, AT(quiet), NULL, "attach, user space: no live rate", 0, 0 },
	{ 0, "rings", OPT_COUNT, AT(rings), "N", "create: rings each way", 1, MAX_NUMBER },
	{ 0, "slots", OPT_COUNT, AT(slots), "N", "create, and attach in user space: slots of a ring", 1, MAX_NUMBER },
	{ 0, "ageing", OPT_COUNT, AT(ageing_s), "N",
	  "create, user space, of a switch: seconds until an address is forgotten that is not seen again (default: 300)", 1, MAX_AGEING },
	{ 0, "memory", OPT_COUNT, AT(mem_id), "ID", "create, netmap: in this memory (1: that of the interfaces)", 1, MAX_NUMBER },
	{ 0, "json", OPT_FLAG, AT(json), NULL, "one JSON object", 0, 0 },
	{ 0, "dir", OPT_TEXT, AT(directory), "DIR", "directory of switches in user space", 0, 0 },
	{ 0, "segment", OPT_TEXT, AT(segment), "NAME", "segment in it", 0, 0 },
};
/* clang-format on */

/* ---- list */

struct listing {
	struct json *json; /* NULL: text */
	unsigned shown;
};

static int show_port(const struct nmx_switch_port *port, void *arg)
{
	struct listing *listing = arg;

	listing->shown++;
	if (listing->json)
		switch_port_json(port, listing->json);
	else
		switch_port_say(port);
	return 0;
}

/* In text, its ports stand for it, if it has some. */
static int show_switch(const char *name, const struct nmx_switch_info *info, void *arg)
{
	struct listing *listing = arg;

	if (listing->json)
		switch_json(name, info, listing->json);
	else if (info->ports == 0) {
		listing->shown++;
		switch_say_empty(name, info);
	}
	return 0;
}

static int list_ports(const struct nmx_switch_options *o, struct listing *listing, struct nmx_report *why)
{
	return nmx_switch_list(o, show_port, listing, why);
}

static int list_switches(const struct nmx_switch_options *o, struct listing *listing, struct nmx_report *why)
{
	return nmx_switch_each(o, show_switch, listing, why);
}

/* Or $NMX_BACKEND does, which the library reads. */
static bool names_backend(const struct nmx_switch_options *o)
{
	const char *backend = getenv("NMX_BACKEND");

	return o->backend || (backend && *backend && strcmp(backend, "any") != 0);
}

/* Of one backend, or of all that are here.  False: of none.  why: of what is here and could not, else of the last; "": nothing. */
static bool each_backend(const struct nmx_switch_options *o, int (*fn)(const struct nmx_switch_options *, struct listing *, struct nmx_report *),
                 struct listing *listing, struct nmx_report *why)
{
	static const uint32_t both[] = { NMX_SWITCH, NMX_NETMAP };
	struct nmx_switch_options each = *o;
	struct nmx_report trouble = { 0 };
	bool ok = false;

	for (unsigned i = 0; i < (names_backend(o) ? 1 : 2); i++) {
		if (!names_backend(o))
			each.backend = both[i];
		int err = fn(&each, listing, why);
		ok |= err == 0;
		if (err < 0 && err != NMX_ERR_UNSUPPORTED_PLATFORM)
			trouble = *why;
	}
	if (ok || trouble.err)
		*why = trouble;
	return ok;
}

static bool list(const struct nmx_switch_options *o, bool as_json)
{
	struct nmx_report why = { 0 };
	struct json json = { .to = stdout };
	struct listing listing = { .json = as_json ? &json : NULL };
	bool ok;

	if (as_json) {
		json_begin(&json, stdout);
		json_array(&json, "ports");
	}
	ok = each_backend(o, list_ports, &listing, &why);
	if (as_json) {
		json_close_array(&json);
		json_array(&json, "switches");
	}
	if (ok)
		ok = each_backend(o, list_switches, &listing, &why);
	if (as_json) {
		json_close_array(&json);
		json_text(&json, "error", why.text);
		json_bool(&json, "ok", ok);
		json_end(&json);
	} else if (ok && listing.shown == 0)
		puts("no switches");
	if (why.text[0])
		say("switch", "%s", why.text);
	return ok;
}

/* ---- changes */

static int create(const char *name, const struct nmx_switch_options *o, struct nmx_report *why) { return nmx_switch_create(name, o, why); }
static int remove_port(const char *name, const struct nmx_switch_options *o, struct nmx_report *why) { return nmx_switch_remove(name, o, why); }
static int attach_port(const char *name, const struct nmx_switch_options *o, struct nmx_report *why) { return nmx_switch_attach(name, o, why); }
static int detach_port(const char *name, const struct nmx_switch_options *o, struct nmx_report *why) { return nmx_switch_detach(name, o, why); }

static const struct action {
	const char *word, *example;
	int (*act)(const char *name, const struct nmx_switch_options *options, struct nmx_report *why);
	bool has_index;
} actions[] = {
	{ "create", "vale0", create, false },
	{ "remove", "vale0", remove_port, false },
	{ "attach", "vale0:eth0", attach_port, true },
	{ "detach", "vale0:eth0", detach_port, true },
};

/* index -1: it has none, or was not done.  why: what went wrong, NULL when nothing did; "" when that was said. */
static void say_done(const char *word, const struct switch_options *given, int index, const char *why)
{
	struct json json;

	if (given->json) {
		json_begin(&json, stdout);
		json_text(&json, "action", word);
		json_text(&json, "name", given->name);
		if (index >= 0)
			json_u64(&json, "port", (uint64_t)index);
		json_text(&json, "error", why ? why : "");
		json_bool(&json, "ok", !why);
		json_end(&json);
	} else if (index >= 0)
		printf("%s %s: port %d\n", word, given->name, index);
	if (why && *why)
		say("switch", "%s", why);
}

static bool in_user_space(const struct nmx_switch_options *o)
{
	const char *backend = getenv("NMX_BACKEND");

	return o->backend ? o->backend == NMX_SWITCH : !backend || strcmp(backend, "netmap") != 0;
}

/* Interfaces come into a switch of user space by a process of ours, and go with it. */
static int by_a_process(const struct action *action, const struct switch_options *given)
{
	struct attach_options o = { .directory = given->directory,
		                    .segment = given->segment,
		                    .log = given->log,
		                    .slots = given->slots,
		                    .flood_pps = given->flood_pps ? given->flood_pps : FLOOD_PPS,
		                    .host = given->host,
		                    .daemon = given->daemon,
		                    .json = given->json,
		                    .quiet = given->quiet };
	char why[700] = "";

	if (action->act == attach_port)
		return attach(given->name, &o);
	bool done = detach(given->name, &o, why, sizeof(why)) == EXIT_OK;
	say_done(action->word, given, -1, done ? NULL : why);
	return summary_exit("switch", stdout, done);
}

static int act(const struct action *action, const struct switch_options *given, const struct nmx_switch_options *o)
{
	struct nmx_report why;
	int result = action->act(given->name, o, &why);

	if (result == NMX_ERR_FALLBACK_UNSUPPORTED && action->has_index && in_user_space(o))
		return by_a_process(action, given);
	say_done(action->word, given, action->has_index && result >= 0 ? result : -1, result < 0 ? why.text : NULL);
	return summary_exit("switch", stdout, result >= 0);
}

/* ---- the command */

static bool read_backend(const char *text, uint32_t *backend)
{
	for (uint32_t id = NMX_SWITCH; text && !*backend && id; id = id == NMX_SWITCH ? NMX_NETMAP : 0)
		if (strcmp(text, nmx_backend_name((enum nmx_backend)id)) == 0)
			*backend = id;
	return !text || *backend;
}

static const struct action *find_action(const char *word)
{
	for (unsigned i = 0; i < sizeof(actions) / sizeof(*actions); i++)
		if (strcmp(word, actions[i].word) == 0)
			return &actions[i];
	return NULL;
}

/* ---- what belongs to which action */

/* Options that all have are not here. */
static const struct {
	const char *option, *actions;
} belongs[] = {
	{ "host", "attach" },
	{ "daemon", "attach" },
	{ "flood-limit", "attach" },
	{ "log", "attach" },
	{ "quiet", "attach" },
	{ "rings", "create" },
	{ "slots", "create and attach" },
	{ "ageing", "create" },
	{ "memory", "create" },
};

/* None of these may be 0 or empty. */
static bool is_given(const struct opt *opt, const struct switch_options *given)
{
	const char *field = (const char *)given + opt->offset;

	if (opt->kind == OPT_FLAG)
		return *(const bool *)field;
	return opt->kind == OPT_TEXT ? *(const char *const *)field != NULL : *(const uint64_t *)field != 0;
}

static const char *actions_of(const struct opt *opt)
{
	for (unsigned i = 0; opt->name && i < sizeof(belongs) / sizeof(*belongs); i++)
		if (strcmp(opt->name, belongs[i].option) == 0)
			return belongs[i].actions;
	return NULL;
}

static bool check_options(const struct switch_options *given)
{
	for (unsigned i = 0; i < sizeof(switch_opts) / sizeof(*switch_opts); i++) {
		const char *of = actions_of(&switch_opts[i]);

		if (!of || strstr(of, given->action) || !is_given(&switch_opts[i], given))
			continue;
		say("switch", "--%s is an option of %s, not of %s", switch_opts[i].name, of, given->action);
		return false;
	}
	return true;
}

static bool check_name(const struct switch_options *given, bool lists, bool shows, const struct action *action)
{
	const char *name = given->name;

	if (lists && name)
		say("switch", "list takes no name, and was given \"%s\"; nmx switch show %.*s", name, (int)strcspn(name, ":"), name);
	else if (shows && name && strchr(name, ':'))
		say("switch", "show takes the name of a switch, and \"%s\" is a port; nmx switch show %.*s", name, (int)strcspn(name, ":"), name);
	else if (action && !name)
		say("switch", "%s lacks a name: nmx switch %s %s", action->word, action->word, action->example);
	else
		return true;
	return false;
}

static int switch_command(const void *given_options)
{
	const struct switch_options *given = given_options;
	struct nmx_switch_options o = { .flags = given->host ? NMX_SWITCH_HOST : 0, .tx_rings = (uint32_t)given->rings,
		                        .rx_rings = (uint32_t)given->rings, .tx_slots = (uint32_t)given->slots,
		                        .rx_slots = (uint32_t)given->slots, .mem_id = (uint32_t)given->mem_id,
		                        .directory = given->directory, .segment = given->segment,
		                        .ageing_s = (uint32_t)given->ageing_s };
	const struct action *action = find_action(given->action);
	bool lists = strcmp(given->action, "list") == 0, shows = strcmp(given->action, "show") == 0;

	if (!read_backend(given->backend, &o.backend))
		return say("switch", "\"%s\" has no switches; --backend is netmap or switch", given->backend), EXIT_USAGE;
	if (!lists && !shows && !action)
		return say("switch", "\"%s\" is no action; list, show, create, remove, attach and detach are", given->action), EXIT_USAGE;
	if (!check_name(given, lists, shows, action) || !check_options(given))
		return EXIT_USAGE;
	if (action)
		return act(action, given, &o);
	return summary_exit("switch", stdout, lists ? list(&o, given->json) : switch_show(given->name, &o, given->json));
}

const struct command cmd_switch = {
	.name = "switch",
	.summary = "what is in switches; put interfaces in and take them out",
	.details =
	    "    nmx switch show vale0            ports, their users, counters, and the addresses that are known\n"
	    "    nmx switch create vale0 --ageing 60   a switch that stays without ports, and forgets addresses after a minute\n"
	    "    nmx switch attach vale0:eth0     forwards between eth0 and the switch until it is stopped (-d: until detach)\n"
	    "    nmx switch detach vale0:eth0\n"
	    "In user space an interface is in a switch as long as a process forwards for it: attach is that process.  With --host\n"
	    "the host's own stack is another port, vale0:eth0-host; without, the host gets nothing more of what eth0 receives.\n"
	    "What goes to everybody is limited (--flood-limit), for there is no spanning tree to cut loops.\n"
	    "Of netmap, what is attached stays when this command ends, until it is detached.\n"
	    "Exit status 1: it could not be done; of attach also: the interface vanished.\n",
	.opts = switch_opts,
	.num_opts = sizeof(switch_opts) / sizeof(*switch_opts),
	.size = sizeof(struct switch_options),
	.defaults = &(const struct switch_options){ .action = NULL },
	.run = switch_command,
};
