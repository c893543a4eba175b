/* Preloaded into layover, makes one system call on its cache directory fail, or do only a part of what it
 * was asked for.
 *
 * LAYOVER_FAULT_PLACE=DIRECTORY: only calls on what lies in it count.
 * LAYOVER_FAULT_CONTROL=FILE: a file of `struct control`, shared with the test, which counts the calls of each
 * kind and tells which is to fail. `nth` counts down to it; 0 is none. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* As in fault_points.py. */
enum kind { WRITE, SYNC, RENAME, OPEN, SENDFILE, FALLOCATE, TRUNCATE, KINDS };
enum { CUT_SHORT = -1 };

struct control {
  atomic_int kind;  /* that fails */
  atomic_int nth;   /* call of it from now on */
  atomic_int how;   /* errno, or CUT_SHORT */
  atomic_int fired; /* calls that have failed */
  atomic_int calls[KINDS];
};

static struct control *control;
static const char *place;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
  place = getenv("LAYOVER_FAULT_PLACE");
  const char *file = getenv("LAYOVER_FAULT_CONTROL");
  if (place == NULL || file == NULL) return;
  const int fd = (int)syscall(SYS_open, file, O_RDWR | O_CLOEXEC, 0);
  if (fd < 0) abort();
  void *map = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) abort();
  control = map;
}

/* 0, or how this call has to fail. */
static int fault(enum kind kind, const char *path) {
  pthread_once(&once, load);
  if (control == NULL || strncmp(path, place, strlen(place)) != 0) return 0;
  atomic_fetch_add(&control->calls[kind], 1);
  if (atomic_load(&control->kind) != (int)kind) return 0;
  int left = atomic_load(&control->nth);
  while (left > 0 && !atomic_compare_exchange_weak(&control->nth, &left, left - 1)) {}
  if (left != 1) return 0;
  atomic_fetch_add(&control->fired, 1);
  return atomic_load(&control->how);
}

static int fault_on(enum kind kind, int fd) {
  char link[64];
  char path[PATH_MAX];
  const int saved = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof path - 1);
  errno = saved;
  if (n <= 0) return 0;
  path[n] = '\0';
  return fault(kind, path);
}

#define FAIL_WITH(how)        \
  do {                        \
    const int failure = (how); \
    if (failure > 0) {        \
      errno = failure;        \
      return -1;              \
    }                         \
  } while (0)

static size_t portion(int how, size_t size) { return how == CUT_SHORT ? (size + 1) / 2 : size; }

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  const int how = fault_on(WRITE, fd);
  FAIL_WITH(how);
  return syscall(SYS_pwrite64, fd, data, portion(how, size), offset);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
  const int how = fault_on(WRITE, fd);
  FAIL_WITH(how);
  return syscall(SYS_write, fd, data, portion(how, size));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
  const int how = fault_on(WRITE, fd);
  FAIL_WITH(how);
  if (how == CUT_SHORT && count == 1) return pwrite64(fd, parts[0].iov_base, (parts[0].iov_len + 1) / 2, offset);
  return syscall(SYS_pwritev, fd, parts, (int)portion(how, (size_t)count), offset, 0L);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  return pwritev64(fd, parts, count, offset);
}

int fdatasync(int fd) {
  FAIL_WITH(fault_on(SYNC, fd));
  return (int)syscall(SYS_fdatasync, fd);
}
int fsync(int fd) {
  FAIL_WITH(fault_on(SYNC, fd));
  return (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to) {
  FAIL_WITH(fault(RENAME, to));
  return (int)syscall(SYS_rename, from, to);
}
int renameat(int from_directory, const char *from, int to_directory, const char *to) {
  FAIL_WITH(fault(RENAME, to));
  return (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, 0);
}

static int open_in(int directory, const char *path, int flags, mode_t mode) {
  FAIL_WITH(fault(OPEN, path));
  return (int)syscall(SYS_openat, directory, path, flags, mode);
}

#define OPEN_IN(directory)                                          \
  do {                                                              \
    mode_t mode = 0;                                                \
    if (flags & (O_CREAT | O_TMPFILE)) {                            \
      va_list more;                                                 \
      va_start(more, flags);                                        \
      mode = (mode_t)va_arg(more, int);                             \
      va_end(more);                                                 \
    }                                                               \
    return open_in(directory, path, flags, mode);                   \
  } while (0)

int open(const char *path, int flags, ...) { OPEN_IN(AT_FDCWD); }
int open64(const char *path, int flags, ...) { OPEN_IN(AT_FDCWD); }
int openat(int directory, const char *path, int flags, ...) { OPEN_IN(directory); }
int openat64(int directory, const char *path, int flags, ...) { OPEN_IN(directory); }

ssize_t sendfile64(int out, int in, off64_t *offset, size_t size) {
  const int how = fault_on(SENDFILE, in);
  FAIL_WITH(how);
  return syscall(SYS_sendfile, out, in, offset, portion(how, size));
}
ssize_t sendfile(int out, int in, off_t *offset, size_t size) { return sendfile64(out, in, offset, size); }

/* Gives the error, unlike the others. */
int posix_fallocate64(int fd, off64_t offset, off64_t size) {
  const int how = fault_on(FALLOCATE, fd);
  if (how > 0) return how;
  return syscall(SYS_fallocate, fd, 0, offset, size) == 0 ? 0 : errno;
}
int posix_fallocate(int fd, off_t offset, off_t size) { return posix_fallocate64(fd, offset, size); }
int fallocate64(int fd, int mode, off64_t offset, off64_t size) {
  FAIL_WITH(fault_on(FALLOCATE, fd));
  return (int)syscall(SYS_fallocate, fd, mode, offset, size);
}
int fallocate(int fd, int mode, off_t offset, off_t size) { return fallocate64(fd, mode, offset, size); }

int ftruncate64(int fd, off64_t size) {
  FAIL_WITH(fault_on(TRUNCATE, fd));
  return (int)syscall(SYS_ftruncate, fd, size);
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
