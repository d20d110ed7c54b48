/* What one run is to do, and what has come of it so far. */
#ifndef LOAD_H
#define LOAD_H

#include "http2.h"
#include "messages.h"

/* ASK is a get that may find nothing. */
enum kind { PUT, FILL, GET, RANGE, SCAN, SWAP, WATCH, ASK };

/* A prefix of keys: as many as one RANGE asks for. */
enum { PREFIX_KEYS = 1000, KEY_MAX = 32 };

struct load {
    int port, connections, in_flight, value_bytes;
    long key_count, total; /* total: end after so many requests; 0: after `seconds` */
    double seconds, warm_up;
    enum kind kind;
    enum style style;
    int watchers, watch_streams, by_key; /* by_key: watcher n watches key n, else all the prefix */
    int poll;
    struct text value;

    int measuring, stopping;
    long sent, open_calls;
    long requests, events; /* in the measured time */
    long all_requests, all_events;
};

extern struct load load;

/* A list of durations, for percentiles. */
struct durations {
    float *seconds;
    long count;
};

void note(struct durations *durations, double seconds);
/* Milliseconds; 0 when none was noted. Sorts the list. */
double percentile(struct durations *durations, int percent);

extern struct durations answers, arrivals; /* of requests; of the last event after a put */

/* "k" and seven digits, of which a prefix leaves three out. */
struct text key_of(char *space, long number);
struct text prefix_of(char *space, long number);

/* Unary calls: a closed loop on each of `in_flight` streams of each connection. Returns 0 when nobody
 * listens. */
int start_calls(void);
int calls_done(void);

/* One writer and many watchers. */
void start_watches(void);
int watches_ready(void); /* all are created, so the writer may begin */
void start_writer(void);
int watches_done(void);
/* Fail unless every watcher got every event there was for it, once. */
void check_events(void);

#endif
