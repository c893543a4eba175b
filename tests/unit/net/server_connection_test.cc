// ServerConnection over a socket pair: requests in order, time limits, and how a connection ends.
#include "net/server_connection.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "net/socket.h"
#include "net/task_group.h"
#include "tests/support/catch.h"
#include "tests/support/socket_pair.h"
#include "tests/support/test_loop.h"

using namespace layover;
using net::ServerConnection;
using net::ServerLimits;
using net::Task;
using net::TaskGroup;
using std::chrono::milliseconds;
using test::SocketPair;
using test::TestLoop;

namespace {

constexpr ServerLimits kPatient{.header_timeout = std::chrono::seconds(30),
                                .send_timeout = std::chrono::seconds(30),
                                .keep_alive = std::chrono::seconds(30),
                                .max_header_bytes = 32_KiB};

ServerLimits with_header_timeout(milliseconds time) {
  ServerLimits limits = kPatient;
  limits.header_timeout = time;
  return limits;
}

/// Serves like a worker: answers each request with its target, a fault with its status.
Task<std::vector<std::string>> serve(net::Loop& loop, UniqueFd fd, ServerLimits limits) {
  ServerConnection connection(net::Connection(net::Socket(loop, std::move(fd)), ErrorSource::kClient),
                              limits);
  std::vector<std::string> log;
  do {
    auto request = co_await connection.read_request();
    if (!request) {
      log.push_back(fmt::format("fault {}", request.error().status));
      break;
    }
    if (*request == nullptr) {
      log.emplace_back("end");
      break;
    }
    log.push_back((*request)->method + " " + (*request)->target);
    auto sent = co_await connection.send("HEAD:", (*request)->target + ";");
    if (!sent) log.emplace_back("gone");
  } while (connection.can_reuse());
  co_await connection.close_orderly();
  co_return log;
}

using Log = std::vector<std::string>;

std::string get(std::string_view target) { return fmt::format("GET {} HTTP/1.1\r\nHost: h\r\n\r\n", target); }

Task<void> note_log(Task<Log> task, Log& log) { log = co_await std::move(task); }

/// Serves until our end has closed, and only then ends the client's.
Log serve_silent(TestLoop& loop, SocketPair& pair, ServerLimits limits) {
  TaskGroup group(loop.loop());
  Log log;
  group.spawn(note_log(serve(loop.loop(), pair.take(), limits), log));
  loop.run_until([&] {
    (void)pair.received();
    return pair.has_ended();
  });
  pair.end();
  loop.run_until([&] { return !log.empty(); });
  return log;
}

Task<Result<void>> send_much(net::Loop& loop, UniqueFd fd, ServerLimits limits, std::size_t bytes) {
  ServerConnection connection(net::Connection(net::Socket(loop, std::move(fd)), ErrorSource::kClient),
                              limits);
  const std::string body(bytes, 'x');
  co_return co_await connection.send("HEAD:", body);
}

struct SentFile {
  Result<void> result;
  std::uint64_t progress = 0;
};

Task<SentFile> send_file(net::Loop& loop, UniqueFd fd, ServerLimits limits, int file, ByteRange range) {
  ServerConnection connection(net::Connection(net::Socket(loop, std::move(fd)), ErrorSource::kClient),
                              limits);
  SentFile sent;
  sent.result = co_await connection.send_file(file, range, &sent.progress);
  co_return sent;
}

/// An unnamed file with these bytes.
UniqueFd file_of(std::string_view bytes) {
  UniqueFd fd(::memfd_create("test", MFD_CLOEXEC));
  REQUIRE(::write(fd.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
  return fd;
}

/// Reads like a client that takes what it gets, until our end has closed.
Task<std::string> drain(SocketPair& pair) {
  std::string all;
  while (!pair.has_ended()) {
    all += pair.received();
    co_await net::sleep_until(Deadline::after(milliseconds(1)));
  }
  co_return all;
}

/// Counts the turns that the loop gives to others until `log` is written.
Task<int> count_turns(const Log& log) {
  int turns = 0;
  for (; log.empty(); ++turns) co_await net::next_turn();
  co_return turns;
}

}  // namespace

TEST_CASE("many requests that come together leave turns to others") {
  TestLoop loop;
  SocketPair pair;
  std::string requests;
  for (int i = 0; i < 100; ++i) requests += get("/");
  pair.send(requests);
  pair.end();
  TaskGroup group(loop.loop());
  Log log;
  group.spawn(note_log(serve(loop.loop(), pair.take(), kPatient), log));
  CHECK(loop.run(count_turns(log)) >= 99);
  CHECK(log.size() == 101);
}

TEST_CASE("requests that come together are answered in order") {
  TestLoop loop;
  SocketPair pair;
  pair.send(get("/1") + get("/2") + "POST /3 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" +
            get("/4"));
  pair.end();
  CHECK(loop.run(serve(loop.loop(), pair.take(), kPatient)) ==
        Log{"GET /1", "GET /2", "POST /3", "GET /4", "end"});
  CHECK(pair.received() == "HEAD:/1;HEAD:/2;HEAD:/3;HEAD:/4;");
  CHECK(pair.has_ended());
}

TEST_CASE("a client that ends in the middle of a head is left without an answer") {
  TestLoop loop;
  SocketPair pair;
  pair.send(get("/1") + "GET /2 HT");
  pair.end();
  CHECK(loop.run(serve(loop.loop(), pair.take(), kPatient)) == Log{"GET /1", "end"});
  CHECK(pair.received() == "HEAD:/1;");
}

TEST_CASE("after a fault nothing more is read") {
  TestLoop loop;
  SocketPair pair;
  pair.send(get("/1") + "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + get("/3"));
  pair.end();
  CHECK(loop.run(serve(loop.loop(), pair.take(), kPatient)) == Log{"GET /1", "fault 400"});
}

TEST_CASE("a head that does not arrive in time is a 408, one that never began an end") {
  TestLoop loop;
  SocketPair begun;
  begun.send("GET /slow HTTP/1.1\r\n");
  CHECK(serve_silent(loop, begun, with_header_timeout(milliseconds(20))) == Log{"fault 408"});
  SocketPair silent;
  CHECK(serve_silent(loop, silent, with_header_timeout(milliseconds(20))) == Log{"end"});
}

TEST_CASE("a head that trickles in is not given more time with each byte") {
  TestLoop loop;
  SocketPair pair;
  TaskGroup group(loop.loop());
  Log log;
  group.spawn(note_log(serve(loop.loop(), pair.take(), with_header_timeout(milliseconds(60))), log));
  const std::string head = get("/1");
  const auto begun = Deadline::Clock::now();
  for (std::size_t i = 0; !pair.has_ended() && i + 1 < head.size(); ++i) {
    pair.send(head.substr(i, 1));
    loop.run_for(milliseconds(10));
    (void)pair.received();
  }
  CHECK(pair.has_ended());
  CHECK(Deadline::Clock::now() - begun >= milliseconds(50));
  pair.end();
  CHECK(loop.run_until([&] { return !log.empty(); }));
  CHECK(log == Log{"fault 408"});
}

TEST_CASE("empty lines before a request give it no more time") {
  TestLoop loop;
  SocketPair pair;
  TaskGroup group(loop.loop());
  Log log;
  group.spawn(note_log(serve(loop.loop(), pair.take(), with_header_timeout(milliseconds(60))), log));
  for (int i = 0; !pair.has_ended() && i < 12; ++i) {
    pair.send("\r\n");
    loop.run_for(milliseconds(10));
    (void)pair.received();
  }
  CHECK(pair.has_ended());
  pair.end();
  CHECK(loop.run_until([&] { return !log.empty(); }));
  CHECK(log == Log{"end"});  // no request has begun
}

TEST_CASE("an empty line between requests is no request that does not come") {
  TestLoop loop;
  SocketPair pair;
  ServerLimits limits = with_header_timeout(milliseconds(20));
  limits.keep_alive = milliseconds(100);
  pair.send(get("/1") + "\r\n");
  CHECK(serve_silent(loop, pair, limits) == Log{"GET /1", "end"});
}

TEST_CASE("an idle connection ends quietly after keep_alive") {
  TestLoop loop;
  SocketPair pair;
  ServerLimits limits = kPatient;
  limits.keep_alive = milliseconds(20);
  pair.send(get("/1"));
  CHECK(serve_silent(loop, pair, limits) == Log{"GET /1", "end"});
}

TEST_CASE("a body that is announced and not sent ends the connection after the answer") {
  TestLoop loop;
  SocketPair expecting;
  expecting.send("PUT /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n");
  expecting.end();
  CHECK(loop.run(serve(loop.loop(), expecting.take(), kPatient)) == Log{"PUT /1"});
  CHECK(expecting.received() == "HEAD:/1;");

  SocketPair large;
  large.send("PUT /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n" + std::string(100'000, 'b'));
  large.end();
  CHECK(loop.run(serve(loop.loop(), large.take(), kPatient)) == Log{"PUT /2"});
}

TEST_CASE("an end that closes orderly waits for the client's own end") {
  TestLoop loop;
  SocketPair pair;
  pair.send("GET /1 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  TaskGroup group(loop.loop());
  Log log;
  group.spawn(note_log(serve(loop.loop(), pair.take(), kPatient), log));
  std::string received;
  CHECK(loop.run_until([&] {
    received += pair.received();
    return pair.has_ended();
  }));
  CHECK(received == "HEAD:/1;");
  CHECK(log.empty());
  pair.send("late bytes are read and dropped");
  pair.end();
  CHECK(loop.run_until([&] { return !log.empty(); }));
}

TEST_CASE("an answer larger than the socket's buffer is sent as the client reads") {
  TestLoop loop;
  SocketPair pair;
  TaskGroup group(loop.loop());
  constexpr std::size_t kBytes = 3'000'000;
  std::string received;
  group.spawn([](Task<std::string> task, std::string& out) -> Task<void> { out = co_await std::move(task); }(
                                                               drain(pair), received));
  auto sent = loop.run(send_much(loop.loop(), pair.take(), kPatient, kBytes));
  CHECK(sent.has_value());
  CHECK(loop.run_until([&] { return !received.empty(); }));
  CHECK(received.size() == kBytes + 5);
}

TEST_CASE("a client that takes nothing is given up after send_timeout") {
  TestLoop loop;
  SocketPair pair;
  ServerLimits limits = kPatient;
  limits.send_timeout = milliseconds(20);
  auto sent = loop.run(send_much(loop.loop(), pair.take(), limits, 10'000'000));
  REQUIRE_FALSE(sent.has_value());
  CHECK(sent.error().code() == ErrorCode::kTimeout);
  CHECK(sent.error().source() == ErrorSource::kClient);
}

TEST_CASE("a client that goes away is a reset, its own") {
  TestLoop loop;
  SocketPair pair;
  auto fd = pair.take();
  pair.close();
  auto sent = loop.run(send_much(loop.loop(), std::move(fd), kPatient, 1000));
  REQUIRE_FALSE(sent.has_value());
  CHECK(sent.error().code() == ErrorCode::kReset);
  CHECK(sent.error().source() == ErrorSource::kClient);
}

TEST_CASE("a range of a file is sent, and how much of it even where it fails") {
  TestLoop loop;
  std::string bytes;
  for (int i = 0; i < 500'000; ++i) bytes += static_cast<char>('a' + i % 26);
  const UniqueFd file = file_of(bytes);

  SocketPair pair;
  TaskGroup group(loop.loop());
  std::string received;
  group.spawn([](Task<std::string> task, std::string& out) -> Task<void> { out = co_await std::move(task); }(
                                                               drain(pair), received));
  auto sent = loop.run(
      send_file(loop.loop(), pair.take(), kPatient, file.get(), {.begin = 100, .end = bytes.size() - 100}));
  CHECK(sent.result.has_value());
  CHECK(sent.progress == bytes.size() - 200);
  CHECK(loop.run_until([&] { return !received.empty(); }));
  CHECK(received == bytes.substr(100, bytes.size() - 200));

  SocketPair shorter;
  ServerLimits limits = kPatient;
  limits.send_timeout = milliseconds(20);
  auto cut = loop.run(
      send_file(loop.loop(), shorter.take(), limits, file.get(), {.begin = 499'000, .end = 600'000}));
  REQUIRE_FALSE(cut.result.has_value());
  CHECK(cut.result.error().source() == ErrorSource::kDisk);
  CHECK(cut.progress == 1000);
}
