// Parts are neither merged nor sorted: podman takes the first part for the first range that it asked for.
#include "proxy/multipart.h"

#include <cstddef>
#include <utility>

#include <fmt/format.h>

#include "net/range.h"
#include "net/wait.h"
#include "proxy/body_sender.h"

namespace layover::proxy {

namespace {

/// Small parts that are all in memory would else keep the loop from its other connections.
constexpr std::size_t kPartsPerTurn = 64;

}  // namespace

// A boundary must not occur in the content, whose author cannot guess 128 random bits.
Multipart::Multipart(std::vector<ByteRange> parts, std::uint64_t size, std::string_view media_type,
                     Random& random)
    : parts_(std::move(parts)),
      size_(size),
      media_type_(media_type),
      boundary_(random.next_hex() + random.next_hex()) {}

std::string Multipart::content_type() const { return "multipart/byteranges; boundary=" + boundary_; }

std::uint64_t Multipart::length() const {
  std::uint64_t total = end().size();
  for (const ByteRange part : parts_) total += before(part).size() + part.length();
  return total;
}

std::string Multipart::before(ByteRange part) const {
  return fmt::format("\r\n--{}\r\nContent-Type: {}\r\nContent-Range: {}\r\n\r\n", boundary_, media_type_,
                     net::format_content_range(part, size_));
}

std::string Multipart::end() const { return fmt::format("\r\n--{}--\r\n", boundary_); }

net::Task<Result<void>> send_parts(Exchange& exchange, cache::Reader& reader, const Multipart& multipart) {
  std::size_t sent_parts = 0;
  for (const ByteRange part : multipart.parts()) {
    if (++sent_parts % kPartsPerTurn == 0) co_await net::next_turn();
    const std::string head = multipart.before(part);
    auto sent = co_await exchange.send_text(head, reader.has_byte_at(part.begin));
    if (!sent) co_return sent;
    sent = co_await send_range(exchange, reader, part);
    if (!sent) co_return sent;
  }
  const std::string end = multipart.end();
  co_return co_await exchange.send_text(end);
}

std::string join_parts(const Multipart& multipart, std::string_view content) {
  std::string body;
  body.reserve(multipart.length());
  for (const ByteRange part : multipart.parts()) {
    body += multipart.before(part);
    body += content.substr(part.begin, part.length());
  }
  return body + multipart.end();
}

}  // namespace layover::proxy
