// The head is collected whole before llhttp sees it: one look for its end and for forbidden bytes, one
// limit on its size, and a parse that never stops in the middle of a field.
#include "net/request_parser.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"

namespace layover::net {

namespace {

constexpr std::size_t kMaxFields = 128;
/// Old clients sent one after a body; none sends many.
constexpr std::size_t kMaxEmptyLines = 16;
/// The longest legal target (a name of 255, a digest, a query) is under 1 KiB.
constexpr std::size_t kMaxTargetBytes = 8192;
/// The largest buffer that is worth keeping for the next request.
constexpr std::size_t kKept = std::size_t{16} << 10;

/// "WORD SP target SP HTTP/..." with a word that no method has.
bool is_unknown_method(std::string_view head) {
  const auto line = head.substr(0, head.find('\r'));
  const auto space = line.find(' ');
  return space != std::string_view::npos && space > 0 && space < 32 && is_token(line.substr(0, space)) &&
         line.find(" HTTP/1.") != std::string_view::npos;
}

/// RFC 3986 3.2.2 and 3.2.3, without user information.
bool is_host_character(char c) {
  constexpr std::string_view kOthers = "-._~%!$&'()*+,;=:[]";
  return is_alphanumeric(c) || kOthers.find(c) != std::string_view::npos;
}

/// The path and query of a target in absolute form (RFC 9112 3.2.2).
std::string origin_form(std::string target) {
  const auto scheme_end = target.find("://");
  if (target.starts_with('/') || scheme_end == std::string::npos) return target;
  const auto path = target.find_first_of("/?", scheme_end + 3);
  if (path == std::string::npos) return "/";
  target.erase(0, path);
  return target.starts_with('/') ? target : "/" + target;
}

}  // namespace

RequestParser::RequestParser(Bytes max_header_bytes) : max_header_bytes_(max_header_bytes.count) { reset(); }

const llhttp_settings_t& RequestParser::callbacks() {
  static const llhttp_settings_t settings = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_url = [](llhttp_t* p, const char* at, std::size_t n) {
      static_cast<RequestParser*>(p->data)->memory_->request.target.append(at, n);
      return 0;
    };
    s.on_header_field = [](llhttp_t* p, const char* at, std::size_t n) {
      static_cast<RequestParser*>(p->data)->memory_->field_name.append(at, n);
      return 0;
    };
    s.on_header_value = [](llhttp_t* p, const char* at, std::size_t n) {
      static_cast<RequestParser*>(p->data)->memory_->field_value.append(at, n);
      return 0;
    };
    s.on_header_value_complete = [](llhttp_t* p) {
      auto& self = *static_cast<RequestParser*>(p->data);
      if (!self.is_head_complete_)
        self.memory_->request.headers.add(self.memory_->field_name, trim(self.memory_->field_value));
      self.memory_->field_name.clear();
      self.memory_->field_value.clear();
      return 0;
    };
    s.on_headers_complete = [](llhttp_t* p) {
      static_cast<RequestParser*>(p->data)->is_head_complete_ = true;
      return 0;
    };
    s.on_body = [](llhttp_t* p, const char*, std::size_t n) {
      static_cast<RequestParser*>(p->data)->body_bytes_ += n;
      return 0;
    };
    s.on_message_complete = [](llhttp_t* p) {
      static_cast<RequestParser*>(p->data)->is_message_complete_ = true;
      return static_cast<int>(HPE_PAUSED);
    };
    return s;
  }();
  return settings;
}

void RequestParser::Memory::clear() {
  request.method.clear();
  request.target.clear();
  request.headers.clear();
  field_name.clear();
  field_value.clear();
}

void RequestParser::reset() {
  llhttp_init(&parser_, HTTP_REQUEST, &callbacks());
  parser_.data = this;
  is_head_complete_ = is_message_complete_ = false;
  body_bytes_ = rest_bytes_ = 0;
  scanned_ = skipped_ = 0;
}

RequestParser::Progress RequestParser::feed(std::string_view bytes) {
  borrow_memory();
  memory_->buffer.append(bytes);
  return parse();
}

