/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The one table of backends, and how a name finds its row. */
#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "core/port.h"

/* In the order in which a plain name tries them. */
static const struct nmx__backend *const backends[] = {
	&nmx__netmap_backend, &nmx__xdp_backend,  &nmx__switch_backend, &nmx__pipe_backend,
	&nmx__loop_backend, &nmx__null_backend, &nmx__pcap_backend,
};
enum { NUM_BACKENDS = sizeof(backends) / sizeof(backends[0]) };

const struct nmx__backend *nmx__backend_find(enum nmx_backend id)
{
	for (int i = 0; i < NUM_BACKENDS; i++)
		if (backends[i]->id == id)
			return backends[i];
	return NULL;
}

atomic_bool nmx__unsent;

int nmx__go_on(void)
{
	int again_ms = 0;

	if (__builtin_expect(!atomic_load_explicit(&nmx__unsent, memory_order_relaxed), 1))
		return 0;
	for (int i = 0; i < NUM_BACKENDS; i++) {
		int ms = backends[i]->go_on ? backends[i]->go_on() : 0;

		again_ms = ms > 0 && (again_ms == 0 || ms < again_ms) ? ms : again_ms;
	}
	return again_ms;
}

/* $NMX_BACKEND: 0 when it is not set, -1 when it is nonsense. */
static int from_environment(const char *text)
{
	if (!text || !*text)
		return NMX_ANY;
	for (int i = 0; i < NUM_BACKENDS; i++)
		if (strcmp(text, nmx_backend_name(backends[i]->id)) == 0)
			return (int)backends[i]->id;
	return strcmp(text, "any") == 0 ? NMX_ANY : -1;
}

int nmx__backend_wanted(uint32_t *backend, struct nmx_report *why)
{
	const char *text = getenv("NMX_BACKEND");
	int wanted = *backend ? (int)*backend : from_environment(text);

	if (wanted < 0)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0,
		                 "NMX_BACKEND is \"%.40s\"; it can be netmap, xdp, pipe, switch, loop, null, pcap or any", text);
	if (!nmx__backend_find((enum nmx_backend)wanted) && wanted != NMX_ANY)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "there is no backend number %d", wanted);
	*backend = (uint32_t)wanted;
	return 0;
}

static int choose_id(const struct nmx_port *port, enum nmx_backend *id, struct nmx_report *why)
{
	const struct nmx__name *name = &port->name;
	uint32_t asked = port->options.backend;
	int err = nmx__backend_wanted(&asked, why), wanted = (int)asked;

	if (err < 0)
		return err;
	/* The netmap device has pipes and switches too; every other kind of name has one backend only. */
	if (name->backend != NMX_ANY && wanted != NMX_ANY && wanted != (int)name->backend &&
	    !(wanted == NMX_NETMAP && (name->backend == NMX_PIPE || name->backend == NMX_SWITCH)))
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "\"%s\" is a name of the %s backend, and %s was asked for", port->info.name,
		                 nmx_backend_name(name->backend), nmx_backend_name((enum nmx_backend)wanted));
	if (name->backend == NMX_ANY && wanted != NMX_ANY && wanted != NMX_NETMAP && wanted != NMX_XDP)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "\"%s\" is the name of an interface, and the %s backend has none", name->port,
		                 nmx_backend_name((enum nmx_backend)wanted));
	*id = wanted != NMX_ANY ? (enum nmx_backend)wanted : name->backend;
	return 0;
}

/* A plain name that is the prefix of a small port, without its colon. */
const char *nmx__name_hint(const char *name)
{
	static const char *const small[][2] = { { "loop", "; did you mean loop: ?" }, { "null", "; did you mean null: ?" } };

	for (unsigned i = 0; i < sizeof(small) / sizeof(small[0]); i++)
		if (strcmp(name, small[i][0]) == 0)
			return small[i][1];
	return "";
}

/* A plain name: netmap has it where there is netmap, and AF_XDP what netmap did not take. */
static const struct nmx__backend *best(const struct nmx__backend *refused)
{
	const struct nmx__backend *netmap = &nmx__netmap_backend;

	return netmap != refused && netmap->ring_bytes && netmap->is_here() ? netmap : &nmx__xdp_backend;
}

const struct nmx__backend *nmx__backend_choose(const struct nmx_port *port, const struct nmx__backend *refused, int *err,
                                               struct nmx_report *why)
{
	const struct nmx__backend *backend;
	enum nmx_backend id = NMX_ANY;

	*err = choose_id(port, &id, why);
	if (*err < 0)
		return NULL;
	backend = id == NMX_ANY ? best(refused) : nmx__backend_find(id);
	if (backend->ring_bytes)
		return backend;
	*err = nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, 0, "\"%s\" cannot be opened here: %s%s", port->info.name, backend->missing,
	                 nmx__name_hint(port->name.port));
	return NULL;
}

/* Nobody insisted on it, and it is not that the port is taken or that something is used up. */
bool nmx__backend_has_next(const struct nmx_port *port, int err)
{
	struct nmx_report why;
	enum nmx_backend id = NMX_ANY;

	if (port->backend != &nmx__netmap_backend || choose_id(port, &id, &why) < 0 || id != NMX_ANY)
		return false;
	return err == NMX_ERR_UNSUPPORTED_PLATFORM || err == NMX_ERR_PERMISSION || err == NMX_ERR_NO_SUCH || err == NMX_ERR_FALLBACK_UNSUPPORTED ||
	       err == NMX_ERR_BIND_FAIL;
}
