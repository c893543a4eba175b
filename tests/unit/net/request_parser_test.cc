// RequestParser: what is read, and what is refused so that no two readers can disagree about it. Every
// message is fed whole and byte by byte, with the same outcome.
#include "net/request_parser.h"
#include "base/ascii.h"

#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "tests/support/catch.h"

using layover::operator""_KiB;
using layover::Bytes;
using layover::net::RequestParser;
using Progress = RequestParser::Progress;

namespace {

/// What became of some bytes: one line a request, and the fault's status if there was one.
struct Outcome {
  std::vector<std::string> requests;
  int fault = 0;
  std::string message;
  bool is_waiting = false;  // for more of a message that has begun

  friend bool operator==(const Outcome& a, const Outcome& b) {
    return a.requests == b.requests && a.fault == b.fault && a.is_waiting == b.is_waiting;
  }
};

std::string line_of(const RequestParser& parser) {
  const auto& request = parser.request();
  return fmt::format("{} {}{} body={}", request.method, request.target, request.keep_alive ? "" : " close",
                     parser.body_bytes());
}

/// Feeds `bytes` in pieces of `piece` bytes.
Outcome read(std::string_view bytes, std::size_t piece, Bytes limit = 32_KiB) {
  RequestParser parser(limit);
  Outcome outcome;
  auto progress = Progress::kNeedHead;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    progress = parser.feed(bytes.substr(at, piece));
    while (progress == Progress::kComplete) {
      outcome.requests.push_back(line_of(parser));
      progress = parser.next();
    }
    if (progress == Progress::kFault) {
      outcome.fault = parser.fault().status;
      outcome.message = parser.fault().message;
      return outcome;
    }
  }
  outcome.is_waiting = progress == Progress::kNeedBody || !parser.is_empty();
  return outcome;
}

Outcome read_every_way(std::string_view bytes, Bytes limit = 32_KiB) {
  const Outcome whole = read(bytes, bytes.size(), limit);
  for (const std::size_t piece : {1U, 2U, 3U, 7U}) {
    const Outcome pieces = read(bytes, piece, limit);
    INFO("in pieces of " << piece << ": fault " << pieces.fault << " " << pieces.message
                         << ", whole: " << whole.fault << " " << whole.message);
    CHECK(pieces == whole);
  }
  return whole;
}

struct Case {
  std::string what;
  std::string bytes;
  int fault = 0;
};

void check_all(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    INFO(one.what);
    const Outcome outcome = read_every_way(one.bytes);
    INFO("message: " << outcome.message << ", requests: " << outcome.requests.size());
    CHECK(outcome.fault == one.fault);
    if (one.fault == 0) continue;
    CHECK(outcome.requests.empty());
    CHECK_FALSE(outcome.message.empty());
  }
}

std::string get(std::string_view extra) {
  return fmt::format("GET /v2/ HTTP/1.1\r\nHost: h\r\n{}\r\n", extra);
}
std::string post(std::string_view extra, std::string_view body) {
  return fmt::format("POST /v2/ HTTP/1.1\r\nHost: h\r\n{}\r\n{}", extra, body);
}

}  // namespace

TEST_CASE("a request's method, target and headers are read as sent") {
  RequestParser parser(32_KiB);
  const std::string head =
      "GET /v2/a/manifests/1?ns=docker.io HTTP/1.1\r\nHost: h\r\nAccept:  a/b , c/d \r\naccept: e/f\r\n\r\n";
  REQUIRE(parser.feed(head) == Progress::kComplete);
  const auto& request = parser.request();
  CHECK(request.is_get());
  CHECK(request.target == "/v2/a/manifests/1?ns=docker.io");
  CHECK(request.keep_alive);
  CHECK_FALSE(request.is_http_1_0);
  CHECK(request.headers.size() == 3);
  CHECK(request.headers.all("ACCEPT").at(0) == "a/b , c/d");
  CHECK(request.headers.all("accept").at(1) == "e/f");
}

TEST_CASE("pipelined requests come out one by one, in order") {
  const std::string bytes = get("") + post("Content-Length: 5\r\n", "GET /") +
                            post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n") +
                            "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n";
  const Outcome outcome = read_every_way(bytes);
  CHECK(outcome.fault == 0);
  CHECK(outcome.requests == std::vector<std::string>{"GET /v2/ body=0", "POST /v2/ body=5",
                                                     "POST /v2/ close body=3", "HEAD /x body=0"});
}

