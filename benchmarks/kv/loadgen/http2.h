/* Connections of a gRPC client over HTTP/2, without blocking: frames out, messages in. */
#ifndef HTTP2_H
#define HTTP2_H

#include "common.h"
#include "headers.h"

struct connection;

struct stream {
    uint32_t id;
    int open, slot;        /* slot: its place among the connection's streams */
    struct buffer partial; /* a message of which not all is there */
    long received;         /* what of its window was used and not given back */
};

/* What the user of a connection hears. */
struct handler {
    void (*message)(struct connection *, struct stream *, const uint8_t *bytes, size_t size);
    void (*ended)(struct connection *, struct stream *, int clean);
    void (*turn)(struct connection *); /* all that was there has been read: time to send more */
};

struct connection {
    int fd, number;
    const struct handler *handler;
    char authority[32];
    enum style style;
    struct header_table table;
    uint8_t *in;
    size_t in_size;
    struct buffer out;
    size_t out_sent;
    long window;   /* what we may send */
    long received; /* what of our window was used and not given back */
    uint32_t next_id;
    struct stream *streams;
    int stream_count;
};

/* Connect to loopback; events of the connection come with it as their pointer. Returns 0 when
 * nobody listens. */
int connect_to(struct connection *connection, int port, int poll, int stream_count);

/* Begin a call with one message; `last` ends our side. */
void open_stream(struct connection *connection, struct stream *stream, const char *path,
                 const struct buffer *message, int last);
void send_message(struct connection *connection, const struct stream *stream,
                  const struct buffer *message, int last);

/* Read all there is and act on it, then give the handler its turn. */
void take_input(struct connection *connection);
void flush_output(struct connection *connection);

#endif
