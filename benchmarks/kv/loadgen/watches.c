/* One writer and many watchers: what is put is counted, what arrives is counted, and compared. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

/* Watches are created while the connection's window allows; a stream's own, 64 KiB with both
 * servers, holds this many requests to create one. */
enum { WATCHES_PER_STREAM_MAX = 1000, CREATE_BYTES_MAX = 128 };

static const char WATCH_PATH[] = "/etcdserverpb.Watch/Watch";
static const char PUT_PATH[] = "/etcdserverpb.KV/Put";

static struct connection *connections; /* of the watchers, and last the writer's */
static struct connection *writer;
static long *seen;    /* events, by watcher */
static long *put;     /* answered puts, by key */
static double *begun; /* of each of the writer's slots */
static long *keys;
static int *answered;
static int created, next_watcher, writing;
static long arrived;    /* one in flight: events of the last put that are there */
static double last_put; /* one in flight: when it was sent */

static int streams_of(int number)
{
    return (load.watch_streams - number + load.connections - 1) / load.connections;
}

/* ---- the watchers ---- */

static void create(int watcher)
{
    static struct buffer message;
    char low[KEY_MAX], high[KEY_MAX];
    int number = watcher % load.watch_streams;
    struct connection *connection = connections + number % load.connections;
    struct stream *stream = connection->streams + number / load.connections;
    if (load.by_key)
        write_watch(&message, key_of(low, watcher), (struct text){0}, (uint64_t)watcher + 1);
    else
        write_watch(&message, prefix_of(low, 0), prefix_of(high, PREFIX_KEYS), (uint64_t)watcher + 1);
    if (stream->open)
        send_message(connection, stream, &message, 0);
    else
        open_stream(connection, stream, WATCH_PATH, &message, 0);
}

static void create_more(struct connection *connection)
{
    (void)connection;
    while (next_watcher < load.watchers) {
        int number = next_watcher % load.watch_streams % load.connections;
        if (connections[number].window < CREATE_BYTES_MAX)
            return;
        create(next_watcher++);
        flush_output(connections + number);
    }
}

static void count(long watcher, long events)
{
    if (watcher < 0 || watcher >= load.watchers)
        fail("events for watch %ld, which there is not", watcher + 1);
    seen[watcher] += events;
    load.all_events += events;
    if (load.measuring)
        load.events += events;
    if (load.in_flight > 1)
        return;
    arrived += events;
    long expected = load.by_key ? 1 : load.watchers;
    if (arrived == expected && load.measuring)
        note(&arrivals, now() - last_put);
}

static void on_watch(struct connection *connection, struct stream *stream, const uint8_t *bytes,
                     size_t size)
{
    (void)connection, (void)stream;
    struct reader response = read_message(bytes, size);
    long watcher = -1, events = 0;
    while (next_field(&response)) {
        switch (response.field) {
        case 2:
            watcher = (long)response.number - 1;
            break;
        case 3:
            created += response.number == 1;
            break;
        case 4:
            if (response.number)
                fail("watch %ld was cancelled", watcher + 1);
            break;
        case 11:
            events++;
            break;
        }
    }
    if (events)
        count(watcher, events);
}

static void on_watch_end(struct connection *connection, struct stream *stream, int clean)
{
    (void)connection, (void)clean;
    fail("the stream %u of watches ended", stream->id);
}

static const struct handler WATCHERS = {on_watch, on_watch_end, create_more};

/* ---- the writer ---- */

static void send_put(struct stream *stream)
{
    static struct buffer message;
    char space[KEY_MAX];
    long span = load.by_key ? load.watchers : PREFIX_KEYS;
    keys[stream->slot] = (long)(next_random() % (uint64_t)span);
    answered[stream->slot] = 0;
    write_put(&message, key_of(space, keys[stream->slot]), load.value);
    load.sent++;
    load.open_calls++;
    arrived = 0;
    open_stream(writer, stream, PUT_PATH, &message, 1);
    begun[stream->slot] = last_put = now();
}

static int may_put(void)
{
    if (load.in_flight == 1 && load.sent && arrived < (load.by_key ? 1 : load.watchers))
        return 0; /* each put is told to all before the next is sent */
    return writing && !load.stopping && writer->window > load.value_bytes + 512;
}

static void put_more(struct connection *connection)
{
    for (int i = 0; i < load.in_flight; i++)
        if (!connection->streams[i].open && may_put())
            send_put(connection->streams + i);
}

static void on_answer(struct connection *connection, struct stream *stream, const uint8_t *bytes,
                      size_t size)
{
    (void)connection, (void)bytes, (void)size;
    answered[stream->slot] = 1;
}

static void on_answer_end(struct connection *connection, struct stream *stream, int clean)
{
    (void)connection;
    load.open_calls--;
    if (!clean || !answered[stream->slot])
        fail("a put failed");
    put[keys[stream->slot]]++;
    load.all_requests++;
    if (load.measuring) {
        load.requests++;
        note(&answers, now() - begun[stream->slot]);
    }
}

static const struct handler WRITER = {on_answer, on_answer_end, put_more};

/* ---- all of it ---- */

void start_watches(void)
{
    if (load.watchers > load.watch_streams * WATCHES_PER_STREAM_MAX)
        fail("more than %d watches for a stream", WATCHES_PER_STREAM_MAX);
    size_t slots = (size_t)load.in_flight;
    connections = allocate((size_t)load.connections + 1, sizeof *connections);
    writer = connections + load.connections;
    seen = allocate((size_t)load.watchers, sizeof *seen);
    put = allocate((size_t)(load.watchers > PREFIX_KEYS ? load.watchers : PREFIX_KEYS), sizeof *put);
    begun = allocate(slots, sizeof *begun);
    keys = allocate(slots, sizeof *keys);
    answered = allocate(slots, sizeof *answered);
    for (int i = 0; i <= load.connections; i++) {
        struct connection *connection = connections + i;
        int is_writer = connection == writer;
        connection->number = i;
        connection->handler = is_writer ? &WRITER : &WATCHERS;
        int streams = is_writer ? load.in_flight : streams_of(i);
        if (!connect_to(connection, load.port, load.poll, streams))
            die("connect");
        flush_output(connection);
    }
    create_more(connections);
}

int watches_ready(void)
{
    return created == load.watchers;
}

void start_writer(void)
{
    writing = 1;
    put_more(writer);
    flush_output(writer);
}

static long expected_events(void)
{
    return load.by_key ? load.all_requests : load.all_requests * load.watchers;
}

int watches_done(void)
{
    if (load.in_flight == 1 && writing) {
        put_more(writer); /* the last event of a put comes on another connection */
        flush_output(writer);
    }
    return load.stopping && !load.open_calls && load.all_events >= expected_events();
}

void check_events(void)
{
    for (int i = 0; i < load.watchers; i++) {
        long expected = load.by_key ? put[i] : load.all_requests;
        if (seen[i] != expected)
            fail("watch %d has %ld events of %ld", i + 1, seen[i], expected);
    }
}
