/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef NMX_TESTS_TOOLS_INTERFACE_H
#define NMX_TESTS_TOOLS_INTERFACE_H

#include <nmx/inspect.h>

/* What is said of an interface that is not there: text, or, where there is no AF_XDP, why not. */
static inline const char *said_of_interface(const char *text)
{
	return nmx_backend_probe(NMX_XDP, NULL, NULL) < 0 ? "built without AF_XDP" : text;
}

#endif