/// A thread's connections take turns with it: most requests come and are answered in one go.
std::unique_ptr<RequestParser::Memory>& RequestParser::spare_memory() {
  thread_local std::unique_ptr<Memory> spare;
  return spare;
}

void RequestParser::borrow_memory() {
  if (!memory_) memory_ = std::move(spare_memory());
  if (!memory_) memory_ = std::make_unique<Memory>();
}

// An idle connection keeps none, and what a large request has taken is not kept at all.
void RequestParser::give_back_memory() {
  if (!memory_) return;
  memory_->clear();
  if (memory_->buffer.capacity() <= kKept) spare_memory() = std::move(memory_);
  memory_.reset();
}

RequestParser::Progress RequestParser::next() {
  reset();
  if (is_empty()) {
    give_back_memory();
    return Progress::kNeedHead;
  }
  memory_->clear();
  return parse();
}

RequestParser::Progress RequestParser::parse() {
  if (is_head_complete_) return parse_rest();
  if (scanned_ == 0 && !skip_empty_lines()) return refuse(400, "nothing but empty lines");
  if (memory_->buffer.empty() || memory_->buffer == "\r") return Progress::kNeedHead;
  if (scanned_ == 0 && !is_token_character(memory_->buffer.front())) {
    return refuse(400, "this is not HTTP (is the client speaking TLS to a plain port?)");
  }
  const auto end = memory_->buffer.find("\r\n\r\n", scanned_ < 3 ? 0 : scanned_ - 3);
  const std::size_t head_length = end == std::string::npos ? 0 : end + 4;
  if (auto problem = find_line_fault(head_length == 0 ? memory_->buffer.size() : head_length)) {
    return refuse(400, std::move(*problem));
  }
  const auto line_end = memory_->buffer.find("\r\n");
  if (std::min(line_end, memory_->buffer.size()) > kMaxTargetBytes + 32)
    return refuse(414, "the request line is too long");
  if (std::max(head_length, head_length == 0 ? memory_->buffer.size() : 0) > max_header_bytes_) {
    return refuse(431, "the request's header fields are too large");
  }
  if (head_length == 0) {
    scanned_ = memory_->buffer.size();
    return Progress::kNeedHead;
  }
  return parse_head(head_length);
}

// RFC 9112 2.2: at least one empty line before a request is ignored.
bool RequestParser::skip_empty_lines() {
  std::size_t end = 0;
  while (std::string_view(memory_->buffer).substr(end).starts_with("\r\n")) end += 2;
  memory_->buffer.erase(0, end);
  skipped_ += end;
  return skipped_ <= kMaxEmptyLines * 2;
}

std::optional<std::string> RequestParser::find_line_fault(std::size_t to) const {
  const std::string_view head = std::string_view(memory_->buffer).substr(0, to);
  for (std::size_t i = scanned_ == 0 ? 0 : scanned_ - 1; i < head.size(); ++i) {
    const char c = head[i];
    if (c == '\0') return "a NUL byte in the request's head";
    if (c == '\n' && (i == 0 || head[i - 1] != '\r')) return "a line feed without a carriage return";
    if (c == '\r' && i + 1 < head.size() && head[i + 1] != '\n')
      return "a carriage return without a line feed";
    // RFC 9112 5.2: folded lines are refused.
    if (c == '\n' && i + 1 < head.size() && (head[i + 1] == ' ' || head[i + 1] == '\t'))
      return "a folded header line";
  }
  return std::nullopt;
}

