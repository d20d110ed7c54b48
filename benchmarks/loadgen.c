/* A load generator for the KV: gRPC over HTTP/2 on one thread, epoll, random keys.
 *
 * It sends what a real client sends (HPACK with an indexed header block, one DATA frame a request)
 * and counts what comes back: a call counts when its stream ended with grpc-status 0.
 *
 *   loadgen -p PORT -k put|get|fill [-c CONNECTIONS] [-m IN_FLIGHT_EACH] [-s SECONDS] [-w WARM_UP]
 *           [-n KEYS] [-v VALUE_BYTES] [-r SEED]
 *
 * One line of JSON: {"requests":N,"all_requests":N,"failed":N,"seconds":S,"p50_ms":..,"p99_ms":..}.
 * requests are those answered in the measured time, all_requests those answered at all: the revision
 * of the store must have risen by the latter. fill puts every key once.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_HEAD = 9, GRPC_HEAD = 5, IN_BYTES = 1 << 20, LATENCIES_MAX = 1 << 22 };
enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };
enum kind { PUT, GET, FILL };

struct call {
    uint32_t stream;
    double sent_at;
    int busy, answered;
};

struct buffer {
    uint8_t *bytes;
    size_t size, capacity;
};

struct connection {
    int fd;
    int warm; /* the header block is in the other side's table */
    uint8_t *in;
    size_t in_size;
    struct buffer out;
    size_t out_sent;
    long window; /* what we may send */
    long received; /* what we have not given back */
    uint32_t next_stream;
    struct call *calls;
};

