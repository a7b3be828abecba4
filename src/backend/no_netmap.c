/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What stands for the netmap device in a library that was built without it (meson's option netmap). */
#include <string.h>

#include <nmx/inspect.h>

#include "base/report.h"
#include "core/port.h"

const struct nmx__backend nmx__netmap_backend = {
	.id = NMX_NETMAP,
	.missing = "this library was built without the netmap device (meson configure -Dnetmap=enabled)",
};

int nmx_netmap_inspect(struct nmx_netmap_info *info, struct nmx_report *why)
{
	nmx__report_clear(why);
	memset(info, 0, sizeof(*info));
	return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, 0, "%s", nmx__netmap_backend.missing);
}
