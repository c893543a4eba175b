// A blocking HTTP client for tests: sends what it is told, byte by byte if need be, and says exactly how an
// answer ended. Knows nothing of our own HTTP code.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unique_fd.h"

namespace layover::test {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

/// The first value of that name; empty if there is none.
std::string find_header(const HeaderList& headers, std::string_view name);

struct HttpAnswer {
  int status = 0;  // 0: the connection ended without an answer
  HeaderList headers;
  std::string body;
  bool is_complete = false;  // the body has the announced length, or its last chunk
  bool was_reset = false;    // ended by a reset instead of an orderly close

  std::string header(std::string_view name) const { return find_header(headers, name); }
  bool has_header(std::string_view name) const;
};

/// One connection. Gives up a read after 20 s.
class HttpClient {
 public:
  /// `address` is "127.0.0.1:5000".
  explicit HttpClient(const std::string& address);

  void send(std::string_view bytes);
  /// A request line with Host and the given headers.
  void request(std::string_view method, std::string_view target, const HeaderList& headers = {});
  /// The next answer's head, without its body.
  HttpAnswer read_head();
  /// Adds up to `limit` bytes of the answer's body to it, in one read; false at its end, however that came.
  bool read_some(HttpAnswer& answer, std::size_t limit);
  /// A whole answer. `is_head`: to a HEAD, which has no body.
  HttpAnswer read_answer(bool is_head = false);
  /// True where the peer ends the connection in an orderly way within 20 s, and sends nothing before.
  bool ends_quietly();
  /// Our end: orderly, or with a reset.
  void end() const;
  void reset();

 private:
  bool fill(bool& was_reset);
  bool take_chunk(HttpAnswer& answer);

  UniqueFd fd_;
  std::string buffer_;
  bool is_chunked_ = false;
  bool has_length_ = false;
  std::uint64_t remaining_ = 0;
};

/// One request on a connection of its own.
HttpAnswer fetch(const std::string& address, std::string_view method, std::string_view target,
                 const HeaderList& headers = {});

}  // namespace layover::test
