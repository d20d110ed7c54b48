#include "common.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static uint64_t random_state = 88172645463325252ULL;

double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

void seed_random(uint64_t seed)
{
    random_state ^= seed * 2654435761ULL;
}

uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

void *allocate(size_t count, size_t size)
{
    void *bytes = calloc(count ? count : 1, size);
    if (!bytes)
        die("memory");
    return bytes;
}

void append(struct buffer *buffer, const void *bytes, size_t size)
{
    if (!size)
        return;
    if (buffer->size + size > buffer->capacity) {
        buffer->capacity = (buffer->size + size) * 2;
        buffer->bytes = realloc(buffer->bytes, buffer->capacity);
        if (!buffer->bytes)
            die("memory");
    }
    memcpy(buffer->bytes + buffer->size, bytes, size);
    buffer->size += size;
}

void die(const char *what)
{
    fail("%s: %s", what, strerror(errno));
}

void fail(const char *format, ...)
{
    va_list arguments;
    fputs("loadgen: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}
