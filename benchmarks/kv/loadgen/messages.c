#include "messages.h"

#include <string.h>

static size_t varint(uint8_t *at, uint64_t number)
{
    size_t size = 0;
    for (; number > 127; number >>= 7)
        at[size++] = (uint8_t)(number | 128);
    at[size++] = (uint8_t)number;
    return size;
}

static void add_number(struct buffer *message, unsigned field, uint64_t number)
{
    uint8_t bytes[16] = {(uint8_t)(field << 3)};
    append(message, bytes, 1 + varint(bytes + 1, number));
}

static void add_bytes(struct buffer *message, unsigned field, const void *bytes, size_t size)
{
    uint8_t head[16] = {(uint8_t)(field << 3 | 2)};
    append(message, head, 1 + varint(head + 1, size));
    append(message, bytes, size);
}

static void add_text(struct buffer *message, unsigned field, struct text text)
{
    if (text.size)
        add_bytes(message, field, text.bytes, text.size);
}

void write_put(struct buffer *message, struct text key, struct text value)
{
    message->size = 0;
    add_text(message, 1, key);
    add_text(message, 2, value);
}

void write_range(struct buffer *message, struct text key, struct text end, int keys_only)
{
    message->size = 0;
    add_text(message, 1, key);
    add_text(message, 2, end);
    if (keys_only)
        add_number(message, 8, 1);
}

void write_swap(struct buffer *message, struct text key, uint64_t revision, struct text value)
{
    static struct buffer compare, request, operation;
    message->size = compare.size = operation.size = 0;
    add_number(&compare, 2, 2); /* target: MOD; the result EQUAL is 0 */
    add_text(&compare, 3, key);
    add_number(&compare, 6, revision);
    add_bytes(message, 1, compare.bytes, compare.size);
    write_put(&request, key, value);
    add_bytes(&operation, 2, request.bytes, request.size);
    add_bytes(message, 2, operation.bytes, operation.size);
    operation.size = 0;
    write_range(&request, key, (struct text){0}, 0);
    add_bytes(&operation, 1, request.bytes, request.size);
    add_bytes(message, 3, operation.bytes, operation.size);
}

void write_watch(struct buffer *message, struct text key, struct text end, uint64_t watch_id)
{
    static struct buffer request;
    message->size = request.size = 0;
    add_text(&request, 1, key);
    add_text(&request, 2, end);
    add_number(&request, 7, watch_id);
    add_bytes(message, 1, request.bytes, request.size);
}

struct reader read_message(const uint8_t *bytes, size_t size)
{
    return (struct reader){.at = bytes, .end = bytes + size};
}

static uint64_t take_varint(struct reader *reader)
{
    uint64_t number = 0;
    for (int shift = 0; reader->at < reader->end; shift += 7) {
        uint8_t byte = *reader->at++;
        number |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return number;
    }
    fail("an answer that ends within a number");
}

int next_field(struct reader *reader)
{
    if (reader->at >= reader->end)
        return 0;
    uint64_t tag = take_varint(reader);
    reader->field = tag >> 3;
    reader->bytes = NULL;
    reader->number = take_varint(reader);
    if ((tag & 7) == 0)
        return 1;
    if ((tag & 7) != 2 || reader->number > (uint64_t)(reader->end - reader->at))
        fail("an answer that is no message of etcd's");
    reader->bytes = reader->at;
    reader->at += reader->number;
    return 1;
}

uint64_t number_in(const uint8_t *bytes, size_t size, uint64_t field)
{
    struct reader reader = read_message(bytes, size);
    while (next_field(&reader))
        if (reader.field == field && !reader.bytes)
            return reader.number;
    return 0;
}

long count_in(const uint8_t *bytes, size_t size, uint64_t field)
{
    struct reader reader = read_message(bytes, size);
    long count = 0;
    while (next_field(&reader))
        count += reader.field == field;
    return count;
}
