/* Load by HEAD, whose answers neither wrk nor h2load can read (they wait for a body).
 * `head_load PORT PATH CONNECTIONS SECONDS`: one thread, connections that stay open, the next request when the last
 * is answered. Prints "REQUESTS BYTES NANOSECONDS"; anything but 200, or a close, is an error. */
#define _GNU_SOURCE  // memmem
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kEvents = 256, kAnswer = 8192 };

struct connection {
  int fd;
  size_t size; /* of what has come of the answer */
  char answer[kAnswer];
};

static char request[4096];
static size_t request_size;
static unsigned long long requests, bytes;

static void fail(const char* what) {
  perror(what);
  exit(1);
}

static unsigned long long now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (unsigned long long)time.tv_sec * 1000000000 + (unsigned long long)time.tv_nsec;
}

static void ask(const struct connection* c) {
  if (send(c->fd, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size) fail("send");
}

static void open_connection(int loop, int port, struct connection* c) {
  int on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0 || connect(c->fd, (struct sockaddr*)&address, sizeof address) != 0) fail("connect");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (epoll_ctl(loop, EPOLL_CTL_ADD, c->fd, &event) != 0) fail("epoll_ctl");
}

static void receive(struct connection* c) {
  ssize_t n = recv(c->fd, c->answer + c->size, kAnswer - c->size, 0);
  if (n <= 0) fail("recv");
  c->size += (size_t)n;
  bytes += (unsigned long long)n;
  char* end = memmem(c->answer, c->size, "\r\n\r\n", 4);
  if (end == NULL && c->size < kAnswer) return;
  if (end != c->answer + c->size - 4 || memcmp(c->answer, "HTTP/1.1 200", 12) != 0) {
    fprintf(stderr, "not a 200 without a body: %.*s\n", (int)c->size, c->answer);
    exit(1);
  }
  ++requests;
  c->size = 0;
  ask(c);
}

int main(int argc, char** argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: head_load PORT PATH CONNECTIONS SECONDS\n");
    return 2;
  }
  int loop = epoll_create1(EPOLL_CLOEXEC), port = atoi(argv[1]), count = atoi(argv[3]);
  request_size = (size_t)snprintf(request, sizeof request,
                                  "HEAD %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", argv[2], port);
  struct connection* connections = calloc((size_t)count, sizeof *connections);
  if (loop < 0 || connections == NULL || request_size >= sizeof request) fail("start");
  for (int i = 0; i < count; ++i) open_connection(loop, port, &connections[i]);
  unsigned long long began = now(), end = began + (unsigned long long)atoi(argv[4]) * 1000000000;
  for (int i = 0; i < count; ++i) ask(&connections[i]);
  while (now() < end) {
    struct epoll_event events[kEvents];
    int n = epoll_wait(loop, events, kEvents, 1000);
    for (int i = 0; i < n; ++i) receive(events[i].data.ptr);
  }
  printf("%llu %llu %llu\n", requests, bytes, now() - began);
  return 0;
}
