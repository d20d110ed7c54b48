/* Unary calls in a closed loop, each answer checked for what it should hold. */
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

struct call {
    double sent_at;
    long key;
    int ok;
};

static const char RANGE_PATH[] = "/etcdserverpb.KV/Range";
static const char PUT_PATH[] = "/etcdserverpb.KV/Put";
static const char SWAP_PATH[] = "/etcdserverpb.KV/Txn";

static struct connection *connections;
static struct call *calls; /* in_flight for each connection */
static uint64_t *revisions; /* SWAP: by key, of its last change */
static int learning;        /* SWAP: `revisions` are on their way */

static int slot_of(const struct connection *connection, const struct stream *stream)
{
    return connection->number * load.in_flight + stream->slot;
}

static long choose_key(int slot)
{
    switch (load.kind) {
    case FILL:
        return load.sent % load.key_count;
    case SWAP: {
        /* Each slot has keys of its own, so nobody else changes them meanwhile. */
        long slots = (long)load.connections * load.in_flight;
        return (long)(next_random() % (uint64_t)(load.key_count / slots)) * slots + slot;
    }
    default:
        return (long)(next_random() % (uint64_t)load.key_count);
    }
}

static const char *write_request(struct buffer *message, struct call *call)
{
    char low[KEY_MAX], high[KEY_MAX];
    struct text key = key_of(low, call->key);
    switch (load.kind) {
    case GET:
    case ASK:
        write_range(message, key, (struct text){0}, 0);
        return RANGE_PATH;
    case RANGE:
        key = prefix_of(low, call->key);
        write_range(message, key, prefix_of(high, call->key + PREFIX_KEYS), 0);
        return RANGE_PATH;
    case SCAN:
        write_range(message, (struct text){"k", 1}, (struct text){"l", 1}, 0);
        return RANGE_PATH;
    case SWAP:
        write_swap(message, key, revisions[call->key], load.value);
        return SWAP_PATH;
    default:
        write_put(message, key, load.value);
        return PUT_PATH;
    }
}

static void send_call(struct connection *connection, struct stream *stream)
{
    static struct buffer message;
    int slot = slot_of(connection, stream);
    struct call *call = calls + slot;
    call->key = choose_key(slot);
    call->ok = 0;
    load.sent++;
    load.open_calls++;
    const char *path = write_request(&message, call);
    open_stream(connection, stream, path, &message, 1);
    call->sent_at = now();
}

static int may_send(const struct connection *connection)
{
    return !load.stopping && !learning && !(load.total && load.sent >= load.total) &&
           connection->window > 2 * load.value_bytes + 512;
}

static void fill_slots(struct connection *connection)
{
    for (int i = 0; i < load.in_flight; i++)
        if (!connection->streams[i].open && may_send(connection))
            send_call(connection, connection->streams + i);
}

static int swapped(const uint8_t *bytes, size_t size, long key)
{
    struct reader answer = read_message(bytes, size);
    int succeeded = 0;
    while (next_field(&answer)) {
        if (answer.field == 1)
            revisions[key] = number_in(answer.bytes, answer.number, 3);
        else if (answer.field == 2)
            succeeded = answer.number == 1;
    }
    return succeeded;
}

static void on_message(struct connection *connection, struct stream *stream, const uint8_t *bytes,
                       size_t size)
{
    struct call *call = calls + slot_of(connection, stream);
    switch (load.kind) {
    case GET:
        call->ok = count_in(bytes, size, 2) == 1;
        break;
    case RANGE:
        call->ok = count_in(bytes, size, 2) == PREFIX_KEYS;
        break;
    case SCAN:
        call->ok = count_in(bytes, size, 2) == load.key_count;
        break;
    case SWAP:
        call->ok = swapped(bytes, size, call->key);
        break;
    default:
        call->ok = 1;
    }
}

static void on_end(struct connection *connection, struct stream *stream, int clean)
{
    struct call *call = calls + slot_of(connection, stream);
    load.open_calls--;
    if (!clean || !call->ok)
        fail("a request for key %ld failed, or found something else", call->key);
    load.all_requests++;
    if (load.measuring) {
        load.requests++;
        note(&answers, now() - call->sent_at);
    }
}

static const struct handler CALLS = {on_message, on_end, fill_slots};

/* ---- SWAP begins by learning at which revision each key was changed ---- */

static void on_known(struct connection *connection, struct stream *stream, const uint8_t *bytes,
                     size_t size)
{
    (void)connection, (void)stream;
    struct reader answer = read_message(bytes, size);
    while (next_field(&answer)) {
        if (answer.field != 2)
            continue;
        struct reader pair = read_message(answer.bytes, answer.number);
        long key = -1;
        while (next_field(&pair)) {
            if (pair.field == 1)
                key = strtol((const char *)pair.bytes + 1, NULL, 10);
            else if (pair.field == 3 && key >= 0 && key < load.key_count)
                revisions[key] = pair.number;
        }
    }
}

static void on_learned(struct connection *connection, struct stream *stream, int clean)
{
    (void)stream;
    if (!clean)
        fail("the keys could not be read");
    learning = 0;
    connection->handler = &CALLS;
    for (int i = 0; i < load.connections; i++) {
        fill_slots(connections + i);
        flush_output(connections + i);
    }
}

static void nothing(struct connection *connection)
{
    (void)connection;
}

static const struct handler LEARNER = {on_known, on_learned, nothing};

static void learn(struct connection *connection)
{
    static struct buffer message;
    revisions = allocate((size_t)load.key_count, sizeof *revisions);
    learning = 1;
    connection->handler = &LEARNER;
    write_range(&message, (struct text){"k", 1}, (struct text){"l", 1}, 1);
    open_stream(connection, connection->streams, RANGE_PATH, &message, 1);
}

int start_calls(void)
{
    connections = allocate((size_t)load.connections, sizeof *connections);
    calls = allocate((size_t)load.connections * (size_t)load.in_flight, sizeof *calls);
    for (int i = 0; i < load.connections; i++) {
        struct connection *connection = connections + i;
        connection->number = i;
        connection->style = load.style;
        connection->handler = &CALLS;
        if (!connect_to(connection, load.port, load.poll, load.in_flight))
            return 0;
    }
    if (load.kind == SWAP)
        learn(connections);
    for (int i = 0; i < load.connections; i++) {
        fill_slots(connections + i);
        flush_output(connections + i);
    }
    return 1;
}

int calls_done(void)
{
    if (load.total && load.all_requests >= load.total)
        load.stopping = 1;
    return load.stopping && !load.open_calls;
}
