// Answer heads.
#include "net/response_head.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <utility>

namespace layover::net {

namespace {

void append_number(std::string& text, unsigned long long value) {
  std::array<char, 20> digits;  // NOLINT(*-member-init): to_chars fills it
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  text.append(digits.data(), end);
}

bool ends_a_line(char c) { return c == '\r' || c == '\n' || c == '\0'; }

}  // namespace

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200: return "OK";
    case 206: return "Partial Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 414: return "URI Too Long";
    case 416: return "Range Not Satisfiable";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 508: return "Loop Detected";
    default: return "Unknown";
  }
}

std::string_view http_date_now() {
  thread_local std::time_t cached_at = 0;
  thread_local std::array<char, 32> text{};
  thread_local std::size_t length = 0;
  const std::time_t now = std::time(nullptr);
  if (now != cached_at) {
    std::tm utc{};
    gmtime_r(&now, &utc);
    length = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    cached_at = now;
  }
  return {text.data(), length};
}

ResponseHead::ResponseHead(int status) : status_(status) {
  text_.reserve(512);
  text_ += "HTTP/1.1 ";
  append_number(text_, static_cast<unsigned>(status));
  text_ += ' ';
  text_ += reason_phrase(status);
  text_ += "\r\n";
  add("Date", http_date_now());
}

ResponseHead& ResponseHead::add(std::string_view name, std::string_view value) {
  if (std::ranges::any_of(value, ends_a_line)) return *this;
  text_ += name;
  text_ += ": ";
  text_ += value;
  text_ += "\r\n";
  return *this;
}

ResponseHead& ResponseHead::add(std::string_view name, unsigned long long value) {
  text_ += name;
  text_ += ": ";
  append_number(text_, value);
  text_ += "\r\n";
  return *this;
}

std::string ResponseHead::finish() && {
  text_ += "\r\n";
  return std::move(text_);
}

}  // namespace layover::net
