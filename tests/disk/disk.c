/* A disk that remembers what was asked of it, and that can be full or fail. To be preloaded.
 *
 * Every change to a file under C101_DISK_ROOT is done, and written down in C101_DISK_JOURNAL as
 * well: what was written, cut off, made, renamed, removed, and which syncs ended well. The journal
 * is in the page cache, so it outlives the process however that ends; from it any state can be
 * made that a power cut may leave (journal.py).
 *
 * C101_DISK_CONTROL, if set, is a file that begins with two native 64-bit integers, looked at anew
 * every time: how many bytes files may still grow (negative: any), and the errno with which syncs
 * fail (0: none).
 *
 * Not written down: SQLite's -shm files. They are shared memory; a restart makes them anew.
 *
 * A record is its kind, the number of the file (4 bytes each), an offset and a length (8 bytes
 * each, native), and as many bytes of data as the length says, but for kind 'Z' (only zeros).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES_MAX 65536

struct record {
  uint32_t kind, file;
  uint64_t offset, length;
};

static char root[4096];
static size_t root_length;
static int journal = -1;
static volatile int64_t *control;
/* By descriptor: the number of the file, 0 for those that are not ours; each open is a new one. */
static uint32_t numbers[FILES_MAX];
static uint32_t last_number;
static uint64_t records;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

#define REAL(name) real_##name
#define DECLARE(type, name, ...) static type (*REAL(name))(__VA_ARGS__)
DECLARE(int, openat, int, const char *, int, ...);
DECLARE(int, close, int);
DECLARE(ssize_t, write, int, const void *, size_t);
DECLARE(ssize_t, writev, int, const struct iovec *, int);
DECLARE(ssize_t, pwrite, int, const void *, size_t, off_t);
DECLARE(int, ftruncate, int, off_t);
DECLARE(int, fsync, int);
DECLARE(int, fdatasync, int);
DECLARE(int, renameat, int, const char *, int, const char *);
DECLARE(int, unlinkat, int, const char *, int);
DECLARE(int, mkdirat, int, const char *, mode_t);
#define FIND(name) *(void **)&REAL(name) = dlsym(RTLD_NEXT, #name)