static int port = 2379, connections = 10, in_flight = 10, value_bytes = 256, key_count = 100000;
static double seconds = 5, warm_up = 1;
static enum kind kind = PUT;
static uint64_t random_state = 88172645463325252ULL;
static long filled, requests, all_requests, failed, latency_count;
static int measuring, stopping, open_calls;
static float *latencies;
static uint8_t *value;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void die(const char *what)
{
    fprintf(stderr, "loadgen: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void append(struct buffer *buffer, const void *bytes, size_t size)
{
    if (buffer->size + size > buffer->capacity) {
        buffer->capacity = (buffer->size + size) * 2;
        buffer->bytes = realloc(buffer->bytes, buffer->capacity);
        if (!buffer->bytes)
            die("memory");
    }
    memcpy(buffer->bytes + buffer->size, bytes, size);
    buffer->size += size;
}

static void append_frame(struct buffer *out, size_t size, int type, int flags, uint32_t stream)
{
    uint8_t head[FRAME_HEAD] = {
        (uint8_t)(size >> 16), (uint8_t)(size >> 8), (uint8_t)size, (uint8_t)type, (uint8_t)flags,
        (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream,
    };
    append(out, head, sizeof head);
}

static void append_u32(struct buffer *out, uint32_t number)
{
    uint8_t bytes[4] = {
        (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number,
    };
    append(out, bytes, sizeof bytes);
}

/* A literal header field that enters the dynamic table; name_index 0 spells the name out. */
static size_t literal(uint8_t *at, int name_index, const char *name, const char *text)
{
    size_t size = 0, length = strlen(text);
    at[size++] = (uint8_t)(0x40 | name_index);
    if (!name_index) {
        at[size++] = (uint8_t)strlen(name);
        memcpy(at + size, name, strlen(name));
        size += strlen(name);
    }
    at[size++] = (uint8_t)length;
    memcpy(at + size, text, length);
    return size + length;
}

static void append_headers(struct connection *connection, uint32_t stream)
{
    uint8_t block[256] = {0x83, 0x86}; /* :method POST, :scheme http */
    size_t size = 2;
    if (connection->warm) {
        for (int index = 65; index >= 62; index--) /* the four fields below, oldest first */
            block[size++] = (uint8_t)(0x80 | index);
    } else {
        char authority[32];
        snprintf(authority, sizeof authority, "127.0.0.1:%d", port);
        const char *path = kind == GET ? "/etcdserverpb.KV/Range" : "/etcdserverpb.KV/Put";
        size += literal(block + size, 4, "", path);
        size += literal(block + size, 1, "", authority);
        size += literal(block + size, 31, "", "application/grpc");
        size += literal(block + size, 0, "te", "trailers");
        connection->warm = 1;
    }
    append_frame(&connection->out, size, HEADERS, END_HEADERS, stream);
    append(&connection->out, block, size);
}

static size_t varint(uint8_t *at, uint64_t number)
{
    size_t size = 0;
    for (; number > 127; number >>= 7)
        at[size++] = (uint8_t)(number | 128);
    at[size++] = (uint8_t)number;
    return size;
}

static void send_call(struct connection *connection, struct call *call)
{
    if (stopping || (kind == FILL && filled >= key_count))
        return;
    char key[32];
    uint64_t number = kind == FILL ? (uint64_t)filled++ : next_random() % (uint64_t)key_count;
    size_t key_size = (size_t)snprintf(key, sizeof key, "k%07llu", (unsigned long long)number);
    uint8_t fields[64] = {10}; /* field 1: the key */
    size_t size = 1 + varint(fields + 1, key_size);
    memcpy(fields + size, key, key_size);
    size += key_size;
    size_t value_size = kind == GET ? 0 : (size_t)value_bytes;
    if (value_size) {
        fields[size++] = 18; /* field 2: the value */
        size += varint(fields + size, value_size);
    }
    call->stream = connection->next_stream;
    connection->next_stream += 2;
    call->busy = 1;
    call->answered = 0;
    open_calls++;
    append_headers(connection, call->stream);
    append_frame(&connection->out, GRPC_HEAD + size + value_size, DATA, END_STREAM, call->stream);
    append(&connection->out, "", 1);
    append_u32(&connection->out, (uint32_t)(size + value_size));
    append(&connection->out, fields, size);
    append(&connection->out, value, value_size);
    connection->window -= (long)(GRPC_HEAD + size + value_size);
    call->sent_at = now();
}

static void fill_slots(struct connection *connection)
{
    for (int i = 0; i < in_flight; i++)
        if (!connection->calls[i].busy && connection->window > value_bytes + 128)
            send_call(connection, connection->calls + i);
}

static void flush(struct connection *connection)
{
    struct buffer *out = &connection->out;
    while (connection->out_sent < out->size) {
        size_t rest = out->size - connection->out_sent;
        ssize_t sent = write(connection->fd, out->bytes + connection->out_sent, rest);
        if (sent < 0 && errno == EAGAIN)
            return;
        if (sent < 0)
            die("write");
        connection->out_sent += (size_t)sent;
    }
    out->size = connection->out_sent = 0;
}

static void end_call(struct connection *connection, uint32_t stream, int ok)
{
    for (int i = 0; i < in_flight; i++) {
        struct call *call = connection->calls + i;
        if (!call->busy || call->stream != stream)
            continue;
        call->busy = 0;
        open_calls--;
        if (!ok || !call->answered) {
            failed++;
        } else {
            all_requests++;
            if (measuring) {
                requests++;
                if (latency_count < LATENCIES_MAX)
                    latencies[latency_count++] = (float)(now() - call->sent_at);
            }
        }
        return;
    }
}

static void mark_answered(struct connection *connection, uint32_t stream)
{
    for (int i = 0; i < in_flight; i++)
        if (connection->calls[i].busy && connection->calls[i].stream == stream)
            connection->calls[i].answered = 1;
}

static uint32_t u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void take_frame(struct connection *connection, const uint8_t *head, size_t size)
{
    uint8_t type = head[3], flags = head[4];
    uint32_t stream = u32(head + 5) & 0x7fffffff;
    const uint8_t *payload = head + FRAME_HEAD;
    switch (type) {
    case DATA:
        connection->received += (long)size;
        if (size >= GRPC_HEAD)
            mark_answered(connection, stream);
        if (connection->received > 1 << 28) {
            append_frame(&connection->out, 4, WINDOW_UPDATE, 0, 0);
            append_u32(&connection->out, (uint32_t)connection->received);
            connection->received = 0;
        }
        break;
    case HEADERS:
        /* An error comes as trailers without DATA before it, so `answered` tells. */
        if (flags & END_STREAM)
            end_call(connection, stream, 1);
        break;
    case RST_STREAM:
        end_call(connection, stream, 0);
        break;
    case SETTINGS:
        if (!(flags & ACK))
            append_frame(&connection->out, 0, SETTINGS, ACK, 0);
        break;
    case PING:
        if (!(flags & ACK)) {
            append_frame(&connection->out, 8, PING, ACK, 0);
            append(&connection->out, payload, 8);
        }
        break;
    case GOAWAY:
        fprintf(stderr, "loadgen: the server sent GOAWAY %u\n", u32(payload + 4));
        exit(1);
    case WINDOW_UPDATE:
        if (!stream)
            connection->window += u32(payload);
        break;
    }
}

/* Take what one read gives; returns 0 when there is nothing. */
static int take_input(struct connection *connection)
{
    ssize_t got = read(connection->fd, connection->in + connection->in_size, IN_BYTES - connection->in_size);
    if (got == 0) {
        fprintf(stderr, "loadgen: the server closed the connection\n");
        exit(1);
    }
    if (got < 0) {
        if (errno == EAGAIN)
            return 0;
        die("read");
    }
    connection->in_size += (size_t)got;
    size_t at = 0;
    while (connection->in_size - at >= FRAME_HEAD) {
        const uint8_t *head = connection->in + at;
        size_t size = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (connection->in_size - at < FRAME_HEAD + size)
            break;
        take_frame(connection, head, size);
        at += FRAME_HEAD + size;
    }
    memmove(connection->in, connection->in + at, connection->in_size - at);
    connection->in_size -= at;
    fill_slots(connection);
    return 1;
}

static void connect_one(struct connection *connection, int poll)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address))
        die("connect");
    int one = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    connection->in = malloc(IN_BYTES);
    connection->window = 65535;
    connection->next_stream = 1;
    connection->calls = calloc((size_t)in_flight, sizeof *connection->calls);
    append(&connection->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    /* SETTINGS_INITIAL_WINDOW_SIZE and a connection window that never hold an answer up. */
    append_frame(&connection->out, 6, SETTINGS, 0, 0);
    append(&connection->out, "\0\4", 2);
    append_u32(&connection->out, 0x7fffffff);
    append_frame(&connection->out, 4, WINDOW_UPDATE, 0, 0);
    append_u32(&connection->out, 0x7fffffff - 65535);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
    epoll_ctl(poll, EPOLL_CTL_ADD, connection->fd, &event);
    fill_slots(connection);
    flush(connection);
}

static int by_value(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

static void report(double elapsed)
{
    qsort(latencies, (size_t)latency_count, sizeof *latencies, by_value);
    double p50 = 0, p99 = 0;
    if (latency_count) {
        p50 = (double)latencies[latency_count / 2] * 1e3;
        p99 = (double)latencies[latency_count * 99 / 100] * 1e3;
    }
    printf("{\"requests\":%ld,\"all_requests\":%ld,\"failed\":%ld,\"seconds\":%.3f,"
           "\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
           requests, all_requests, failed, elapsed, p50, p99);
}

static void parse_arguments(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "p:k:c:m:s:w:n:v:r:")) > 0;)
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'k': kind = !strcmp(optarg, "get") ? GET : !strcmp(optarg, "fill") ? FILL : PUT; break;
        case 'c': connections = atoi(optarg); break;
        case 'm': in_flight = atoi(optarg); break;
        case 's': seconds = atof(optarg); break;
        case 'w': warm_up = atof(optarg); break;
        case 'n': key_count = atoi(optarg); break;
        case 'v': value_bytes = atoi(optarg); break;
        case 'r': random_state ^= (uint64_t)atoll(optarg) * 2654435761ULL; break;
        default: exit(2);
        }
}

