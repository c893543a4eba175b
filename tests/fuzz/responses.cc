// What a registry answers, read by ClientConnection: however the bytes arrive, the same head and body are
// read, never more of a body than was announced, and a connection is used again only where the RFC sees its
// answer end at the same byte.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/client_connection.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/strict_message.h"
#include "tests/fuzz/wire.h"

namespace layover::fuzz {
namespace {

struct Answer {
  int status = 0;  // 0: no head was read
  std::string head;
  std::optional<std::uint64_t> content_length;
  std::string body;
  std::optional<ErrorCode> failure;
  bool is_reusable = false;
};

struct Question {
  bool is_head = false;
  std::size_t piece = 16 << 10;  // of the body, that is asked for at once
};

/// Names are looked for, and never passed on.
void check_fields(const net::HttpHeaders& headers) {
  for (std::size_t i = 0; i < headers.size(); ++i) {
    require(headers.at(i).value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos,
            "a field's value is one line");
  }
}

std::string text_of(const net::HttpHeaders& headers) {
  std::string text;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    text += std::string(headers.at(i).name) + ": " + std::string(headers.at(i).value) + "\r\n";
  }
  return text;
}

net::Task<Answer> ask(net::Loop& loop, UniqueFd fd, Question question) {
  net::ClientConnection connection(net::Connection(net::Socket(loop, std::move(fd)), ErrorSource::kUpstream));
  const auto deadline = Deadline::after(std::chrono::seconds(30));
  Answer answer;
  auto sent = co_await connection.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n", question.is_head, deadline);
  require(sent.has_value(), "a request is sent");
  auto head = co_await connection.read_head(deadline);
  if (!head) {
    answer.failure = head.error().code();
    co_return answer;
  }
  check_fields(head->headers);
  answer.status = head->status;
  answer.head = text_of(head->headers);
  answer.content_length = head->content_length;
  std::vector<std::byte> piece(question.piece);
  for (;;) {
    auto n = co_await connection.read_body(piece, deadline);
    if (!n) {
      answer.failure = n.error().code();
      break;
    }
    if (*n == 0) break;
    answer.body.append(reinterpret_cast<const char*>(piece.data()), *n);
  }
  answer.is_reusable = connection.is_reusable();
  co_return answer;
}

Answer ask(Pieces pieces, Question question) {
  return run_on_wire(pieces,
                     [=](net::Loop& loop, UniqueFd fd) { return ask(loop, std::move(fd), question); });
}

void check_body(const Answer& answer, Question question) {
  if (answer.status == 0) return require(answer.failure.has_value(), "without a head there is an error");
  const bool has_none =
      question.is_head || answer.status == 204 || answer.status == 304 || answer.status == 101;
  require(!has_none || (answer.body.empty() && !answer.failure), "an answer without a body has none");
  require(answer.status == 101 || answer.status >= 200, "an interim answer is passed over");
  if (has_none || !answer.content_length) return;
  require(answer.body.size() <= *answer.content_length, "a body is never longer than announced");
  require(answer.failure || answer.body.size() == *answer.content_length, "a whole body is as announced");
}

void check_same(const Answer& whole, const Answer& pieces) {
  require(whole.failure == pieces.failure, "a failure is the same however the bytes arrive");
  // How much is read before a fault that has come already is up to the reader.
  if (whole.failure == ErrorCode::kProtocol) return;
  require(whole.status == pieces.status && whole.head == pieces.head &&
              whole.content_length == pieces.content_length,
          "a head is the same however it arrives");
  require(whole.body == pieces.body, "a body is the same however it arrives");
}

bool is_interim(const std::optional<StrictMessage>& message) {
  if (!message) return false;
  const auto status = message->start_line.substr(std::min<std::size_t>(9, message->start_line.size()), 3);
  return status.starts_with('1') && status != "101";
}

void check_reuse(const Answer& answer, Question question, std::string_view input) {
  for (;;) {
    const auto interim = read_strictly(input, BodyRule::kNone, Kind::kAnswer);
    if (!is_interim(interim)) break;
    input.remove_prefix(interim->size);
  }
  const bool has_none = question.is_head || answer.status == 204 || answer.status == 304;
  const auto strict =
      read_strictly(input, has_none ? BodyRule::kNone : BodyRule::kAsAnnounced, Kind::kAnswer);
  // What only llhttp takes for an answer harms nobody but the registry that sends it.
  if (!strict) return;
  require(strict->size == input.size(), "a connection is used again at an answer's very end");
  require(strict->body == answer.body, "a body is what the RFC reads");
}

void check(std::string_view input, Question question) {
  const Answer whole = ask({.first = input, .second = {}}, question);
  check_body(whole, question);
  require(!whole.is_reusable, "a connection that has ended is not used again");
  const std::size_t cut = cut_position(input);
  const Question in_small_pieces{.is_head = question.is_head, .piece = 7};
  check_same(whole, ask({.first = input.substr(0, cut), .second = input.substr(cut)}, in_small_pieces));
  const Answer kept = ask({.first = input, .second = {}, .lingers = true}, question);
  check_same(whole, kept);
  if (kept.is_reusable) check_reuse(kept, question, input);
}

}  // namespace

void fuzz(std::string_view input) {
  input = input.substr(0, kMostOnWire);
  check(input, {.is_head = false});
  check(input, {.is_head = true});
}

}  // namespace layover::fuzz
