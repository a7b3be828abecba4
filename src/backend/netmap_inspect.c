/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What there is of netmap on this machine: for nmx doctor. */
#include <errno.h>
#include <stdio.h>

#include <nmx/inspect.h>

#include "backend/netmap.h"
#include "base/report.h"

/* Linux has one of them when netmap is a module; elsewhere neither is there. */
#define VERSION_FILE "/sys/module/netmap/version"
#define SOURCE_FILE  "/sys/module/netmap/srcversion"

static void read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");

	if (file && fgets(line, (int)size, file))
		line[strcspn(line, "\n")] = '\0';
	if (file)
		fclose(file);
}

int nmx_netmap_inspect(struct nmx_netmap_info *info, struct nmx_report *why)
{
	struct nmx__nm_port_info memory = { 0 };
	int fd, err;

	nmx__report_clear(why);
	memset(info, 0, sizeof(*info));
	read_line(VERSION_FILE, info->version, sizeof(info->version));
	if (!*info->version)
		read_line(SOURCE_FILE, info->version, sizeof(info->version));
	fd = nmx__nm_open(why);
	info->is_here = fd != NMX_ERR_UNSUPPORTED_PLATFORM;
	if (fd < 0)
		return fd;
	err = nmx__nm_check_api(fd, &info->api, why);
	if (err == 0 && nmx__nm_request(fd, NMX__NM_PORT_INFO_GET, "", &memory, NULL) == 0)
		info->memory = memory.memsize;
	nmx__nm_sys->close(fd);
	return err;
}

int nmx__nm_probe(struct nmx_report *why)
{
	struct nmx_netmap_info info;
	int err = nmx_netmap_inspect(&info, why);

	if (err < 0)
		return err;
	nmx__note(why, "API %u%s%s, %llu MiB of memory for interfaces", info.api, *info.version ? ", module " : "", info.version,
	          (unsigned long long)info.memory >> 20);
	return 0;
}

int nmx__nm_explain(const struct nmx_port *port, struct nmx_report *why)
{
	struct nmx__nm_port_info info = { .mem_id = (uint16_t)port->name.mem_id };
	int fd = nmx__nm_open(why), err;

	if (fd < 0)
		return fd;
	err = nmx__nm_check_api(fd, NULL, why);
	if (err == 0 && (err = nmx__nm_request(fd, NMX__NM_PORT_INFO_GET, port->name.port, &info, NULL)) < 0)
		err = nmx__fail(why, err == -ENXIO ? NMX_ERR_NO_SUCH : NMX_ERR_BIND_FAIL, -err, "netmap does not know \"%s\"", port->name.port);
	nmx__nm_sys->close(fd);
	if (err < 0)
		return err;
	nmx__note(why, "\"%s\" is a port of netmap, in its memory %u: %u transmit rings of %u slots, %u receive rings of %u, %u host rings", port->info.name,
	          info.mem_id, info.tx_rings, info.tx_slots, info.rx_rings, info.rx_slots, info.host_rx_rings);
	return 0;
}
