/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a checked build of the library does at each call; nothing in a plain one. */
#ifndef NMX_CORE_CHECK_H
#define NMX_CORE_CHECK_H

#include "core/port.h"

#ifdef NMX_CHECKED
#define NMX__CHECK_CALLER(handle) nmx__check_thread(handle, &(handle)->owner, __func__, 0)
#else
#define NMX__CHECK_CALLER(handle) ((void)0)
#endif

#endif
