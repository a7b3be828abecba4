/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Switches in the kernel: <nmx/switch.h> by netmap's control requests.  What they do remains when the descriptor that they
 * were made with is closed. */
#include <errno.h>
#include <stdio.h>

#include "backend/netmap.h"
#include "base/report.h"

#define MAX_PORTS 65536 /* that are listed: more is no answer of netmap's */

static int open_device(struct nmx_report *why)
{
	int fd = nmx__nm_open(why), err = fd < 0 ? fd : nmx__nm_check_api(fd, NULL, why);

	if (err < 0 && fd >= 0)
		nmx__nm_sys->close(fd);
	return err < 0 ? err : fd;
}

static int other_error(const char *name, int sys_errno, const char *what, struct nmx_report *why)
{
	int err = sys_errno == ENOMEM ? NMX_ERR_NO_MEMORY : sys_errno == EPERM || sys_errno == EACCES ? NMX_ERR_PERMISSION : NMX_ERR_IO;

	return nmx__fail(why, err, sys_errno, "netmap cannot %s \"%s\"", what, name);
}

/* ---- list */

static int next_port(int fd, struct nmx__nm_list *at, struct nmx_switch_port *port)
{
	char name[NMX__NM_NAME_SIZE];
	int err = nmx__nm_list(fd, at, name);

	*port = (struct nmx_switch_port){ .backend = NMX_NETMAP, .switch_index = at->bridge, .index = at->port };
	if (err == 0) {
		memcpy(port->name, name, sizeof(name));
		port->stuck = strncmp(name, "vale", 4) != 0;
		at->port++;
	}
	return err;
}

static int list(const struct nmx_switch_options *options, int (*fn)(const struct nmx_switch_port *port, void *arg), void *arg,
                struct nmx_report *why)
{
	struct nmx__nm_list at = { 0 };
	struct nmx_switch_port port;
	int fd = open_device(why), err, told = 0;

	(void)options;
	if (fd < 0)
		return fd;
	for (int i = 0; i < MAX_PORTS && told == 0 && (err = next_port(fd, &at, &port)) == 0; i++)
		told = fn(&port, arg);
	nmx__nm_sys->close(fd);
	if (told != 0 || err == 0 || err == -ENOENT)
		return told;
	return nmx__fail(why, NMX_ERR_IO, -err, "netmap does not list its switches");
}

/* The switch that is being listed, port by port. */
struct each {
	int (*fn)(const char *name, const struct nmx_switch_info *info, void *arg);
	void *arg;
	struct nmx_switch_info info; /* no ports: none yet */
	char name[64];
	bool lost; /* the name is not the switch's */
};

static int tell_switch(struct each *each)
{
	int stop = each->info.ports ? each->fn(each->name, &each->info, each->arg) : 0;

	each->info = (struct nmx_switch_info){ .ports = 0 };
	each->lost = true;
	return stop;
}

static int count_port(const struct nmx_switch_port *port, void *arg)
{
	struct each *each = arg;
	int stop = port->switch_index != each->info.switch_index ? tell_switch(each) : 0;

	each->info.backend = NMX_NETMAP;
	each->info.switch_index = port->switch_index;
	each->info.ports++;
	if (each->lost)
		snprintf(each->name, sizeof(each->name), "%.*s", (int)strcspn(port->name, ":"), port->name);
	each->lost &= port->stuck;
	return stop;
}

static int each_switch(const struct nmx_switch_options *options,
                       int (*fn)(const char *name, const struct nmx_switch_info *info, void *arg), void *arg, struct nmx_report *why)
{
	struct each each = { .fn = fn, .arg = arg, .lost = true };
	int told = list(options, count_port, &each, why);

	return told ? told : tell_switch(&each);
}

/* ---- ports that stay */

static int check_name(const char *name, struct nmx_report *why)
{
	size_t len = strnlen(name, NMX__NM_NAME_SIZE);

	if (len > 0 && len < NMX__NM_IF_NAME && !strpbrk(name, ": /{}^*@"))
		return 0;
	return nmx__fail(why, NMX_ERR_BAD_NAME, 0,
	                 "\"%.64s\" cannot be a persistent port: write 1 to %d characters as of an interface, v0, and put it into a switch with attach vale0:v0",
	                 name, NMX__NM_IF_NAME - 1);
}

static int create(const char *name, const struct nmx_switch_options *o, struct nmx_report *why)
{
	struct nmx__nm_newif body = { .tx_slots = o->tx_slots, .rx_slots = o->rx_slots, .tx_rings = (uint16_t)o->tx_rings,
		                      .rx_rings = (uint16_t)o->rx_rings, .mem_id = (uint16_t)o->mem_id };
	int err = check_name(name, why), fd;

	if (err < 0)
		return err;
	if (o->tx_rings > UINT16_MAX || o->rx_rings > UINT16_MAX || o->mem_id > UINT16_MAX)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "netmap has at most %d rings and memories", UINT16_MAX);
	if (o->ageing_s)
		return nmx__fail(why, NMX_ERR_FALLBACK_UNSUPPORTED, 0,
		                 "the ageing time of netmap's switches is the kernel's; switches of user space (--backend switch) have one each");
	if ((fd = open_device(why)) < 0)
		return fd;
	err = nmx__nm_request(fd, NMX__NM_VALE_NEWIF, name, &body, NULL);
	nmx__nm_sys->close(fd);
	if (err == -EEXIST)
		return nmx__fail(why, NMX_ERR_BUSY, 0, "there is an interface \"%s\" already", name);
	if (err == -EINVAL && o->mem_id)
		return nmx__fail(why, NMX_ERR_BAD_OPTION, 0, "netmap cannot make \"%s\" in memory %u: a memory is there while a port of it is open", name, o->mem_id);
	return err < 0 ? other_error(name, -err, "make", why) : 0;
}

