/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nmx/inspect.h: what this machine offers, and what there is in a namespace directory.  For tools such as
 * `nmx doctor`; a program that moves packets needs nothing of it.
 *
 * Any thread.  directory and segment are as in struct nmx_options: NULL for the default.  Texts are for people.
 */
#ifndef NMX_INSPECT_H
#define NMX_INSPECT_H

#include <nmx/nmx.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether ports of a backend can be opened here: 0, or NMX_ERR_UNSUPPORTED_PLATFORM, and why not in the report.
 * NMX_PIPE also looks at the directory: errors as nmx_open(). */
NMX_MUST_CHECK int nmx_backend_probe(enum nmx_backend backend, const char *directory, struct nmx_report *report);

/* What a name means and whether it could be opened now, without opening it: 0 or what nmx_open() would return, and a
 * sentence in both cases. */
NMX_MUST_CHECK int nmx_name_explain(const char *name, const struct nmx_options *options, struct nmx_report *report);

struct nmx_segment_info {
	char name[32];
	int err;              /* 0, or why it cannot be looked at: NMX_ERR_CORRUPT, ... */
	char problem[256];    /* that, as a sentence */
	uint32_t members;     /* processes in it that are alive */
	uint32_t dead;        /* that died and have not been recovered yet, or not of the buffers that the kernel held */
	uint32_t pipes;
	uint32_t bufs, free_bufs;
	uint64_t bytes;       /* that it takes of the file system now */
};

/* Calls fn for each segment of the directory until it returns non-zero.  Returns that, or 0, or an error.
 * path, if not NULL, gets the directory's name (256 bytes are enough). */
NMX_MUST_CHECK int nmx_segment_list(const char *directory, char *path, size_t path_size,
                                    int (*fn)(const struct nmx_segment_info *info, void *arg), void *arg,
                                    struct nmx_report *report);

struct nmx_pipe_info {
	char name[64];           /* "x{1" */
	uint32_t rings[2];       /* that x{1 and x}1 send on */
	uint32_t slots[2];
	uint64_t queued[2];      /* packets (slots) on their way from x{1, from x}1 */
	char user[2][96];        /* "nmx (process 12)", or "" */
	struct nmx_stats gone[2]; /* counters of users of either end that are gone */
};

/* The same for the pipes of a segment. */
NMX_MUST_CHECK int nmx_pipe_list(const char *directory, const char *segment,
                                 int (*fn)(const struct nmx_pipe_info *info, void *arg), void *arg,
                                 struct nmx_report *report);

/* Gives back what dead processes left in a segment, and removes it when nobody is in it.  Returns how many dead were
 * found; *removed (may be NULL) says whether the segment's files are gone.
 * Errors: NMX_ERR_NO_SUCH, NMX_ERR_BUSY, NMX_ERR_CORRUPT, NMX_ERR_NO_MEMORY. */
NMX_MUST_CHECK int nmx_segment_clean(const char *directory, const char *segment, bool *removed, struct nmx_report *report);

/* Where every buffer is.  Exact only while nobody moves packets: what moves meanwhile may look lost or doubled. */
struct nmx_audit {
	uint32_t bufs;    /* that there are, without the two that are reserved */
	uint32_t free;
	uint32_t queued;  /* in the queues of pipes */
	uint32_t held;    /* by members: rings and spares */
	uint32_t lost;    /* marked as used, and nobody has them */
	uint32_t doubled; /* that more than one has, or that are had and marked as free */
	uint32_t quarantined; /* that the kernel held for a process that died, until it has certainly let go: two seconds */
};
NMX_MUST_CHECK int nmx_segment_audit(const char *directory, const char *segment, struct nmx_audit *audit,
                                     struct nmx_report *report);

#ifdef __cplusplus
}
#endif
#endif
