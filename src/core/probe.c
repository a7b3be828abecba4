/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What could be opened here, and why not: the part of <nmx/inspect.h> that knows names and backends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <nmx/inspect.h>

#include "base/report.h"
#include "core/port.h"

static int no_segments(const struct nmx_segment_info *info, void *arg)
{
	(void)info, (void)arg;
	return 1; /* that the directory can be used is all that is asked */
}

int nmx_backend_probe(enum nmx_backend id, const char *directory, struct nmx_report *why)
{
	const struct nmx__backend *backend = nmx__backend_find(id);
	int err;

	nmx__report_clear(why);
	if (!backend)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "there is no backend number %d", (int)id);
	if (!backend->ring_bytes)
		return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, 0, "%s", backend->missing);
	if (backend->probe)
		return backend->probe(why);
	if (id != NMX_PIPE && id != NMX_SWITCH)
		return 0;
	err = nmx_segment_list(directory, NULL, 0, no_segments, NULL, why);
	return err < 0 ? err : 0;
}

/* ---- a pipe's name */

struct search {
	const char *key;
	struct nmx_pipe_info found;
};

static int match(const struct nmx_pipe_info *info, void *arg)
{
	struct search *search = arg;

	if (strcmp(info->name, search->key) != 0)
		return 0;
	search->found = *info;
	return 1;
}

static int explain_pipe(const struct nmx__name *name, const struct nmx_options *o, struct nmx_report *why)
{
	char key[2 * NMX__NAME_MAX + 4];
	const char *segment = *name->segment ? name->segment : o ? o->segment : NULL;
	int end = name->end == '}', err;
	struct search search = { .key = key };

	snprintf(key, sizeof(key), "%s{%s", name->base, name->pipe);
	err = nmx_pipe_list(o ? o->directory : NULL, segment, match, &search, why);
	if (err == 0 || err == NMX_ERR_NO_SUCH) {
		err = nmx_backend_probe(NMX_PIPE, o ? o->directory : NULL, why);
		if (err < 0)
			return err;
		nmx__note(why, "\"%s\" is a pipe over shared memory that does not exist yet: opening it makes it, and what is sent "
		               "waits for the other end, \"%s%c%s\"",
		          name->port, name->base, end ? '{' : '}', name->pipe);
		return 0;
	}
	if (err < 0)
		return err;
	if (*search.found.user[end])
		return nmx__fail(why, NMX_ERR_BUSY, 0, "\"%s\" is open already, by %s", name->port, search.found.user[end]);
	nmx__note(why, "\"%s\" is a pipe over shared memory with %u slots; this end is free, the other is %s%s; %llu packets wait for "
	               "this end",
	          name->port, search.found.slots[end], *search.found.user[!end] ? "used by " : "not open", search.found.user[!end],
	          (unsigned long long)search.found.queued[!end]);
	return 0;
}

/* ---- a port of a switch */

struct port_search {
	const char *name;
	bool found;
	char user[96];
	size_t switch_len;
	uint32_t others;
};

static int match_port(const struct nmx_switch_port *port, void *arg)
{
	struct port_search *search = arg;

	if (strncmp(port->name, search->name, search->switch_len + 1) != 0)
		return 0;
	if (strcmp(port->name, search->name) == 0) {
		search->found = true;
		memcpy(search->user, port->user, sizeof(search->user));
	} else
		search->others++;
	return 0;
}

static int explain_switch(const struct nmx__name *name, const struct nmx_options *o, struct nmx_report *why)
{
	struct nmx_switch_options so = { .backend = NMX_SWITCH, .directory = o->directory,
		                         .segment = *name->segment ? name->segment : o->segment };
	struct port_search search = { .name = name->port, .switch_len = strcspn(name->port, ":") };
	int err = nmx_backend_probe(NMX_SWITCH, o->directory, why);

	if (err == 0)
		err = nmx_switch_list(&so, match_port, &search, why);
	if (err < 0)
		return err;
	if (*search.user)
		return nmx__fail(why, NMX_ERR_BUSY, 0, "\"%s\" is open already, by %s", name->port, search.user);
	nmx__note(why, "\"%s\" is a port of a switch in user space: %s; the switch has %u other port%s", name->port,
	          search.found ? "it is there, and free" : "opening it makes it", search.others, search.others == 1 ? "" : "s");
	return 0;
}

