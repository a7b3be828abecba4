/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What stands for AF_XDP in a library that was built without it (meson's option xdp, off where there is no Linux). */
#include <string.h>

#include <nmx/inspect.h>

#include "base/report.h"
#include "core/port.h"

const struct nmx__backend nmx__xdp_backend = {
	.id = NMX_XDP,
	.missing = "this library was built without AF_XDP, Linux's way to network interfaces (meson configure -Dxdp=enabled)",
};

int nmx_interface_inspect(const char *text, struct nmx_interface_info *info, struct nmx_report *why)
{
	nmx__report_clear(why);
	memset(info, 0, sizeof(*info));
	return nmx__fail(why, NMX_ERR_UNSUPPORTED_PLATFORM, 0, "\"%.64s\" cannot be looked at: %s", text, nmx__xdp_backend.missing);
}
