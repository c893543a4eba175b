/* Preloaded into layover, ends it with SIGKILL at a chosen lasting step, and can list the steps.
 *
 * LAYOVER_KILL_AT="KIND:PLACE:NTH:WHEN": the NTH (from 1) call of KIND (write, sync, rename, remove) on
 * a path that contains PLACE is the end: WHEN is "before" it, "after" it, or, for a write, "half" of it.
 * LAYOVER_KILL_TRACE=FILE: appends "KIND PATH" for each step, in the order in which they were begun.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum when { BEFORE, HALF, AFTER };

static struct {
  char kind[16];
  char place[64];
  int nth;
  enum when when;
} target;
static atomic_int calls;
static int trace_fd = -1;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
  const char *trace = getenv("LAYOVER_KILL_TRACE");
  if (trace != NULL) trace_fd = (int)syscall(SYS_open, trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  const char *text = getenv("LAYOVER_KILL_AT");
  char when[16] = "";
  if (text == NULL) return;
  if (sscanf(text, "%15[^:]:%63[^:]:%d:%15s", target.kind, target.place, &target.nth, when) != 4) abort();
  target.when = strcmp(when, "before") == 0 ? BEFORE : strcmp(when, "half") == 0 ? HALF : AFTER;
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

/* Called before a step; true where this step is the one to end at (after it, or half of it). */
static int begins(const char *kind, const char *path) {
  pthread_once(&once, load);
  if (trace_fd >= 0) {
    char line[PATH_MAX + 32];
    const int n = snprintf(line, sizeof line, "%s %s\n", kind, path);
    syscall(SYS_write, trace_fd, line, (size_t)n);
  }
  if (target.nth == 0 || strcmp(kind, target.kind) != 0 || strstr(path, target.place) == NULL) return 0;
  if (atomic_fetch_add(&calls, 1) + 1 != target.nth) return 0;
  if (target.when == BEFORE) die();
  return 1;
}

/* The same for a step on a descriptor. Sockets, pipes and the terminal have no path and do not count. */
static int begins_on(const char *kind, int fd) {
  char link[64];
  char path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t n = readlink(link, path, sizeof path - 1);
  if (n <= 0 || path[0] != '/' || strncmp(path, "/dev/", 5) == 0) return 0;
  path[n] = '\0';
  const int saved = errno;
  const int is_last = begins(kind, path);
  errno = saved;
  return is_last;
}

#define STEP(is_last, call)                     \
  do {                                          \
    const long result = (call);                 \
    const int saved_errno = errno;              \
    if (is_last) die();                         \
    errno = saved_errno;                        \
    return result;                              \
  } while (0)

static size_t portion(int is_last, size_t size) { return is_last && target.when == HALF ? size / 2 : size; }

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  const int is_last = begins_on("write", fd);
  STEP(is_last, syscall(SYS_pwrite64, fd, data, portion(is_last, size), offset));
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }

ssize_t write(int fd, const void *data, size_t size) {
  const int is_last = begins_on("write", fd);
  STEP(is_last, syscall(SYS_write, fd, data, portion(is_last, size)));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  const int is_last = begins_on("write", fd);
  STEP(is_last, syscall(SYS_writev, fd, parts, (int)portion(is_last, (size_t)count)));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
  const int is_last = begins_on("write", fd);
  STEP(is_last, syscall(SYS_pwritev, fd, parts, (int)portion(is_last, (size_t)count), offset, 0L));
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  return pwritev64(fd, parts, count, offset);
}

int fdatasync(int fd) {
  const int is_last = begins_on("sync", fd);
  STEP(is_last, syscall(SYS_fdatasync, fd));
}

int fsync(int fd) {
  const int is_last = begins_on("sync", fd);
  STEP(is_last, syscall(SYS_fsync, fd));
}

int msync(void *start, size_t length, int flags) {
  const int is_last = begins("sync", "msync");
  STEP(is_last, syscall(SYS_msync, start, length, flags));
}

int rename(const char *from, const char *to) {
  const int is_last = begins("rename", to);
  STEP(is_last, syscall(SYS_rename, from, to));
}

int unlink(const char *path) {
  const int is_last = begins("remove", path);
  STEP(is_last, syscall(SYS_unlink, path));
}