// Found by fuzzing.
TEST_CASE("a Host that is none, and a request line with more than its two spaces, are refused") {
  for (const char* host : {"a b", "user@h", "h/x", "h\\x", "<h>", "h\x80"}) {
    INFO(host);
    CHECK(read_every_way(fmt::format("GET /v2/ HTTP/1.1\r\nHost: {}\r\n\r\n", host)).fault == 400);
  }
  for (const char* host : {"", "h", "h:5000", "[::1]:5000", "10.0.0.1", "a_b.example"}) {
    INFO(host);
    CHECK(read_every_way(fmt::format("GET /v2/ HTTP/1.1\r\nHost: {}\r\n\r\n", host)).requests.size() == 1);
  }
  CHECK(read_every_way("GET  /v2/ HTTP/1.1\r\nHost: h\r\n\r\n").fault == 400);
  CHECK(read_every_way("GET /v2/  HTTP/1.1\r\nHost: h\r\n\r\n").fault == 400);
}

TEST_CASE("a target with a control character is refused") {
  CHECK(read_every_way("GET /v2/\ta HTTP/1.1\r\nHost: h\r\n\r\n").fault == 400);
  CHECK(read_every_way("GET /v2/\x0c HTTP/1.1\r\nHost: h\r\n\r\n").fault == 400);
  CHECK(read_every_way("GET /v2/\x7f HTTP/1.1\r\nHost: h\r\n\r\n").fault == 400);
}

// Found by fuzzing: llhttp lets "\r" and any other byte end a chunk's extension.
TEST_CASE("nothing may follow a request in chunks, since readers may differ on where it ends") {
  const std::string smuggled = "GET /admin HTTP/1.1\r\nHost: h\r\n\r\n";
  const Outcome outcome =
      read_every_way(post("Transfer-Encoding: chunked\r\n", "0;a=b\r\x0e\r\n" + smuggled));
  CHECK(outcome.requests.at(0) == "POST /v2/ close body=0");
}

TEST_CASE("what may follow a request depends on its version and its Connection") {
  CHECK(read_every_way(get("Connection: close\r\n")).requests.at(0) == "GET /v2/ close body=0");
  CHECK(read_every_way("GET / HTTP/1.0\r\n\r\n").requests.at(0) == "GET / close body=0");
  CHECK(read_every_way("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").requests.at(0) == "GET / body=0");
  CHECK(read_every_way(get("Connection: Upgrade\r\nUpgrade: h2c\r\n")).requests.at(0) ==
        "GET /v2/ close body=0");
}

TEST_CASE("the authority of an absolute form is dropped") {
  CHECK(read_every_way("GET http://evil/v2/ HTTP/1.1\r\nHost: h\r\n\r\n").requests.at(0) ==
        "GET /v2/ body=0");
  CHECK(read_every_way("GET http://evil?x=1 HTTP/1.1\r\nHost: h\r\n\r\n").requests.at(0) ==
        "GET /?x=1 body=0");
  CHECK(read_every_way("GET http://evil HTTP/1.1\r\nHost: h\r\n\r\n").requests.at(0) == "GET / body=0");
}

