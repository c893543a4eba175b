// Blocking sockets with a time limit.
#include "tests/support/blocking_client.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <stdexcept>

#include <fmt/format.h>

#include "base/ascii.h"
#include "net/socket_address.h"

namespace layover::test {

namespace {

constexpr timeval kPatience{.tv_sec = 20, .tv_usec = 0};

std::uint64_t number_of(std::string_view text, int base) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number, base);
  return number;
}

}  // namespace

std::string find_header(const HeaderList& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (equals_ignoring_case(key, name)) return value;
  }
  return {};
}

bool HttpAnswer::has_header(std::string_view name) const {
  return std::ranges::any_of(headers,
                             [&](const auto& field) { return equals_ignoring_case(field.first, name); });
}

HttpClient::HttpClient(const std::string& address) {
  const auto colon = address.rfind(':');
  const auto port = static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1)));
  const auto target = net::numeric_address(address.substr(0, colon), port).at(0);
  fd_ = UniqueFd(::socket(target.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
  if (::connect(fd_.get(), target.get(), target.length) != 0) {
    throw std::runtime_error("cannot connect to " + address);
  }
}

void HttpClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;  // the peer has gone: what it said shows when reading
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void HttpClient::request(std::string_view method, std::string_view target, const HeaderList& headers) {
  std::string head = fmt::format("{} {} HTTP/1.1\r\nHost: layover.test\r\n", method, target);
  for (const auto& [name, value] : headers) head += fmt::format("{}: {}\r\n", name, value);
  send(head + "\r\n");
}

bool HttpClient::fill(bool& was_reset) {
  std::array<char, 65536> chunk;  // NOLINT(*-member-init): filled by recv
  const ssize_t n = TEMP_FAILURE_RETRY(::recv(fd_.get(), chunk.data(), chunk.size(), 0));
  if (n < 0 && errno == EAGAIN) throw std::runtime_error("the proxy sends nothing");
  was_reset = n < 0;
  if (n <= 0) return false;
  buffer_.append(chunk.data(), static_cast<std::size_t>(n));
  return true;
}

HttpAnswer HttpClient::read_head() {
  HttpAnswer answer;
  std::size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill(answer.was_reset)) return answer;
  }
  std::string_view head = std::string_view(buffer_).substr(0, end + 2);
  if (!head.starts_with("HTTP/1.1 ")) throw std::runtime_error("no HTTP: " + buffer_.substr(0, 80));
  answer.status = static_cast<int>(number_of(head.substr(9, 3), 10));
  head.remove_prefix(head.find("\r\n") + 2);
  while (!head.empty()) {
    const auto line = head.substr(0, head.find("\r\n"));
    const auto colon = line.find(':');
    answer.headers.emplace_back(line.substr(0, colon), trim(line.substr(colon + 1)));
    head.remove_prefix(line.size() + 2);
  }
  buffer_.erase(0, end + 4);
  is_chunked_ = answer.header("transfer-encoding") == "chunked";
  has_length_ = answer.has_header("content-length");
  remaining_ = has_length_ ? number_of(answer.header("content-length"), 10) : 0;
  return answer;
}

bool HttpClient::take_chunk(HttpAnswer& answer) {
  while (buffer_.find("\r\n") == std::string::npos) {
    if (!fill(answer.was_reset)) return false;
  }
  const auto line = buffer_.find("\r\n");
  const auto size = number_of(std::string_view(buffer_).substr(0, line), 16);
  while (buffer_.size() < line + 2 + size + 2) {
    if (!fill(answer.was_reset)) {
      answer.body += buffer_.substr(std::min(line + 2, buffer_.size()), size);
      return false;
    }
  }
  answer.body += buffer_.substr(line + 2, size);
  buffer_.erase(0, line + 2 + size + 2);
  answer.is_complete = size == 0;
  return size != 0;
}

bool HttpClient::read_some(HttpAnswer& answer, std::size_t limit) {
  if (is_chunked_) return take_chunk(answer);
  if (has_length_ && remaining_ == 0) {
    answer.is_complete = true;
    return false;
  }
  if (buffer_.empty() && !fill(answer.was_reset)) return false;
  const std::size_t n =
      std::min<std::uint64_t>({buffer_.size(), limit, has_length_ ? remaining_ : UINT64_MAX});
  answer.body += buffer_.substr(0, n);
  buffer_.erase(0, n);
  remaining_ -= has_length_ ? n : 0;
  answer.is_complete = has_length_ && remaining_ == 0;
  return !answer.is_complete;
}

HttpAnswer HttpClient::read_answer(bool is_head) {
  HttpAnswer answer = read_head();
  if (answer.status == 0) return answer;
  if (is_head) {
    answer.is_complete = true;
    return answer;
  }
  while (read_some(answer, SIZE_MAX)) {
  }
  return answer;
}

bool HttpClient::ends_quietly() {
  bool was_reset = false;
  return buffer_.empty() && !fill(was_reset) && !was_reset;
}

void HttpClient::end() const { ::shutdown(fd_.get(), SHUT_WR); }

void HttpClient::reset() {
  const linger hard{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  fd_.close();
}

HttpAnswer fetch(const std::string& address, std::string_view method, std::string_view target,
                 const HeaderList& headers) {
  HttpClient client(address);
  HeaderList all = headers;
  all.emplace_back("Connection", "close");
  client.request(method, target, all);
  return client.read_answer(method == "HEAD");
}

}  // namespace layover::test
