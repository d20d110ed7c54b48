#include "headers.h"

#include <stdio.h>
#include <string.h>

#include "huffman_codes.h" /* written by the build: HUFFMAN_CODES and HUFFMAN_BITS, by byte */

enum { DYNAMIC_START = 62, ENTRY_OVERHEAD = 32, INDEXED = 0x80, ENTERED_LITERAL = 0x40 };
enum { STRING_MAX = 128, INDEX_PREFIX = 0x7f, NAME_PREFIX = 0x3f };
/* Fields whose value is not a constant, by these marks. */
enum { PATH, AUTHORITY, TIMEOUT, TEXT };

struct field {
    const char *name, *text;
    int kind;
    int whole;      /* index in the static table of name and value together */
    int name_index; /* index in the static table of the name */
};

static const struct field GO_FIELDS[FIELDS_MAX] = {
    {":method", "POST", TEXT, 3, 0},
    {":scheme", "http", TEXT, 6, 0},
    {":path", "", PATH, 0, 5},
    {":authority", "", AUTHORITY, 0, 1},
    {"content-type", "application/grpc", TEXT, 0, 31},
    {"user-agent", "grpc-go/1.33.3", TEXT, 0, 58},
    {"te", "trailers", TEXT, 0, 0},
    {"grpc-timeout", "", TIMEOUT, 0, 0},
    {"client-api-version", "3.4", TEXT, 0, 0},
};

static const struct field CORE_FIELDS[FIELDS_MAX] = {
    {":path", "", PATH, 0, 0},
    {":authority", "", AUTHORITY, 0, 0},
    {":method", "POST", TEXT, 3, 0},
    {":scheme", "http", TEXT, 6, 0},
    {"content-type", "application/grpc", TEXT, 0, 0},
    {"te", "trailers", TEXT, 0, 0},
    {"grpc-accept-encoding", "identity, deflate, gzip", TEXT, 0, 0},
    {"grpc-timeout", "", TIMEOUT, 0, 0},
    {"user-agent", "grpc-python/1.85.1 grpc-c/58.0.0 (linux; chttp2)", TEXT, 0, 0},
};

static void append_integer(struct buffer *out, int pattern, uint64_t top, uint64_t value)
{
    uint8_t bytes[10];
    size_t size = 1;
    if (value < top) {
        bytes[0] = (uint8_t)((uint64_t)pattern | value);
    } else {
        bytes[0] = (uint8_t)((uint64_t)pattern | top);
        for (value -= top; value > 127; value >>= 7)
            bytes[size++] = (uint8_t)(value | 128);
        bytes[size++] = (uint8_t)value;
    }
    append(out, bytes, size);
}

static size_t huffman(uint8_t *at, const char *text)
{
    uint64_t bits = 0;
    int held = 0;
    size_t size = 0;
    for (; *text; text++) {
        bits = bits << HUFFMAN_BITS[(uint8_t)*text] | HUFFMAN_CODES[(uint8_t)*text];
        for (held += HUFFMAN_BITS[(uint8_t)*text]; held >= 8; held -= 8)
            at[size++] = (uint8_t)(bits >> (held - 8));
    }
    if (held)
        at[size++] = (uint8_t)(bits << (8 - held) | (0xff >> held));
    return size;
}

static void append_string(struct buffer *out, const char *text, int may_code)
{
    uint8_t coded[STRING_MAX * 4];
    size_t length = strlen(text);
    size_t size = may_code ? huffman(coded, text) : length;
    if (size < length) {
        append_integer(out, 0x80, 0x7f, size);
        append(out, coded, size);
    } else {
        append_integer(out, 0, 0x7f, length);
        append(out, text, length);
    }
}

static int is_there(const struct header_table *table, uint64_t number)
{
    return number > table->evicted;
}

static uint64_t index_of(const struct header_table *table, uint64_t number)
{
    return DYNAMIC_START + table->entered - number;
}

static void enter(struct header_table *table, int at, size_t size)
{
    table->numbers[at] = ++table->entered;
    table->sizes[table->entered % TABLE_ENTRIES_MAX] = (uint16_t)size;
    table->bytes += size;
    while (table->bytes > TABLE_BYTES)
        table->bytes -= table->sizes[++table->evicted % TABLE_ENTRIES_MAX];
}

static void append_field(struct buffer *out, struct header_table *table, enum style style,
                         const struct field *field, int at, const char *text, int same)
{
    uint64_t number = table->numbers[at];
    if (field->whole) {
        append_integer(out, INDEXED, INDEX_PREFIX, (uint64_t)field->whole);
        return;
    }
    if (same && is_there(table, number)) {
        append_integer(out, INDEXED, INDEX_PREFIX, index_of(table, number));
        return;
    }
    uint64_t name = (uint64_t)field->name_index;
    if (!name && style != C_CORE && is_there(table, number))
        name = index_of(table, number);
    append_integer(out, ENTERED_LITERAL, NAME_PREFIX, name);
    if (!name)
        append_string(out, field->name, style != C_CORE);
    append_string(out, text, style != C_CORE);
    enter(table, at, strlen(field->name) + strlen(text) + ENTRY_OVERHEAD);
}

/* Four seconds and some, to the microsecond, as a call under a deadline of five has left. */
static void write_timeout(char *text, size_t size, enum style style)
{
    if (style == C_CORE) /* which rounds up to hundredths of a second */
        snprintf(text, size, "%u0m", (unsigned)(100 + next_random() % 900));
    else
        snprintf(text, size, "%uu", (unsigned)(4900000 + next_random() % 100000));
}

void append_block(struct buffer *out, struct header_table *table, enum style style,
                  const char *path, const char *authority)
{
    const struct field *fields = style == C_CORE ? CORE_FIELDS : GO_FIELDS;
    for (int at = 0; at < FIELDS_MAX; at++) {
        const struct field *field = fields + at;
        const char *text = field->text;
        char timeout[16];
        int same = 1;
        switch (field->kind) {
        case PATH:
            text = path;
            same = table->path == path;
            table->path = path;
            break;
        case AUTHORITY:
            text = authority;
            break;
        case TIMEOUT:
            if (style == PLAIN)
                continue;
            write_timeout(timeout, sizeof timeout, style);
            text = timeout;
            same = 0;
            break;
        }
        append_field(out, table, style, field, at, text, same);
    }
}
