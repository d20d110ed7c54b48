/* A load generator for etcd's API: gRPC over HTTP/2 on one thread, epoll.
 *
 *   loadgen -p PORT -k put|fill|get|range|scan|swap|watch [-c CONNECTIONS] [-m IN_FLIGHT_EACH]
 *           [-s SECONDS] [-w WARM_UP] [-N REQUESTS] [-n KEYS] [-v VALUE_BYTES] [-r SEED]
 *           [-t go|core] [-W WATCHERS] [-S STREAMS] [-K]
 *   loadgen -p PORT -k wait
 *
 * fill puts every key once, range asks for a prefix of 1,000 keys, scan for all keys, swap puts each
 * key if it is what this client wrote last; watch has one writer with -m in flight, and -W watchers
 * on -S streams of -c connections, all on one prefix of 1,000 keys or with -K on a key each. -t gives
 * each call another timeout, as grpc-go or C-core send it. wait asks for a key until it is answered.
 *
 * SIGTERM ends the measured time early. The first request that fails ends it all: it is no measurement.
 *
 * One line of JSON. "requests" and "events" are those of the measured time, "all_requests" and
 * "all_events" all that came: the store's revision must have risen by the puts among the former, and
 * that no event is missing has been checked. "p50_ms" and "p99_ms" are the time to an answer,
 * "event_p50_ms" and "event_p99_ms" with one put in flight that from sending a put to the arrival of
 * the last event of it. "cpu" is the share of a processor this program itself took meanwhile.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

enum { DURATIONS_MAX = 1 << 22, EVENTS_MAX = 256, WAIT_MICROSECONDS = 500 };

/* How long what is still open or on its way may take when the measured time is over. */
static const double DRAIN_SECONDS = 120;
/* An event too many came before the last of ours: those counted may not be all. */
static const double SETTLE_SECONDS = 0.2;
static const double CREATE_SECONDS = 60;

struct load load = {
    .port = 2379, .connections = 10, .in_flight = 10, .value_bytes = 256, .key_count = 100000,
    .seconds = 5, .warm_up = 1, .watchers = 1000, .watch_streams = 100,
};
struct durations answers, arrivals;
static volatile sig_atomic_t told_to_end;

void note(struct durations *durations, double seconds)
{
    if (!durations->seconds)
        durations->seconds = allocate(DURATIONS_MAX, sizeof *durations->seconds);
    if (durations->count < DURATIONS_MAX)
        durations->seconds[durations->count++] = (float)seconds;
}

static int by_value(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

double percentile(struct durations *durations, int percent)
{
    if (!durations->count)
        return 0;
    qsort(durations->seconds, (size_t)durations->count, sizeof *durations->seconds, by_value);
    return (double)durations->seconds[durations->count * percent / 100] * 1e3;
}

struct text key_of(char *space, long number)
{
    return (struct text){space, (size_t)snprintf(space, KEY_MAX, "k%07ld", number)};
}

struct text prefix_of(char *space, long number)
{
    return (struct text){space, (size_t)snprintf(space, KEY_MAX, "k%04ld", number / PREFIX_KEYS)};
}

static void turn(void)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(load.poll, events, EVENTS_MAX, 20);
    for (int i = 0; i < count; i++) {
        struct connection *connection = events[i].data.ptr;
        if (events[i].events & EPOLLIN)
            take_input(connection);
        flush_output(connection);
    }
}

static void report(double seconds, double cpu)
{
    printf("{\"requests\":%ld,\"all_requests\":%ld,\"seconds\":%.4f,\"cpu\":%.3f,"
           "\"events\":%ld,\"all_events\":%ld,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
           "\"event_p50_ms\":%.3f,\"event_p99_ms\":%.3f}\n",
           load.requests, load.all_requests, seconds, cpu / seconds,
           load.events, load.all_events, percentile(&answers, 50), percentile(&answers, 99),
           percentile(&arrivals, 50), percentile(&arrivals, 99));
}

static void run(void)
{
    int watching = load.kind == WATCH;
    if (watching) {
        double began = now();
        start_watches();
        while (!watches_ready()) {
            if (now() - began > CREATE_SECONDS)
                fail("the watches were not created");
            turn();
        }
        start_writer();
    } else if (!start_calls()) {
        fail("nobody listens on port %d", load.port);
    }
    double from = now(), cpu_from = cpu_seconds(), until = 0, cpu_until = 0;
    double begin = from;
    load.measuring = load.total != 0;
    while (watching ? !watches_done() : !calls_done()) {
        turn();
        double t = now();
        if (!load.total && !until && !load.measuring && t - begin >= load.warm_up) {
            load.measuring = 1;
            from = t;
            cpu_from = cpu_seconds();
        } else if (!load.total && load.measuring && (t - from >= load.seconds || told_to_end)) {
            load.measuring = 0;
            load.stopping = 1;
            until = t;
            cpu_until = cpu_seconds();
        }
        if (until && t - until > DRAIN_SECONDS)
            fail("%ld calls unanswered, %ld events came", load.open_calls, load.all_events);
    }
    if (!until) {
        until = now();
        cpu_until = cpu_seconds();
    }
    if (watching) {
        for (double done = now(); now() - done < SETTLE_SECONDS;)
            turn();
        check_events();
    }
    report(until - from, cpu_until - cpu_from);
}

static void wait_for_answer(void)
{
    load.connections = load.in_flight = 1;
    load.total = 1;
    load.kind = ASK;
    while (!start_calls())
        usleep(WAIT_MICROSECONDS);
    while (!calls_done())
        turn();
}

static void on_terminate(int number)
{
    (void)number;
    told_to_end = 1;
}

static enum kind parse_kind(const char *name)
{
    static const char *const NAMES[] = {"put", "fill", "get", "range", "scan", "swap", "watch"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (!strcmp(name, NAMES[i]))
            return (enum kind)i;
    fail("no such kind: %s", name);
}

int main(int argc, char **argv)
{
    const char *kind = "put";
    for (int option; (option = getopt(argc, argv, "p:k:c:m:s:w:N:n:v:r:t:W:S:K")) > 0;)
        switch (option) {
        case 'p': load.port = atoi(optarg); break;
        case 'k': kind = optarg; break;
        case 'c': load.connections = atoi(optarg); break;
        case 'm': load.in_flight = atoi(optarg); break;
        case 's': load.seconds = atof(optarg); break;
        case 'w': load.warm_up = atof(optarg); break;
        case 'N': load.total = atol(optarg); break;
        case 'n': load.key_count = atol(optarg); break;
        case 'v': load.value_bytes = atoi(optarg); break;
        case 'r': seed_random((uint64_t)atoll(optarg)); break;
        case 't': load.style = !strcmp(optarg, "core") ? C_CORE : GRPC_GO; break;
        case 'W': load.watchers = atoi(optarg); break;
        case 'S': load.watch_streams = atoi(optarg); break;
        case 'K': load.by_key = 1; break;
        default: return 2;
        }
    char *value = allocate((size_t)load.value_bytes + 1, 1);
    for (int i = 0; i < load.value_bytes; i++)
        value[i] = (char)('a' + next_random() % 26);
    load.value = (struct text){value, (size_t)load.value_bytes};
    load.poll = epoll_create1(0);
    signal(SIGTERM, on_terminate);
    if (!strcmp(kind, "wait")) {
        wait_for_answer();
        return 0;
    }
    load.kind = parse_kind(kind);
    if (load.kind == FILL)
        load.total = load.key_count;
    run();
    return 0;
}