/* A persistent port whose name in the switch netmap has replaced by its own, at the first open: nothing finds it there any
 * more. */
static bool is_stuck(int fd, const char *name)
{
	struct nmx__nm_list at = { 0 };
	struct nmx_switch_port port;

	for (int i = 0; i < MAX_PORTS && next_port(fd, &at, &port) == 0; i++)
		if (port.stuck && strcmp(port.name, name) == 0)
			return true;
	return false;
}

static int stuck(const char *name, struct nmx_report *why)
{
	return nmx__fail(why, NMX_ERR_BUSY, 0,
	                 "\"%s\" is stuck in its switch: this version of netmap forgets the switch's name of a persistent port when that is opened, and then can "
	                 "neither detach nor remove it, until the machine is booted again (a port made by an open, vale0:a, has no such trouble)",
	                 name);
}

static int remove_port(const char *name, const struct nmx_switch_options *o, struct nmx_report *why)
{
	int err = check_name(name, why), fd;

	(void)o;
	if (err < 0)
		return err;
	if ((fd = open_device(why)) < 0)
		return fd;
	err = nmx__nm_request(fd, NMX__NM_VALE_DELIF, name, NULL, NULL);
	if (err == -EBUSY)
		err = is_stuck(fd, name) ? stuck(name, why) : nmx__fail(why, NMX_ERR_BUSY, 0, "\"%s\" is in a switch or open: take it out first (nmx switch detach)", name);
	else if (err == -ENXIO || err == -EINVAL)
		err = nmx__fail(why, NMX_ERR_NO_SUCH, 0, "there is no persistent port \"%s\": %s", name,
		                err == -EINVAL ? "the interface of this name is another's" : "no interface has this name");
	else if (err < 0)
		err = other_error(name, -err, "remove", why);
	nmx__nm_sys->close(fd);
	return err;
}

/* ---- in and out of a switch */

static const char *in_switch(const struct nmx__name *name) { return strchr(name->port, ':') + 1; }

static int attach(const struct nmx__name *name, const struct nmx_switch_options *o, struct nmx_report *why)
{
	struct nmx__nm_attach body = { .reg = { .mode = o->flags & NMX_SWITCH_HOST ? NMX__NM_NIC_HOST : NMX__NM_ALL_NIC, .mem_id = (uint16_t)o->mem_id } };
	int fd = open_device(why), err;

	if (fd < 0)
		return fd;
	err = nmx__nm_request(fd, NMX__NM_VALE_ATTACH, name->port, &body, NULL);
	nmx__nm_sys->close(fd);
	switch (-err) {
	case 0:
		return body.port <= INT32_MAX ? (int)body.port : 0;
	case EBUSY:
		return nmx__fail(why, NMX_ERR_BUSY, 0, "\"%s\" is in a switch already, or open (nmx switch list)", in_switch(name));
	case EINVAL:
	case ENXIO:
		return nmx__fail(why, NMX_ERR_NO_SUCH, 0, "there is no interface and no persistent port \"%s\" that could be put into a switch", in_switch(name));
	case ENOMEM:
		return nmx__fail(why, NMX_ERR_NO_MEMORY, 0, "\"%s\": netmap has no memory for it, or as many switches as there can be (module parameter max_bridges)",
		                 name->port);
	default:
		return other_error(name->port, -err, "attach", why);
	}
}

static int detach(const struct nmx__name *name, const struct nmx_switch_options *o, struct nmx_report *why)
{
	struct nmx__nm_detach body = { 0 };
	int fd = open_device(why), err;

	(void)o;
	if (fd < 0)
		return fd;
	err = nmx__nm_request(fd, NMX__NM_VALE_DETACH, name->port, &body, NULL);
	if (err == 0)
		err = body.port <= INT32_MAX ? (int)body.port : 0;
	else if (err == -ENXIO && is_stuck(fd, in_switch(name)))
		err = stuck(in_switch(name), why);
	else if (err == -ENXIO || err == -EINVAL)
		err = nmx__fail(why, NMX_ERR_NO_SUCH, 0, "\"%s\" is not attached (nmx switch list)", name->port);
	else if (err == -EBUSY)
		err = nmx__fail(why, NMX_ERR_BUSY, 0, "\"%s\" is open", name->port);
	else
		err = other_error(name->port, -err, "detach", why);
	nmx__nm_sys->close(fd);
	return err;
}

const struct nmx__switch_ops nmx__nm_switches = {
	.list = list,
	.each = each_switch,
	.create = create,
	.remove = remove_port,
	.attach = attach,
	.detach = detach,
};
