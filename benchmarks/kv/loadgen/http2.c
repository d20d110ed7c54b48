#define _GNU_SOURCE
#include "http2.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FRAME_HEAD = 9, GRPC_HEAD = 5, IN_BYTES = 1 << 20, WINDOW_GIVEN_BACK = 1 << 28 };
enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

static uint32_t u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
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

void send_message(struct connection *connection, const struct stream *stream,
                  const struct buffer *message, int last)
{
    size_t size = GRPC_HEAD + message->size;
    append_frame(&connection->out, size, DATA, last ? END_STREAM : 0, stream->id);
    append(&connection->out, "", 1); /* not compressed */
    append_u32(&connection->out, (uint32_t)message->size);
    append(&connection->out, message->bytes, message->size);
    connection->window -= (long)size;
}

void open_stream(struct connection *connection, struct stream *stream, const char *path,
                 const struct buffer *message, int last)
{
    static struct buffer block;
    stream->id = connection->next_id;
    connection->next_id += 2;
    stream->open = 1;
    stream->partial.size = 0;
    stream->received = 0;
    block.size = 0;
    append_block(&block, &connection->table, connection->style, path, connection->authority);
    append_frame(&connection->out, block.size, HEADERS, END_HEADERS, stream->id);
    append(&connection->out, block.bytes, block.size);
    send_message(connection, stream, message, last);
}

static struct stream *find(struct connection *connection, uint32_t id)
{
    /* Streams that stay are opened in order. */
    uint32_t guess = id / 2;
    if (guess < (uint32_t)connection->stream_count) {
        struct stream *stream = connection->streams + guess;
        if (stream->open && stream->id == id)
            return stream;
    }
    for (int i = 0; i < connection->stream_count; i++) {
        struct stream *stream = connection->streams + i;
        if (stream->open && stream->id == id)
            return stream;
    }
    return NULL;
}

static void give_back(struct connection *connection, uint32_t stream, long *received, size_t size)
{
    *received += (long)size;
    if (*received < WINDOW_GIVEN_BACK)
        return;
    append_frame(&connection->out, 4, WINDOW_UPDATE, 0, stream);
    append_u32(&connection->out, (uint32_t)*received);
    *received = 0;
}

/* Hand on the whole messages in `bytes`; return what they take. */
static size_t take_messages(struct connection *connection, struct stream *stream,
                            const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (size - at >= GRPC_HEAD) {
        size_t length = u32(bytes + at + 1);
        if (size - at - GRPC_HEAD < length)
            break;
        connection->handler->message(connection, stream, bytes + at + GRPC_HEAD, length);
        at += GRPC_HEAD + length;
    }
    return at;
}

static void take_data(struct connection *connection, struct stream *stream, const uint8_t *bytes,
                      size_t size)
{
    struct buffer *partial = &stream->partial;
    if (!partial->size) {
        size_t taken = take_messages(connection, stream, bytes, size);
        append(partial, bytes + taken, size - taken);
        return;
    }
    append(partial, bytes, size);
    if (partial->size >= GRPC_HEAD && partial->size - GRPC_HEAD >= u32(partial->bytes + 1)) {
        size_t taken = take_messages(connection, stream, partial->bytes, partial->size);
        partial->size -= taken;
        memmove(partial->bytes, partial->bytes + taken, partial->size);
    }
}

static void end(struct connection *connection, struct stream *stream, int clean)
{
    stream->open = 0;
    connection->handler->ended(connection, stream, clean);
}

static void take_frame(struct connection *connection, const uint8_t *head, size_t size)
{
    uint8_t type = head[3], flags = head[4];
    uint32_t id = u32(head + 5) & 0x7fffffff;
    const uint8_t *payload = head + FRAME_HEAD;
    struct stream *stream = id ? find(connection, id) : NULL;
    switch (type) {
    case DATA:
        give_back(connection, 0, &connection->received, size);
        if (!stream)
            break;
        give_back(connection, id, &stream->received, size);
        take_data(connection, stream, payload, size);
        break;
    case HEADERS:
        /* Trailers. An error has no message before them, which is how a handler tells. */
        if (stream && flags & END_STREAM)
            end(connection, stream, 1);
        break;
    case RST_STREAM:
        if (stream)
            end(connection, stream, 0);
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
        fail("the server sent GOAWAY %u: %.*s", u32(payload + 4), (int)size - 8, payload + 8);
    case WINDOW_UPDATE:
        if (!id)
            connection->window += u32(payload);
        break;
    }
}

/* Take what one read gives; returns 0 when there is nothing more. */
static int read_once(struct connection *connection)
{
    size_t space = IN_BYTES - connection->in_size;
    ssize_t got = read(connection->fd, connection->in + connection->in_size, space);
    if (got == 0)
        fail("the server closed the connection");
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
    connection->in_size -= at;
    memmove(connection->in, connection->in + at, connection->in_size);
    return (size_t)got == space;
}

void take_input(struct connection *connection)
{
    while (read_once(connection))
        ;
    connection->handler->turn(connection);
}

void flush_output(struct connection *connection)
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

static void greet(struct connection *connection)
{
    append(&connection->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    /* Windows so wide that no answer is ever held up by them. */
    append_frame(&connection->out, 6, SETTINGS, 0, 0);
    append(&connection->out, "\0\4", 2); /* SETTINGS_INITIAL_WINDOW_SIZE */
    append_u32(&connection->out, 0x7fffffff);
    append_frame(&connection->out, 4, WINDOW_UPDATE, 0, 0);
    append_u32(&connection->out, 0x7fffffff - 65535);
}

int connect_to(struct connection *connection, int port, int poll, int stream_count)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection->fd, (struct sockaddr *)&address, sizeof address)) {
        close(connection->fd);
        return 0;
    }
    int one = 1;
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(connection->fd, F_SETFL, O_NONBLOCK);
    snprintf(connection->authority, sizeof connection->authority, "127.0.0.1:%d", port);
    connection->in = allocate(1, IN_BYTES);
    connection->window = 65535;
    connection->next_id = 1;
    connection->stream_count = stream_count;
    connection->streams = allocate((size_t)stream_count, sizeof *connection->streams);
    for (int i = 0; i < stream_count; i++)
        connection->streams[i].slot = i;
    greet(connection);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = connection};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, connection->fd, &event))
        die("epoll");
    return 1;
}
