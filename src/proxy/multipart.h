// Several ranges of one content in one answer: multipart/byteranges (RFC 9110 14.6), its length known before
// its first byte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/error.h"
#include "base/random.h"
#include "cache/reader.h"
#include "net/task.h"
#include "proxy/exchange.h"

namespace layover::proxy {

/// Immutable.
class Multipart {
 public:
  /// `parts` lie within content of `size` bytes and are not empty. The boundary is drawn from `random`.
  Multipart(std::vector<ByteRange> parts, std::uint64_t size, std::string_view media_type, Random& random);

  /// The values of Content-Type and Content-Length.
  std::string content_type() const;
  std::uint64_t length() const;

  const std::vector<ByteRange>& parts() const { return parts_; }
  /// What stands before the bytes of a part, and after those of the last.
  std::string before(ByteRange part) const;
  std::string end() const;

 private:
  std::vector<ByteRange> parts_;
  std::uint64_t size_;
  std::string media_type_;
  std::string boundary_;
};

/// Sends the body, each part as it becomes readable. An error where the content fails midway or the client
/// has gone. All references outlive the task.
net::Task<Result<void>> send_parts(Exchange& exchange, cache::Reader& reader, const Multipart& multipart);

/// The body, of content that is in memory.
std::string join_parts(const Multipart& multipart, std::string_view content);

}  // namespace layover::proxy