/* A regular file is opened for a moment, for nothing else tells whether it is a capture.  Opening anything else could
 * block, or take what it holds away. */
static int explain_capture(const char *text, const struct nmx__name *name, const struct nmx_options *o, struct nmx_report *why)
{
	bool writes = o && (o->flags & NMX_TX_ONLY);
	struct nmx_port *port;
	struct stat st;
	int err;

	if (!writes && (stat(name->path, &st) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
		err = nmx_open(&port, text, o, why);
		if (err < 0)
			return err;
		nmx_close(port);
		nmx__report_clear(why);
	}
	nmx__note(why, "\"%s\" is %s as a capture", name->path, writes ? "written" : "read");
	return 0;
}

/* Without opening it: that would take packets away from others for a moment. */
static int explain_interface(const char *text, const struct nmx_port *port, struct nmx_report *why)
{
	struct nmx_interface_info info;
	int err = nmx_interface_inspect(text, &info, why);
	bool by_tc;

	if (err < 0)
		return err;
	if (info.rights.err < 0) {
		if (why)
			*why = info.rights;
		return info.rights.err;
	}
	if (info.wants_nic && info.prog_id && !info.prog_is_ours)
		return nmx__fail(why, NMX_ERR_BUSY, 0, "\"%s\" has another XDP program (%s, id %u): ip link set dev %s xdp off", info.name,
		                 *info.prog_name ? info.prog_name : "of unknown name", info.prog_id, info.name);
	if (info.wants_nic && *info.queue_user)
		return nmx__fail(why, NMX_ERR_BUSY, 0, "\"%s\" is in use by %s", port->info.name, info.queue_user);
	if (info.wants_host && *info.host_user)
		return nmx__fail(why, NMX_ERR_BUSY, 0, "the host rings of \"%s\" are in use by %s", info.name, info.host_user);
	by_tc = !info.wants_nic || info.native == NMX_FEATURE_OFF;
	nmx__note(why, "\"%s\" is an interface%s%s%s: packets come %s%s", port->info.name, *info.driver ? " (" : "", info.driver,
	          *info.driver ? ")" : "", by_tc ? "by tc and a pair of interfaces of ours" : "by AF_XDP in its driver",
	          by_tc ? "" : info.zero_copy == NMX_FEATURE_ON ? ", without a copy" : ", copied once by the kernel");
	return 0;
}

static int explain(const char *text, const struct nmx_port *port, struct nmx_report *why)
{
	const struct nmx_options *o = &port->options;

	if (port->backend->explain)
		return port->backend->explain(port, why);
	switch (port->backend->id) {
	case NMX_PIPE:
		return explain_pipe(&port->name, o, why);
	case NMX_SWITCH:
		return explain_switch(&port->name, o, why);
	case NMX_XDP:
		return explain_interface(text, port, why);
	case NMX_PCAP:
		return explain_capture(text, &port->name, o, why);
	default:
		nmx__note(why, "\"%s\" is served by this process alone (%s)", port->info.name,
		          port->backend->id == NMX_LOOP ? "it gives back what it is sent" : "it swallows and supplies");
		return 0;
	}
}

/* As nmx_open() would go on. */
static int explain_by(const char *text, const struct nmx_options *o, const struct nmx__backend **refused, struct nmx_report *why)
{
	struct nmx_port *port = calloc(1, sizeof(*port));
	int err;

	if (!port)
		return nmx__fail(why, NMX_ERR_NO_MEMORY, ENOMEM, "cannot look at \"%.64s\"", text);
	err = nmx__port_prepare(port, text, o, sizeof(*o), *refused, why);
	if (err == 0)
		err = explain(text, port, why);
	*refused = err < 0 && nmx__backend_has_next(port, err) ? port->backend : NULL;
	free(port);
	return err;
}

int nmx_name_explain(const char *text, const struct nmx_options *o, struct nmx_report *why)
{
	const struct nmx__backend *refused = NULL;
	struct nmx_report first;
	int err;

	nmx__report_clear(why);
	nmx__report_clear(&first);
	err = explain_by(text, o, &refused, &first);
	if (err < 0 && refused) {
		err = explain_by(text, o, &refused, why);
		nmx__note(why, "the %s backend does not take it: %.200s", nmx_backend_name(NMX_NETMAP), first.text);
	} else if (why)
		*why = first;
	return err;
}
