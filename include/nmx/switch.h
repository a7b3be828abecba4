/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nmx/switch.h: what there is in switches, and who is in them.  A program that only sends and receives by a port of a
 * switch opens "vale0:a" with nmx_open() and needs nothing of this.
 *
 * switch            vale and an identifier: "vale0"; it is there as long as it has a port, or was made by nmx_switch_create()
 * port              of a switch, "vale0:a": made by an open, gone with the last close, unless it is ...
 * persistent port   ... one that nmx_switch_create() made; it stays until nmx_switch_remove()
 * attached          an interface or a persistent port in a switch, with no program behind it
 *
 * Two backends have switches: NMX_SWITCH, in user space, and NMX_NETMAP, in the kernel.  They are apart: no packet goes
 * from a switch of one to a switch of the other, also when both are called vale0.  What a backend cannot do it refuses with
 * NMX_ERR_FALLBACK_UNSUPPORTED and the reason.  Any thread.  report may be NULL.
 *
 * Errors that all calls have, explained in report:
 *   NMX_ERR_BAD_NAME, _BAD_OPTION            what was asked for makes no sense; the text shows the part
 *   NMX_ERR_NO_SUCH                          there is no such directory; that there is no segment in it only means that there
 *                                            are no switches
 *   NMX_ERR_UNSUPPORTED_PLATFORM             the backend is not here
 *   NMX_ERR_PERMISSION, _NO_MEMORY, _IO      as nmx_open()
 */
#ifndef NMX_SWITCH_H
#define NMX_SWITCH_H

#include <nmx/nmx.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nmx_switch_flags {
	NMX_SWITCH_HOST = 1 << 0, /* attach: the host's rings of the interface too, so that the host stays reachable */
};

/* Zero is every field's default; fields are only ever added at the end. */
struct nmx_switch_options {
	uint32_t backend;                                /* NMX_SWITCH or NMX_NETMAP; 0: $NMX_BACKEND, else NMX_SWITCH */
	uint32_t flags;                                  /* enum nmx_switch_flags */
	uint32_t tx_rings, rx_rings, tx_slots, rx_slots; /* create; 0: the backend's default */
	uint32_t mem_id;                                 /* create, netmap: memory of the port; 0: its own */
	const char *directory, *segment;                 /* user space; as in struct nmx_options */
	uint32_t ageing_s; /* create, user space, of a switch ("vale0"): seconds after which an address is forgotten that nothing came
	                    * from, 1 to 86400; 0: 300 */
};

/* A port of a switch. */
struct nmx_switch_port {
	char name[64];         /* "vale0:a" */
	uint32_t backend;      /* NMX_SWITCH or NMX_NETMAP */
	uint32_t switch_index; /* which switch, from 0 */
	uint32_t index;        /* which port of it */
	char user[96];         /* "nmx (process 12)"; "": none, or not known (the kernel does not tell) */
	bool has_stats;        /* what follows is counted */
	struct nmx_stats stats;
	uint32_t tx_rings, rx_rings, tx_slots, rx_slots; /* 0: not known */
	bool stays;            /* nmx_switch_create() made it */
	bool stuck;            /* it can be neither detached nor removed: netmap has lost the name that it is attached by */
};

/* Calls fn for each port of each switch of the backend until it returns non-zero.  Returns that, or 0, or an error. */
NMX_MUST_CHECK int nmx_switch_list_sized(const struct nmx_switch_options *options, size_t options_size,
                                         int (*fn)(const struct nmx_switch_port *port, void *arg), void *arg,
                                         struct nmx_report *report);

/* What there is to say of a switch. */
struct nmx_switch_info {
	uint32_t ageing_s;     /* as in struct nmx_switch_options; 0: the kernel does not tell */
	bool stays;            /* nmx_switch_create() made it */
	uint32_t switch_index; /* that of its ports */
	uint32_t ports;        /* how many it has */
	uint32_t backend;      /* NMX_SWITCH or NMX_NETMAP */
};
/* Calls fn for each switch of the backend ("vale0"), also for those that have no port, until it returns non-zero.  Returns that,
 * or 0, or an error.  (The kernel tells ports only, and its switches have some.  Where all ports of one are stuck, the name is that
 * of a port.) */
NMX_MUST_CHECK int nmx_switch_each_sized(const struct nmx_switch_options *options, size_t options_size,
                                         int (*fn)(const char *name, const struct nmx_switch_info *info, void *arg), void *arg,
                                         struct nmx_report *report);

/* Looks at the switch ("vale0").
 * Errors: NMX_ERR_NO_SUCH  there is no such switch
 *         NMX_ERR_FALLBACK_UNSUPPORTED  the kernel does not tell */
NMX_MUST_CHECK int nmx_switch_inspect_sized(const char *name, const struct nmx_switch_options *options, size_t options_size,
                                            struct nmx_switch_info *info, size_t info_size, struct nmx_report *report);

