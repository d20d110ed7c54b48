/* What every part of the load generator needs: time, chance, bytes that grow, and how it fails. */
#ifndef COMMON_H
#define COMMON_H

#include <stddef.h>
#include <stdint.h>

struct buffer {
    uint8_t *bytes;
    size_t size, capacity;
};

/* Seconds of the monotonic clock. */
double now(void);

/* Seconds of processor time this process has taken. */
double cpu_seconds(void);

void seed_random(uint64_t seed);
uint64_t next_random(void);

void *allocate(size_t count, size_t size);
void append(struct buffer *buffer, const void *bytes, size_t size);

/* End the program with one line on standard error; `die` adds what errno says. */
void die(const char *what);
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
