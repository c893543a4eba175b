/* The limit that a cached answer is compared with: one epoll loop that parses nothing and sends the same bytes
 * for whatever it reads. `bare_loop PORT FILE`: FILE is the whole answer, headers and body. One thread. */
#define _GNU_SOURCE  // accept4
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { kEvents = 256, kRequest = 16384 };

static void die(const char* what) {
  perror(what);
  exit(1);
}

static char* read_answer(const char* path, size_t* size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0) die(path);
  char* answer = malloc((size_t)status.st_size);
  if (answer == NULL || read(fd, answer, (size_t)status.st_size) != status.st_size) die(path);
  close(fd);
  *size = (size_t)status.st_size;
  return answer;
}

static int listen_on(int port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (fd < 0 || bind(fd, (struct sockaddr*)&address, sizeof address) != 0 || listen(fd, 4096) != 0) die("listen");
  return fd;
}

static void watch(int loop, int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

static void accept_all(int loop, int listener) {
  int fd, on = 1;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    watch(loop, fd);
  }
}

/* An answer that does not fit the socket's buffer would need a queue; ours always fit, so that is an error. */
static void answer_one(int fd, const char* answer, size_t size) {
  char request[kRequest];
  ssize_t n = recv(fd, request, sizeof request, 0);
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) {
    close(fd);
    return;
  }
  if (send(fd, answer, size, MSG_NOSIGNAL) != (ssize_t)size) close(fd);
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: bare_loop PORT FILE\n");
    return 2;
  }
  size_t size;
  const char* answer = read_answer(argv[2], &size);
  int loop = epoll_create1(EPOLL_CLOEXEC), listener = listen_on(atoi(argv[1]));
  if (loop < 0) die("epoll_create1");
  watch(loop, listener);
  for (;;) {
    struct epoll_event events[kEvents];
    int n = epoll_wait(loop, events, kEvents, -1);
    for (int i = 0; i < n; ++i) {
      if (events[i].data.fd == listener) {
        accept_all(loop, listener);
      } else {
        answer_one(events[i].data.fd, answer, size);
      }
    }
  }
}