RequestParser::Progress RequestParser::parse_head(std::size_t head_length) {
  const llhttp_errno_t code = llhttp_execute(&parser_, memory_->buffer.data(), head_length);
  if (code != HPE_OK && code != HPE_PAUSED && code != HPE_PAUSED_UPGRADE) {
    return refuse_by(code, std::string_view(memory_->buffer).substr(0, head_length));
  }
  const std::string_view line = std::string_view(memory_->buffer).substr(0, memory_->buffer.find('\r'));
  if (line.find(" HTTP/") == std::string_view::npos) return refuse(400, "not HTTP but another protocol");
  // RFC 9112 3: llhttp skips further ones, others take them for a part of the target.
  if (std::ranges::count(line, ' ') != 2)
    return refuse(400, "the parts of the request line are not separated by one space each");
  memory_->buffer.erase(0, head_length);
  if (code != HPE_OK) llhttp_resume(&parser_);
  memory_->request.method = llhttp_method_name(static_cast<llhttp_method_t>(llhttp_get_method(&parser_)));
  memory_->request.is_http_1_0 = parser_.http_major == 1 && parser_.http_minor == 0;
  // An upgrade or a tunnel would make the bytes that follow something else than HTTP: never reuse. Nor after
  // chunks: in their extensions llhttp takes bytes for a line's end that other readers do not.
  memory_->request.keep_alive = llhttp_should_keep_alive(&parser_) != 0 &&
                                llhttp_get_upgrade(&parser_) == 0 &&
                                memory_->request.headers.count("transfer-encoding") == 0;
  memory_->request.target = origin_form(std::move(memory_->request.target));
  if (const Progress checked = check_head(); checked == Progress::kFault) return checked;
  return is_message_complete_ ? Progress::kComplete : parse_rest();
}

RequestParser::Progress RequestParser::check_head() {
  const HttpHeaders& headers = memory_->request.headers;
  // llhttp takes a tab for a part of the target, others for its end.
  if (has_control_character(memory_->request.target)) {
    return refuse(400, "a control character in the request's target");
  }
  if (parser_.http_major != 1) return refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  if (headers.size() > kMaxFields) return refuse(431, "too many header fields");
  for (std::size_t i = 0; i < headers.size(); ++i) {
    if (!is_token(headers.at(i).name)) return refuse(400, "a header field's name is not valid");
  }
  const std::size_t hosts = headers.count("host");
  // RFC 9112 3.2: exactly one Host in an HTTP/1.1 request.
  if (hosts > 1 || (hosts == 0 && !memory_->request.is_http_1_0))
    return refuse(400, "a request needs exactly one Host");
  if (hosts == 1 && !std::ranges::all_of(*headers.get("host"), is_host_character))
    return refuse(400, "the Host field names no host");
  if (memory_->request.is_http_1_0 && headers.count("transfer-encoding") > 0) {
    return refuse(400, "Transfer-Encoding is not part of HTTP/1.0");
  }
  if (headers.count("transfer-encoding") > 0 && headers.count("content-length") > 0) {
    return refuse(400, "both Transfer-Encoding and Content-Length");
  }
  if (headers.count("content-length") > 1) return refuse(400, "more than one Content-Length");
  return Progress::kNeedHead;
}

RequestParser::Progress RequestParser::parse_rest() {
  if (is_message_complete_) return Progress::kComplete;
  rest_bytes_ += memory_->buffer.size();
  const llhttp_errno_t code = llhttp_execute(&parser_, memory_->buffer.data(), memory_->buffer.size());
  if (code == HPE_OK) {
    memory_->buffer.clear();
    // Chunk extensions and trailers are header bytes by another name.
    if (rest_bytes_ - body_bytes_ > max_header_bytes_) return refuse(431, "the body's framing is too large");
    return is_message_complete_ ? Progress::kComplete : Progress::kNeedBody;
  }
  if (code != HPE_PAUSED && code != HPE_PAUSED_UPGRADE) return refuse_by(code, {});
  memory_->buffer.erase(0, static_cast<std::size_t>(llhttp_get_error_pos(&parser_) - memory_->buffer.data()));
  return Progress::kComplete;
}

RequestParser::Progress RequestParser::refuse(int status, std::string message) {
  fault_ = {.status = status, .message = std::move(message)};
  return Progress::kFault;
}

RequestParser::Progress RequestParser::refuse_by(llhttp_errno_t code, std::string_view head) {
  if (code == HPE_INVALID_METHOD && is_unknown_method(head)) return refuse(501, "an unknown method");
  if (code == HPE_INVALID_VERSION) return refuse(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  const char* reason = llhttp_get_error_reason(&parser_);
  return refuse(400, reason != nullptr && *reason != '\0' ? reason : llhttp_errno_name(code));
}

}  // namespace layover::net
