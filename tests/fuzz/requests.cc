// What a client sends, read by ServerConnection as a worker does: several requests on a connection, bodies
// discarded. However the bytes arrive, the same requests are read, each as the RFC reads it.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/ascii.h"
#include "net/request_parser.h"
#include "net/server_connection.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/route_properties.h"
#include "tests/fuzz/strict_message.h"
#include "tests/fuzz/wire.h"

namespace layover::fuzz {
namespace {

using net::HttpRequest;

constexpr net::ServerLimits kLimits{.header_timeout = std::chrono::seconds(30),
                                    .send_timeout = std::chrono::seconds(30),
                                    .keep_alive = std::chrono::seconds(30),
                                    .max_header_bytes = 2_KiB};

/// A request as text, written as a client would.
std::string head_of(const HttpRequest& request) {
  std::string head =
      request.method + " " + request.target + (request.is_http_1_0 ? " HTTP/1.0" : " HTTP/1.1");
  for (std::size_t i = 0; i < request.headers.size(); ++i) {
    const auto field = request.headers.at(i);
    head += "\r\n" + std::string(field.name) + ": " + std::string(field.value);
  }
  return head + "\r\n\r\n";
}

/// What was read of a connection.
struct Reading {
  std::vector<std::string> requests;  // their heads
  int fault = 0;  // the status that ended it; 0: the client's end, or ours after an answer
  /// The last request expects 100: whether its body is waited for depends on whether it has come.
  bool is_cut_short = false;
};

net::Task<Reading> serve(net::Loop& loop, UniqueFd fd) {
  net::ServerConnection connection(net::Connection(net::Socket(loop, std::move(fd)), ErrorSource::kClient),
                                   kLimits);
  Reading reading;
  do {
    auto request = co_await connection.read_request();
    if (!request) {
      reading.fault = request.error().status;
      require(reading.fault >= 400 && reading.fault < 600, "a fault has a status that is an error");
      require(!has_control_character(request.error().message), "a fault's message is one line");
      break;
    }
    if (*request == nullptr) break;
    reading.requests.push_back(head_of(**request));
    reading.is_cut_short = (*request)->headers.count("expect") > 0;
  } while (connection.can_reuse() && !reading.is_cut_short);
  co_return reading;
}

Reading read_all(std::string_view first, std::string_view second) {
  return run_on_wire({.first = first, .second = second},
                     [](net::Loop& loop, UniqueFd fd) { return serve(loop, std::move(fd)); });
}

bool is_too_large(int status) { return status == 414 || status == 431; }

void check_same(const Reading& whole, const Reading& pieces) {
  // A limit may be reached before the rest comes that would be refused for another reason.
  if (is_too_large(whole.fault) || is_too_large(pieces.fault)) {
    const auto size = std::min(whole.requests.size(), pieces.requests.size());
    require(std::equal(whole.requests.begin(), whole.requests.begin() + static_cast<std::ptrdiff_t>(size),
                       pieces.requests.begin()),
            "the requests before one that is too large are the same");
    return;
  }
  if (whole.is_cut_short != pieces.is_cut_short) {
    // One that expects 100 is answered before its body is read, and refused for a body that has come already.
    const Reading& longer = whole.is_cut_short ? whole : pieces;
    const Reading& shorter = whole.is_cut_short ? pieces : whole;
    require(shorter.fault != 0 && longer.requests.size() == shorter.requests.size() + 1 &&
                std::equal(shorter.requests.begin(), shorter.requests.end(), longer.requests.begin()),
            "the requests before one that expects 100 are the same");
    return;
  }
  require(whole.requests == pieces.requests, "requests are the same however they arrive");
  require(whole.fault == pieces.fault, "a fault is the same however the bytes arrive");
}

void check_head(const std::string& head) {
  net::RequestParser parser(64_KiB);
  const auto progress = parser.feed(head);
  require(progress == net::RequestParser::Progress::kComplete ||
              progress == net::RequestParser::Progress::kNeedBody,
          "a request that was accepted is accepted again");
  const HttpRequest& request = parser.request();
  require(head_of(request) == head, "a request is read as it was written");
  require(is_token(request.method), "a method is a token");
  require(!request.target.empty() && !request.target.contains(' ') && !has_control_character(request.target),
          "a target has no space and no control character");
  for (std::size_t i = 0; i < request.headers.size(); ++i) {
    const auto field = request.headers.at(i);
    require(is_token(field.name), "a field's name is a token");
    require(field.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos,
            "a field's value is one line");
  }
  check_route(request.target);
}

/// Method and fields; the target may have been in absolute form.
void check_strictly(const std::string& head, const StrictMessage& strict) {
  const auto read = read_strictly(head, BodyRule::kNone, Kind::kRequest);
  require(read.has_value(), "a request that was accepted is one by the letter");
  require(read->start_line.substr(0, read->start_line.find(' ')) ==
              strict.start_line.substr(0, strict.start_line.find(' ')),
          "a request's method is what the RFC reads");
  require(std::ranges::equal(read->fields, strict.fields,
                             [](const StrictField& a, const StrictField& b) {
                               return a.name == b.name && a.value == b.value;
                             }),
          "a request's fields are what the RFC reads");
}

void check_framing(const Reading& reading, std::string_view input) {
  for (std::size_t i = 0; i < reading.requests.size(); ++i) {
    // Behind the last one nothing is read, so that its end does not matter.
    const auto rule = i + 1 == reading.requests.size() ? BodyRule::kNone : BodyRule::kAsAnnounced;
    const auto strict = read_strictly(input, rule, Kind::kRequest);
    require(strict.has_value(), "a request that was accepted is one by the letter of RFC 9112");
    check_strictly(reading.requests[i], *strict);
    input.remove_prefix(strict->size);
  }
}

}  // namespace

void fuzz(std::string_view input) {
  input = input.substr(0, kMostOnWire);
  const std::size_t cut = cut_position(input);
  const Reading whole = read_all(input, {});
  check_same(whole, read_all(input.substr(0, cut), input.substr(cut)));
  check_framing(whole, input);
  for (const std::string& head : whole.requests) check_head(head);
}

}  // namespace layover::fuzz
