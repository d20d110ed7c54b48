/* Header blocks as grpc's two great clients write them, table and all (RFC 7541).
 *
 * Recorded from etcdctl 3.4 (grpc-go 1.33) and grpcio 1.85 (C-core 58): both enter every field in
 * the dynamic table and then send its index until it has fallen out. A `grpc-timeout` that differs
 * from call to call is entered anew each time, which moves all others on by one: grpc-go gives the
 * index of its name and a Huffman string, C-core the name again and plain text.
 */
#ifndef HEADERS_H
#define HEADERS_H

#include "common.h"

enum style {
    PLAIN,  /* grpc-go's, without a timeout: from the second call on a block is the same bytes */
    GRPC_GO, /* each call with another timeout */
    C_CORE, /* each call with another timeout */
};

/* Entries take 32 bytes and more of a table of 4,096, so no more of them are in it. */
enum { TABLE_BYTES = 4096, TABLE_ENTRIES_MAX = 128, FIELDS_MAX = 9 };

/* What the other side's table holds. Entries are known by the number they were entered with. */
struct header_table {
    uint64_t entered, evicted;
    size_t bytes;
    uint16_t sizes[TABLE_ENTRIES_MAX]; /* by number */
    uint64_t numbers[FIELDS_MAX];      /* by field: the entry that has it */
    const char *path;                  /* which `:path` that entry has */
};

/* Append the block of one call of `path` to `authority`. */
void append_block(struct buffer *out, struct header_table *table, enum style style,
                  const char *path, const char *authority);

#endif