/* An address that a switch knows. */
struct nmx_switch_address {
	uint8_t mac[6];
	uint32_t port;  /* index in the switch */
	uint32_t age_s; /* since something last came from there */
};
/* Calls fn for each address that the switch ("vale0") has learnt, until it returns non-zero.  Returns that, or 0, or an
 * error.  Errors: NMX_ERR_NO_SUCH  there is no such switch
 *                 NMX_ERR_FALLBACK_UNSUPPORTED  the kernel does not tell */
NMX_MUST_CHECK int nmx_switch_table_sized(const char *name, const struct nmx_switch_options *options, size_t options_size,
                                          int (*fn)(const struct nmx_switch_address *address, void *arg), void *arg,
                                          struct nmx_report *report);

/* Makes a persistent port, in user space "vale0:a" or, to stay without ports, a switch: "vale0".  A switch that is there
 * because it has ports stays from now on, with the ageing time that the options say.  Of netmap
 * it is called as an interface is ("v0", at most 15 characters), and comes into a switch by nmx_switch_attach().
 * Errors: NMX_ERR_BUSY  there is a persistent port or switch, or an interface, of this name. */
NMX_MUST_CHECK int nmx_switch_create_sized(const char *name, const struct nmx_switch_options *options, size_t options_size,
                                           struct nmx_report *report);

/* Removes a port that nmx_switch_create() made.  Of a switch in user space ("vale0"): it stays no longer, and is there
 * as long as it has a port.
 * Errors: NMX_ERR_NO_SUCH  there is none of this name
 *         NMX_ERR_BUSY     it is attached: nmx_switch_detach() first; or open; or a switch that has ports, and was not made to stay */
NMX_MUST_CHECK int nmx_switch_remove_sized(const char *name, const struct nmx_switch_options *options, size_t options_size,
                                           struct nmx_report *report);

/* Puts an interface or a persistent port into a switch, which is made if there is none: "vale0:eth0".  It stays there
 * until nmx_switch_detach(), whatever becomes of this process.  Returns its index in the switch.  Without NMX_SWITCH_HOST
 * the host no longer gets what the interface receives.
 * Errors: NMX_ERR_NO_SUCH, NMX_ERR_BUSY (it is attached, or open). */
NMX_MUST_CHECK int nmx_switch_attach_sized(const char *name, const struct nmx_switch_options *options, size_t options_size,
                                           struct nmx_report *report);

/* Takes it out again.  Returns the index that it had.
 * Errors: NMX_ERR_NO_SUCH  it is not attached. */
NMX_MUST_CHECK int nmx_switch_detach_sized(const char *name, const struct nmx_switch_options *options, size_t options_size,
                                           struct nmx_report *report);

NMX_MUST_CHECK static inline int nmx_switch_list(const struct nmx_switch_options *options,
                                                 int (*fn)(const struct nmx_switch_port *port, void *arg), void *arg,
                                                 struct nmx_report *report)
{
	return nmx_switch_list_sized(options, sizeof(*options), fn, arg, report);
}
NMX_MUST_CHECK static inline int nmx_switch_each(const struct nmx_switch_options *options,
                                                 int (*fn)(const char *name, const struct nmx_switch_info *info, void *arg), void *arg,
                                                 struct nmx_report *report)
{
	return nmx_switch_each_sized(options, sizeof(*options), fn, arg, report);
}
NMX_MUST_CHECK static inline int nmx_switch_inspect(const char *name, const struct nmx_switch_options *options,
                                                    struct nmx_switch_info *info, struct nmx_report *report)
{
	return nmx_switch_inspect_sized(name, options, sizeof(*options), info, sizeof(*info), report);
}
NMX_MUST_CHECK static inline int nmx_switch_table(const char *name, const struct nmx_switch_options *options,
                                                  int (*fn)(const struct nmx_switch_address *address, void *arg), void *arg,
                                                  struct nmx_report *report)
{
	return nmx_switch_table_sized(name, options, sizeof(*options), fn, arg, report);
}
NMX_MUST_CHECK static inline int nmx_switch_create(const char *name, const struct nmx_switch_options *options, struct nmx_report *report)
{
	return nmx_switch_create_sized(name, options, sizeof(*options), report);
}
NMX_MUST_CHECK static inline int nmx_switch_remove(const char *name, const struct nmx_switch_options *options, struct nmx_report *report)
{
	return nmx_switch_remove_sized(name, options, sizeof(*options), report);
}
NMX_MUST_CHECK static inline int nmx_switch_attach(const char *name, const struct nmx_switch_options *options, struct nmx_report *report)
{
	return nmx_switch_attach_sized(name, options, sizeof(*options), report);
}
NMX_MUST_CHECK static inline int nmx_switch_detach(const char *name, const struct nmx_switch_options *options, struct nmx_report *report)
{
	return nmx_switch_detach_sized(name, options, sizeof(*options), report);
}

#ifdef __cplusplus
}
#endif
#endif
