/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef NMX_TESTS_TOOLS_STRICT_JSON_H
#define NMX_TESTS_TOOLS_STRICT_JSON_H

/* NULL: the text is one JSON value (RFC 8259) and a newline, nothing else.  Otherwise where it goes wrong. */
const char *strict_json(const char *text);

#endif
