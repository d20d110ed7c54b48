/* The few messages of etcd's API that load is made of: requests written, answers read. */
#ifndef MESSAGES_H
#define MESSAGES_H

#include "common.h"

struct text {
    const char *bytes;
    size_t size;
};

/* A protobuf message being read, field by field. */
struct reader {
    const uint8_t *at, *end;
    uint64_t field, number; /* number: of a varint, or the length of what `bytes` points to */
    const uint8_t *bytes;   /* NULL for a varint */
};

/* Each replaces what `message` held. An empty `end` asks for one key. */
void write_put(struct buffer *message, struct text key, struct text value);
void write_range(struct buffer *message, struct text key, struct text end, int keys_only);
/* Put if the key was last changed at `revision`, else get it: as Kubernetes and Locks write. */
void write_swap(struct buffer *message, struct text key, uint64_t revision, struct text value);
void write_watch(struct buffer *message, struct text key, struct text end, uint64_t watch_id);

struct reader read_message(const uint8_t *bytes, size_t size);
int next_field(struct reader *reader);

/* The number in field `field` of a message, 0 where it is not there. */
uint64_t number_in(const uint8_t *bytes, size_t size, uint64_t field);

/* How many fields `field` a message has: the keys of a range, the events of a watch. */
long count_in(const uint8_t *bytes, size_t size, uint64_t field);

#endif
