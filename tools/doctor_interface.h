/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The known traps of an interface: what is found, why it matters, and the command that mends it. */
#ifndef NMX_TOOLS_DOCTOR_INTERFACE_H
#define NMX_TOOLS_DOCTOR_INTERFACE_H

#include <stdbool.h>

#include <nmx/inspect.h>

#include "json.h"

enum finding_level {
	FINDING_FINE,
	FINDING_NOTE,    /* worth to know */
	FINDING_WARNING, /* packets, or parts of them, may not come as expected */
	FINDING_TROUBLE, /* it will not work so */
};

struct finding {
	enum finding_level level;
	const char *trap;
	char found[512], why[256], mend[256];
};

/* Looks at each trap; returns how many findings there are, at most FINDINGS. */
#define FINDINGS 16
int findings_of(const struct nmx_interface_info *info, struct finding findings[FINDINGS]);

/* Of the interface that a port's name is about; json is NULL for people.  Says nothing of a port that is no interface.
 * False: there is trouble. */
bool doctor_interface(const char *name, struct json *json);

#endif
