// ClientConnection over a socket pair: heads, every framing of a body, and what must not be believed.
#include "net/client_connection.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "net/socket.h"
#include "tests/support/catch.h"
#include "tests/support/socket_pair.h"
#include "tests/support/test_loop.h"

using namespace layover;
using net::ClientConnection;
using net::Task;
using std::chrono::milliseconds;
using test::SocketPair;
using test::TestLoop;

namespace {

struct Received {
  int status = 0;
  std::optional<std::uint64_t> length;
  std::string body;
  std::optional<Error> failure;
  bool is_reusable = false;
  bool ended_before_answer = false;
};

Task<Received> ask(ClientConnection& connection, bool is_head, milliseconds patience, std::size_t piece) {
  Received received;
  const auto deadline = Deadline::after(patience);
  auto sent = co_await connection.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n", is_head, deadline);
  if (!sent) {
    received.failure = sent.error();
    co_return received;
  }
  auto head = co_await connection.read_head(deadline);
  received.ended_before_answer = connection.ended_before_answer();
  if (!head) {
    received.failure = head.error();
    co_return received;
  }
  received.status = head->status;
  received.length = head->content_length;
  std::vector<std::byte> chunk(piece);
  for (;;) {
    auto n = co_await connection.read_body(chunk, deadline);
    if (!n) {
      received.failure = n.error();
      break;
    }
    if (*n == 0) break;
    received.body.append(reinterpret_cast<const char*>(chunk.data()), *n);
  }
  received.is_reusable = connection.is_reusable();
  co_return received;
}

enum class Then { kStay, kEnd, kClose };

struct Question {
  bool is_head = false;
  milliseconds patience{20'000};
  std::size_t piece = 7;
};

Received answer_with(std::string_view bytes, Then then, Question question = {}) {
  TestLoop loop;
  SocketPair pair;
  ClientConnection connection(net::Connection(net::Socket(loop.loop(), pair.take()), ErrorSource::kUpstream));
  pair.send(bytes);
  if (then == Then::kEnd) pair.end();
  if (then == Then::kClose) pair.close();
  return loop.run(ask(connection, question.is_head, question.patience, question.piece));
}

std::string ok(std::string_view headers, std::string_view body) {
  return fmt::format("HTTP/1.1 200 OK\r\n{}\r\n{}", headers, body);
}

const std::string kChunked = "Transfer-Encoding: chunked\r\n";

}  // namespace

TEST_CASE("a body of announced length is read to its end and the connection is good for more") {
  const Received received = answer_with(ok("Content-Length: 10\r\n", "0123456789"), Then::kStay);
  CHECK(received.status == 200);
  CHECK(received.length == 10U);
  CHECK(received.body == "0123456789");
  CHECK_FALSE(received.failure);
  CHECK(received.is_reusable);
}

TEST_CASE("a chunked body has no length before its end") {
  const Received received = answer_with(
      ok(kChunked, "3\r\nabc\r\n1;x=y\r\nd\r\nA\r\n0123456789\r\n0\r\nTrailer: z\r\n\r\n"), Then::kStay);
  CHECK_FALSE(received.length);
  CHECK(received.body == "abcd0123456789");
  CHECK_FALSE(received.failure);
  CHECK(received.is_reusable);
}

TEST_CASE("a body without a length ends with the connection") {
  const Received received = answer_with(ok("", "until the end"), Then::kEnd);
  CHECK_FALSE(received.length);
  CHECK(received.body == "until the end");
  CHECK_FALSE(received.failure);
  CHECK_FALSE(received.is_reusable);
}

TEST_CASE("answers that have no body are complete with their head") {
  const Received head = answer_with(ok("Content-Length: 99\r\n", ""), Then::kStay, {.is_head = true});
  CHECK(head.length == 99U);
  CHECK(head.body.empty());
  CHECK(head.is_reusable);
  CHECK(answer_with(ok(kChunked, ""), Then::kStay, {.is_head = true}).is_reusable);
  const Received nothing = answer_with("HTTP/1.1 204 No Content\r\n\r\n", Then::kStay);
  CHECK(nothing.length == 0U);
  CHECK(nothing.is_reusable);
  const Received same = answer_with("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Then::kStay);
  CHECK(same.status == 304);
  CHECK(same.body.empty());
  CHECK(same.is_reusable);
  CHECK(answer_with(ok("Content-Length: 0\r\n", ""), Then::kStay).is_reusable);
}

TEST_CASE("interim answers are passed over") {
  for (const std::string& interim : {std::string("HTTP/1.1 100 Continue\r\n\r\n"),
                                     std::string("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")}) {
    for (const int times : {1, 3}) {
      std::string bytes;
      for (int i = 0; i < times; ++i) bytes += interim;
      const Received received = answer_with(bytes + ok("Content-Length: 2\r\n", "hi"), Then::kStay);
      INFO(times << " times " << interim);
      CHECK(received.status == 200);
      CHECK(received.body == "hi");
      CHECK_FALSE(received.failure);
      CHECK(received.is_reusable);
    }
  }
}

// RFC 9110 15.2: an interim answer ends with its head, whatever that says.
TEST_CASE("an interim answer has no body") {
  const std::string framing = GENERATE("Content-Length: 10", "Transfer-Encoding: chunked");
  INFO(framing);
  const std::string interim = "HTTP/1.1 103 Early Hints\r\n" + framing + "\r\n\r\n";
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
  const Received received = answer_with(interim + answer, Then::kStay);
  CHECK_FALSE(received.failure.has_value());
  CHECK(received.body == "hello");
  CHECK(received.is_reusable);
  for (const bool is_head : {false, true}) {
    const Received broken =
        answer_with(interim + "a\r\n0123456789\r\n0\r\n\r\n" + answer, Then::kEnd, {.is_head = is_head});
    REQUIRE(broken.failure.has_value());
    CHECK(broken.failure->code() == ErrorCode::kProtocol);
    CHECK(broken.body.empty());
  }
}

TEST_CASE("a connection that the server ends, or has sent too much on, is not used again") {
  CHECK_FALSE(answer_with(ok("Content-Length: 2\r\nConnection: close\r\n", "hi"), Then::kStay).is_reusable);
  CHECK_FALSE(answer_with("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", Then::kStay).is_reusable);
  CHECK_FALSE(answer_with(ok("Content-Length: 2\r\n", "hi"), Then::kEnd).is_reusable);
  const std::string much = ok("Content-Length: 2\r\n", "hi and more");
  const Received extra = answer_with(much, Then::kStay);
  CHECK(extra.body == "hi");
  CHECK_FALSE(extra.failure);
  CHECK_FALSE(extra.is_reusable);
  CHECK_FALSE(answer_with(ok(kChunked, "1\r\na\r\n0\r\n\r\nHTTP/1.1 200"), Then::kStay).is_reusable);
  CHECK_FALSE(
      answer_with(ok("Content-Length: 3\r\n", "not read"), Then::kStay, {.is_head = true}).is_reusable);
}

TEST_CASE("a body that ends early is short, never complete") {
  struct Case {
    std::string what;
    std::string bytes;
  };
  for (const Case& one : std::vector<Case>{
           {"of 10 bytes, 9", ok("Content-Length: 10\r\n", "012345678")},
           {"of 10 bytes, none", ok("Content-Length: 10\r\n", "")},
           {"chunked, in a chunk", ok(kChunked, "A\r\n01234")},
           {"chunked, after a chunk", ok(kChunked, "3\r\nabc\r\n")},
           {"chunked, in the end", ok(kChunked, "3\r\nabc\r\n0\r\n")},
           {"chunked, nothing", ok(kChunked, "")},
       }) {
    INFO(one.what);
    const Received received = answer_with(one.bytes, Then::kEnd);
    REQUIRE(received.failure);
    CHECK(received.failure->code() == ErrorCode::kShortBody);
    CHECK(received.failure->source() == ErrorSource::kUpstream);
    CHECK_FALSE(received.is_reusable);
  }
}

TEST_CASE("an answer that breaks the protocol is not believed") {
  struct Case {
    std::string what;
    std::string bytes;
  };
  for (const Case& one : std::vector<Case>{
           {"no HTTP", "220 mail.example ESMTP\r\n"},
           {"a bad chunk", ok(kChunked, "zz\r\nabc\r\n0\r\n\r\n")},
           {"both lengths", ok("Content-Length: 3\r\n" + kChunked, "3\r\nabc\r\n0\r\n\r\n")},
           {"two lengths", ok("Content-Length: 3\r\nContent-Length: 4\r\n", "abc")},
           {"a length that is none", ok("Content-Length: 3x\r\n", "abc")},
           {"a bad header", ok("bad header\r\n", "")},
       }) {
    INFO(one.what);
    const Received received = answer_with(one.bytes, Then::kEnd);
    REQUIRE(received.failure);
    CHECK(received.failure->code() == ErrorCode::kProtocol);
  }
}

TEST_CASE("a head, and whatever else is kept in memory, is bounded") {
  const std::string field = "X-Filler: " + std::string(8000, 'x') + "\r\n";
  std::string head = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 12; ++i) head += field;
  const Received endless = answer_with(head, Then::kEnd);
  REQUIRE(endless.failure);
  CHECK(endless.failure->code() == ErrorCode::kProtocol);
}

TEST_CASE("an answer's trailer is bounded too") {
  // As much as a socket pair's buffer holds, and more than any head may have.
  const std::string trailer = ok(kChunked, "1\r\na\r\n0\r\nX: " + std::string(150'000, 'x') + "\r\n\r\n");
  const Received received = answer_with(trailer, Then::kEnd);
  REQUIRE(received.failure);
  CHECK(received.failure->code() == ErrorCode::kProtocol);
}

TEST_CASE("a server that closes before it answers is told apart from one that breaks off") {
  const Received closed = answer_with("", Then::kEnd);
  REQUIRE(closed.failure);
  CHECK(closed.failure->code() == ErrorCode::kClosed);
  CHECK(closed.ended_before_answer);
  const Received begun = answer_with("HTTP/1.1 200 OK\r\nConten", Then::kEnd);
  REQUIRE(begun.failure);
  CHECK_FALSE(begun.ended_before_answer);
}

TEST_CASE("silence is a time-out, in the head and in the body") {
  const Question hasty{.patience = milliseconds(20)};
  const Received in_head = answer_with("HTTP/1.1 200 OK\r\n", Then::kStay, hasty);
  REQUIRE(in_head.failure);
  CHECK(in_head.failure->code() == ErrorCode::kTimeout);
  const Received in_body = answer_with(ok("Content-Length: 10\r\n", "01234"), Then::kStay, hasty);
  REQUIRE(in_body.failure);
  CHECK(in_body.failure->code() == ErrorCode::kTimeout);
  CHECK(in_body.body == "01234");
  CHECK_FALSE(in_body.is_reusable);
}

TEST_CASE("one connection carries one exchange after the other") {
  TestLoop loop;
  SocketPair pair;
  ClientConnection connection(net::Connection(net::Socket(loop.loop(), pair.take()), ErrorSource::kUpstream));
  for (int i = 0; i < 5; ++i) {
    pair.send(i % 2 == 0 ? ok("Content-Length: 4\r\n", "even") : ok(kChunked, "3\r\nodd\r\n0\r\n\r\n"));
    const Received received = loop.run(ask(connection, false, milliseconds(20'000), 100));
    CHECK(received.body == (i % 2 == 0 ? "even" : "odd"));
    CHECK(received.is_reusable);
    CHECK(pair.received() == "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  }
}

// Found by fuzzing.
TEST_CASE("an answer with a status that HTTP does not have is refused") {
  for (const char* status : {"000", "050", "099", "600", "999"}) {
    INFO(status);
    const auto received =
        answer_with(fmt::format("HTTP/1.1 {} x\r\nContent-Length: 0\r\n\r\n", status), Then::kStay);
    REQUIRE(received.failure);
    CHECK(received.failure->code() == ErrorCode::kProtocol);
    CHECK_FALSE(received.is_reusable);
  }
}
