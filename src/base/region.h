/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Numbers for memory regions, unique in this process: buffers are exchanged within one, copied between two. */
#ifndef NMX_BASE_REGION_H
#define NMX_BASE_REGION_H

#include <stdint.h>

uint32_t nmx__next_region(void); /* never 0 */

#endif