int main(int argc, char **argv)
{
    parse_arguments(argc, argv);
    latencies = malloc(LATENCIES_MAX * sizeof *latencies);
    value = malloc((size_t)value_bytes + 1);
    for (int i = 0; i < value_bytes; i++)
        value[i] = (uint8_t)('a' + next_random() % 26);
    int poll = epoll_create1(0);
    struct connection *all = calloc((size_t)connections, sizeof *all);
    for (int i = 0; i < connections; i++)
        connect_one(all + i, poll);
    double begin = now(), from = begin, until = 0;
    measuring = kind == FILL;
    struct epoll_event events[64];
    while (open_calls || !stopping) {
        int count = epoll_wait(poll, events, 64, 20);
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            if (events[i].events & EPOLLIN)
                while (take_input(connection))
                    ;
            flush(connection);
        }
        double t = now();
        if (!measuring && !until && t - begin >= warm_up)
            measuring = 1, from = t;
        else if (kind != FILL && measuring && t - from >= seconds)
            measuring = 0, stopping = 1, until = t;
        if (kind == FILL && filled >= key_count && !open_calls)
            stopping = 1, until = t;
        if (until && t - until > 10) {
            fprintf(stderr, "loadgen: %d calls were not answered\n", open_calls);
            exit(1);
        }
    }
    report((until ? until : now()) - from);
    return 0;
}