static void begin(void) {
  FIND(openat); FIND(close); FIND(write); FIND(writev); FIND(pwrite); FIND(ftruncate);
  FIND(fsync); FIND(fdatasync); FIND(renameat); FIND(unlinkat); FIND(mkdirat);
  const char *path = getenv("C101_DISK_JOURNAL"), *under = getenv("C101_DISK_ROOT");
  if (!path || !under || strlen(under) >= sizeof root) return;
  strcpy(root, under);
  root_length = strlen(root);
  journal = REAL(openat)(AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (journal < 0) abort();
  const char *controls = getenv("C101_DISK_CONTROL");
  if (!controls) return;
  int descriptor = REAL(openat)(AT_FDCWD, controls, O_RDWR | O_CLOEXEC);
  void *map = mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (descriptor < 0 || map == MAP_FAILED) abort();
  control = map;
  REAL(close)(descriptor);
}

static void ready(void) { pthread_once(&once, begin); }

static int ends_with(const char *path, const char *end) {
  size_t length = strlen(path), size = strlen(end);
  return length >= size && !strcmp(path + length - size, end);
}

static int is_ours(const char *path) {
  return journal >= 0 && !strncmp(path, root, root_length) &&
         (path[root_length] == '/' || !path[root_length]) && !ends_with(path, "-shm");
}

static uint32_t number_of(int descriptor) {
  return descriptor >= 0 && descriptor < FILES_MAX ? numbers[descriptor] : 0;
}

/* The lock is held. A journal that cannot be written is no journal: end at once. */
static void note(char kind, uint32_t file, uint64_t offset, const void *data, uint64_t length) {
  const char *bytes = data;
  if (kind == 'W' && length && !bytes[0] && !memcmp(bytes, bytes + 1, length - 1)) kind = 'Z';
  struct record record = {(uint32_t)kind, file, offset, length};
  struct iovec parts[2] = {{&record, sizeof record}, {(void *)data, length}};
  ssize_t size = sizeof record + (kind == 'Z' ? 0 : length);
  if (REAL(writev)(journal, parts, kind == 'Z' ? 1 : 2) != size) abort();
  records++;
}

static off_t size_of(int descriptor) {
  struct stat status;
  return fstat(descriptor, &status) ? 0 : status.st_size;
}

/* How many of *length* bytes at *offset* there is room for; takes the room. */
static size_t take_room(int descriptor, off_t offset, size_t length) {
  if (!control || control[0] < 0) return length;
  off_t size = size_of(descriptor), end = offset + (off_t)length;
  if (end <= size) return length;
  int64_t growth = end - (offset > size ? offset : size);
  if (growth > control[0]) {
    length -= growth - control[0];
    growth = control[0];
  }
  control[0] -= growth;
  return length;
}

static void give_room(off_t bytes) {
  if (control && control[0] >= 0) control[0] += bytes;
}

static ssize_t put(int descriptor, const void *data, size_t length, off_t offset) {
  size_t room = take_room(descriptor, offset, length);
  if (length && !room) {
    errno = ENOSPC;
    return -1;
  }
  ssize_t done = REAL(pwrite)(descriptor, data, room, offset);
  if (done > 0) note('W', numbers[descriptor], offset, data, done);
  return done;
}

int openat(int directory, const char *path, int flags, ...) {
  ready();
  mode_t mode = 0;
  if (flags & (O_CREAT | O_TMPFILE)) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  if (!is_ours(path)) return REAL(openat)(directory, path, flags, mode);
  pthread_mutex_lock(&lock);
  struct stat status;
  int existed = !stat(path, &status);
  int descriptor = REAL(openat)(directory, path, flags, mode);
  if (descriptor >= 0 && descriptor < FILES_MAX) {
    numbers[descriptor] = ++last_number;
    note(existed ? 'O' : 'C', last_number, 0, path, strlen(path));
    if (existed && flags & O_TRUNC) note('T', last_number, 0, "", 0);
  }
  pthread_mutex_unlock(&lock);
  return descriptor;
}

int openat64(int directory, const char *path, int flags, ...) __attribute__((alias("openat")));

int open(const char *path, int flags, ...) {
  mode_t mode = 0;
  if (flags & (O_CREAT | O_TMPFILE)) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  return openat(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) __attribute__((alias("open")));

int close(int descriptor) {
  ready();
  if (number_of(descriptor)) numbers[descriptor] = 0;
  return REAL(close)(descriptor);
}

ssize_t pwrite(int descriptor, const void *data, size_t length, off_t offset) {
  ready();
  if (!number_of(descriptor)) return REAL(pwrite)(descriptor, data, length, offset);
  pthread_mutex_lock(&lock);
  ssize_t done = put(descriptor, data, length, offset);
  pthread_mutex_unlock(&lock);
  return done;
}

ssize_t pwrite64(int, const void *, size_t, off_t) __attribute__((alias("pwrite")));

ssize_t write(int descriptor, const void *data, size_t length) {
  ready();
  if (!number_of(descriptor)) return REAL(write)(descriptor, data, length);
  pthread_mutex_lock(&lock);
  int appends = fcntl(descriptor, F_GETFL) & O_APPEND;
  off_t offset = lseek(descriptor, 0, appends ? SEEK_END : SEEK_CUR);
  ssize_t done = put(descriptor, data, length, offset);
  if (done > 0) lseek(descriptor, offset + done, SEEK_SET);
  pthread_mutex_unlock(&lock);
  return done;
}

int ftruncate(int descriptor, off_t size) {
  ready();
  if (!number_of(descriptor)) return REAL(ftruncate)(descriptor, size);
  pthread_mutex_lock(&lock);
  off_t before = size_of(descriptor);
  int failed = REAL(ftruncate)(descriptor, size);
  if (!failed) {
    if (size < before) give_room(before - size);
    note('T', numbers[descriptor], size, "", 0);
  }
  pthread_mutex_unlock(&lock);
  return failed;
}

int ftruncate64(int, off_t) __attribute__((alias("ftruncate")));

/* Covers what was written before it began: the offset is the number of records until then. */
static int synced(int descriptor, int (*real)(int)) {
  uint32_t number = number_of(descriptor);
  if (!number) return real(descriptor);
  pthread_mutex_lock(&lock);
  uint64_t covered = records;
  pthread_mutex_unlock(&lock);
  if (control && control[1]) {
    errno = (int)control[1];
    return -1;
  }
  int failed = real(descriptor);
  pthread_mutex_lock(&lock);
  if (!failed) note('S', number, covered, "", 0);
  pthread_mutex_unlock(&lock);
  return failed;
}

int fsync(int descriptor) {
  ready();
  return synced(descriptor, REAL(fsync));
}

int fdatasync(int descriptor) {
  ready();
  return synced(descriptor, REAL(fdatasync));
}

int renameat(int from_directory, const char *from, int to_directory, const char *to) {
  ready();
  if (!is_ours(from) || !is_ours(to)) return REAL(renameat)(from_directory, from, to_directory, to);
  pthread_mutex_lock(&lock);
  int failed = REAL(renameat)(from_directory, from, to_directory, to);
  if (!failed) {
    char both[8192];
    int length = snprintf(both, sizeof both, "%s%c%s", from, 0, to);
    note('R', 0, 0, both, length);
  }
  pthread_mutex_unlock(&lock);
  return failed;
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int unlinkat(int directory, const char *path, int flags) {
  ready();
  if (!is_ours(path)) return REAL(unlinkat)(directory, path, flags);
  pthread_mutex_lock(&lock);
  struct stat status;
  off_t size = stat(path, &status) ? 0 : status.st_size;
  int failed = REAL(unlinkat)(directory, path, flags);
  if (!failed) {
    give_room(size);
    note('U', 0, 0, path, strlen(path));
  }
  pthread_mutex_unlock(&lock);
  return failed;
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int mkdirat(int directory, const char *path, mode_t mode) {
  ready();
  if (!is_ours(path)) return REAL(mkdirat)(directory, path, mode);
  pthread_mutex_lock(&lock);
  int failed = REAL(mkdirat)(directory, path, mode);
  if (!failed) note('M', 0, 0, path, strlen(path));
  pthread_mutex_unlock(&lock);
  return failed;
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
