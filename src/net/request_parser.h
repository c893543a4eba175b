// Reads HTTP/1.1 requests out of a connection's bytes: strict, bounded, and without knowing sockets.
// llhttp does the grammar; what it tolerates and a cache must not (bare line feeds, folded lines, a
// second Host) is refused here, since two readings of one message are how requests are smuggled.
#pragma once

#include <llhttp.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "net/http_headers.h"

namespace layover::net {

/// One request's head. Owned by its parser and valid until the next one is read.
struct HttpRequest {
  std::string method;
  std::string target;  // path and query as sent; the authority of an absolute form is dropped
  HttpHeaders headers;
  bool keep_alive = true;  // another request may follow on the connection
  bool is_http_1_0 = false;

  bool is_get() const { return method == "GET"; }
  bool is_head() const { return method == "HEAD"; }
};

/// Why a request is refused: the status to answer with, after which the connection ends.
struct RequestFault {
  int status = 400;
  std::string message;
};

class RequestParser {
 public:
  explicit RequestParser(Bytes max_header_bytes);
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  enum class Progress {
    kNeedHead,  // the head is not complete: feed more
    kNeedBody,  // the head is there, the body is not complete: feed more to discard it
    kComplete,  // the whole message has been read
    kFault,     // see fault()
  };

  /// Adds bytes as they came from the peer.
  Progress feed(std::string_view bytes);
  /// After a finished request: drops it and looks at what has been fed beyond it (pipelining).
  Progress next();

  const HttpRequest& request() const { return memory_->request; }
  const RequestFault& fault() const { return fault_; }
  /// Bytes of body discarded so far.
  std::size_t body_bytes() const { return body_bytes_; }
  /// True where nothing of a next request has come.
  bool is_empty() const { return !memory_ || memory_->buffer.empty(); }

 private:
  Progress parse();
  bool skip_empty_lines();
  Progress parse_head(std::size_t head_length);
  Progress parse_rest();
  Progress refuse(int status, std::string message);
  Progress refuse_by(llhttp_errno_t code, std::string_view head);
  std::optional<std::string> find_line_fault(std::size_t from) const;
  Progress check_head();
  void reset();
  void borrow_memory();
  void give_back_memory();
  static const llhttp_settings_t& callbacks();

  /// What grows with a request.
  struct Memory {
    std::string buffer;  // fed and not yet consumed
    HttpRequest request;
    std::string field_name;
    std::string field_value;

    /// But for bytes of the next request.
    void clear();
  };
  static std::unique_ptr<Memory>& spare_memory();

  const std::size_t max_header_bytes_;
  llhttp_t parser_{};
  std::unique_ptr<Memory> memory_;  // null while nothing of a request has come
  std::size_t scanned_ = 0;         // of the buffer, known to hold no head end and no line fault
  std::size_t skipped_ = 0;         // bytes of empty lines before the request
  RequestFault fault_;
  bool is_head_complete_ = false;
  bool is_message_complete_ = false;
  std::size_t body_bytes_ = 0;
  std::size_t rest_bytes_ = 0;  // fed after the head: the body with its framing
};

}  // namespace layover::net