TEST_CASE("a tunnel is never entered") {
  const Outcome outcome = read_every_way("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK(outcome.requests == std::vector<std::string>{"CONNECT a:443 close body=0"});
}

TEST_CASE("empty lines before a request are passed over") {
  CHECK(read_every_way("\r\n\r\n" + get("")).requests.size() == 1);
  std::string lines;
  for (int i = 0; i < 16; ++i) lines += "\r\n";
  CHECK(read_every_way(lines + get("") + lines + get("")).requests.size() == 2);
}

TEST_CASE("nothing but empty lines is no request") {
  std::string lines;
  for (int i = 0; i < 17; ++i) lines += "\r\n";
  CHECK(read_every_way(lines).fault == 400);
  CHECK(read_every_way(get("") + lines + get("")).fault == 400);
}

TEST_CASE("messages whose end two readers could see in different places are refused") {
  const std::string smuggled = "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: h\r\n\r\n";
  check_all({
      {"both lengths", post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", smuggled), 400},
      {"both lengths, the other way round",
       post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", smuggled), 400},
      {"two lengths that differ", post("Content-Length: 4\r\nContent-Length: 5\r\n", "abcde"), 400},
      {"two lengths that agree", post("Content-Length: 4\r\nContent-Length: 4\r\n", "abcd"), 400},
      {"a list of lengths", post("Content-Length: 4, 4\r\n", "abcd"), 400},
      {"a signed length", post("Content-Length: +4\r\n", "abcd"), 400},
      {"a negative length", post("Content-Length: -4\r\n", "abcd"), 400},
      {"a hexadecimal length", post("Content-Length: 0x4\r\n", "abcd"), 400},
      {"a length with letters behind", post("Content-Length: 4a\r\n", "abcd"), 400},
      {"an empty length", post("Content-Length: \r\n", "abcd"), 400},
      {"a length beyond 64 bits", post("Content-Length: 18446744073709551617\r\n", "a"), 400},
      {"an unknown coding alone", post("Transfer-Encoding: gzip\r\n", "abcd"), 400},
      {"chunked before another coding", post("Transfer-Encoding: chunked, gzip\r\n", smuggled), 400},
      {"a coding that only contains chunked", post("Transfer-Encoding: xchunked\r\n", smuggled), 400},
      {"chunked with something behind", post("Transfer-Encoding: chunked x\r\n", smuggled), 400},
      {"two codings that end the body differently",
       post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", smuggled), 400},
      {"a coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled, 400},
      {"a coding under a name with a space", post("Transfer-Encoding : chunked\r\n", get("")), 400},
      {"a length under a name with a space", post("Content-Length : 29\r\n", get("")), 400},
      {"a space before any colon", get("X-Y : z\r\n"), 400},
      {"a folded coding", post("Transfer-Encoding:\r\n chunked\r\n", get("")), 400},
  });
}

TEST_CASE("chunks that are not what the grammar says are refused") {
  const std::string coded = "Transfer-Encoding: chunked\r\n";
  check_all({
      {"no number", post(coded, "x\r\nabc\r\n0\r\n\r\n"), 400},
      {"a negative number", post(coded, "-3\r\nabc\r\n0\r\n\r\n"), 400},
      {"a prefix", post(coded, "0x3\r\nabc\r\n0\r\n\r\n"), 400},
      {"a number beyond 64 bits", post(coded, "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"), 400},
      {"a chunk longer than its number", post(coded, "3\r\nabcd\r\n0\r\n\r\n"), 400},
      {"a line feed alone after the number", post(coded, "3\nabc\r\n0\r\n\r\n"), 400},
      {"a line feed alone after the data", post(coded, "3\r\nabc\n0\r\n\r\n"), 400},
      {"a carriage return alone after the data", post(coded, "3\r\nabc\r0\r\n\r\n"), 400},
  });
  CHECK(read_every_way(post(coded, "3;name=value\r\nabc\r\n0\r\nX-Trailer: y\r\n\r\n")).requests.size() == 1);
  CHECK(read_every_way(post(coded, "3\r\nab")).is_waiting);
}

TEST_CASE("lines end in CR LF and hold no control characters") {
  using namespace std::string_literals;
  check_all({
      {"line feeds alone", "GET / HTTP/1.1\nHost: h\n\n", 400},
      {"a line feed alone between headers", "GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400},
      {"a line feed alone at the end", "GET / HTTP/1.1\r\nHost: h\r\n\n", 400},
      {"a carriage return inside a value", get("X: a\rb\r\n"), 400},
      {"a NUL in a value", get("X: a\0b\r\n"s), 400},
      {"a NUL in the target", "GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n"s, 400},
      {"a control character in a value", get("X: a\x01"s + "b\r\n"), 400},
      {"a control character in a name", get("X\x01: a\r\n"), 400},
      {"a line without a colon", get("nonsense\r\n"), 400},
      {"an empty name", get(": value\r\n"), 400},
      {"a folded line", get("X: a\r\n b\r\n"), 400},
      {"a folded line with a tab", get("X: a\r\n\tb\r\n"), 400},
      {"a first header that is folded", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", 400},
      {"a space in the target", "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
      {"a target that is no path", "GET v2 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
  });
}

TEST_CASE("an HTTP/1.1 request names exactly one host") {
  check_all({
      {"no host", "GET / HTTP/1.1\r\n\r\n", 400},
      {"two hosts", get("Host: other\r\n"), 400},
      {"no host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 0},
      {"two hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400},
  });
}

TEST_CASE("what is no HTTP/1 gets the status that says so") {
  using namespace std::string_literals;
  check_all({
      {"an unknown method", "BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n", 501},
      {"a method in lower case", "get / HTTP/1.1\r\nHost: h\r\n\r\n", 501},
      {"HTTP/2 by name", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505},
      {"HTTP/3 by name", "GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", 505},
      {"HTTP/0.9", "GET / HTTP/0.9\r\nHost: h\r\n\r\n", 505},
      {"no version", "GET /\r\nHost: h\r\n\r\n", 400},
      {"another protocol", "GET / RTSP/1.0\r\nHost: h\r\n\r\n", 400},
      {"a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s, 400},
      {"SSH", "SSH-2.0-OpenSSH_9.2\r\n\r\n", 400},
      {"binary rubbish", "\xff\xfe\xfd"s, 400},
  });
}

TEST_CASE("a head that is too large is refused before it is complete") {
  const Bytes limit = 4_KiB;
  const std::string large(5000, 'a');
  CHECK(read_every_way("GET /" + std::string(9000, 'a'), 32_KiB).fault == 414);
  CHECK(read_every_way("GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", 32_KiB).fault ==
        414);
  CHECK(read_every_way("GET / HTTP/1.1\r\nHost: h\r\nX: " + large, limit).fault == 431);
  CHECK(read_every_way("GET / HTTP/1.1\r\nHost: h\r\nX: " + large + "\r\n\r\n", limit).fault == 431);
  CHECK(read_every_way("GET / HTTP/1.1\r\nHost: h\r\n" + large, limit).fault == 431);
  std::string many;
  for (int i = 0; i < 200; ++i) many += "A: b\r\n";
  CHECK(read_every_way(get(many)).fault == 431);
}

TEST_CASE("a body's trailer is bounded too") {
  RequestParser parser(4_KiB);
  auto progress = parser.feed(post("Transfer-Encoding: chunked\r\n", "1\r\na\r\n0\r\nX: "));
  const std::string more(4096, 'a');
  for (int i = 0; i < 256 && progress == Progress::kNeedBody; ++i) progress = parser.feed(more);
  // Otherwise a client can make one connection's trailer as large as it likes.
  CHECK(progress == Progress::kFault);
}

TEST_CASE("an idle parser leaves the memory of its request to the next one, of whatever connection") {
  const auto request_of = [](std::size_t target_size) {
    return "GET /" + std::string(target_size, 'a') +
           " HTTP/1.1\r\nHost: h\r\nX: " + std::string(target_size, 'b') + "\r\n\r\n";
  };
  RequestParser first(64_KiB);
  RequestParser second(64_KiB);
  REQUIRE(first.feed(request_of(500)) == Progress::kComplete);
  CHECK(first.next() == Progress::kNeedHead);
  CHECK(first.is_empty());
  REQUIRE(second.feed(request_of(1)) == Progress::kComplete);
  CHECK(second.request().target == "/a");
  CHECK(second.request().headers.size() == 2);
  CHECK(second.request().target.capacity() >= 500);

  // While it is in use, others have their own.
  REQUIRE(first.feed(request_of(7'000)) == Progress::kComplete);
  REQUIRE(first.feed(std::string(20'000, 'c')) == Progress::kComplete);
  CHECK(second.request().target == "/a");
  CHECK(second.next() == Progress::kNeedHead);
}

TEST_CASE("the memory of a large request is not kept") {
  RequestParser large(64_KiB);
  REQUIRE(large.feed("GET /" + std::string(500, 'a') + " HTTP/1.1\r\nHost: h\r\nX: " +
                     std::string(20'000, 'b') + "\r\n\r\n") == Progress::kComplete);
  CHECK(large.next() == Progress::kNeedHead);
  RequestParser small(64_KiB);
  REQUIRE(small.feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n") == Progress::kComplete);
  CHECK(small.request().target.capacity() < 500);
}
