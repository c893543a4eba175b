// The server's threads: one accepts, each connection has its own.
#include "tests/support/scripted_upstream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <span>
#include <stdexcept>

#include <fmt/format.h>

#include "base/ascii.h"
#include "cache/hasher.h"
#include "net/response_head.h"

namespace layover::test {

namespace {

std::string digest_text(std::string_view bytes) {
  return cache::digest_of(oci::Algorithm::kSha256, std::as_bytes(std::span(bytes))).to_string();
}

/// The next request on `fd`; false at the connection's end.
bool read_request(int fd, std::string& buffer, UpstreamRequest& request) {
  std::size_t end = 0;
  while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
    std::array<char, 8192> chunk;  // NOLINT(*-member-init): filled by recv
    const ssize_t n = TEMP_FAILURE_RETRY(::recv(fd, chunk.data(), chunk.size(), 0));
    if (n <= 0) return false;
    buffer.append(chunk.data(), static_cast<std::size_t>(n));
  }
  std::string_view head = std::string_view(buffer).substr(0, end + 2);
  const auto first = head.substr(0, head.find("\r\n"));
  const auto space = first.find(' ');
  request = {.method = std::string(first.substr(0, space)),
             .target = std::string(first.substr(space + 1, first.rfind(' ') - space - 1)),
             .headers = {}};
  head.remove_prefix(first.size() + 2);
  while (!head.empty()) {
    const auto line = head.substr(0, head.find("\r\n"));
    const auto colon = line.find(':');
    request.headers.emplace_back(line.substr(0, colon), trim(line.substr(colon + 1)));
    head.remove_prefix(line.size() + 2);
  }
  buffer.erase(0, end + 4);
  return true;
}

}  // namespace

struct ScriptedUpstream::Conversation {
  UniqueFd fd;
  std::thread thread;
};

void Gate::open() {
  const std::lock_guard lock(mutex_);
  is_open_ = true;
  opened_.notify_all();
}

void Gate::wait() {
  std::unique_lock lock(mutex_);
  ++waiting_;
  opened_.wait(lock, [this] { return is_open_; });
  --waiting_;
}

int Gate::waiting() {
  const std::lock_guard lock(mutex_);
  return waiting_;
}

void Reply::write(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;  // layover has gone
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void Reply::head(int status, const HeaderList& headers) {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\n", status, net::reason_phrase(status));
  for (const auto& [name, value] : headers) text += fmt::format("{}: {}\r\n", name, value);
  write(text + "\r\n");
}

void Reply::answer(int status, const HeaderList& headers, std::string_view body) {
  HeaderList all = headers;
  all.emplace_back("Content-Length", std::to_string(body.size()));
  head(status, all);
  if (request_.method != "HEAD") write(body);
}

void Reply::chunk(std::string_view bytes) const { write(fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes)); }

ScriptedUpstream::ScriptedUpstream() { listen(); }

ScriptedUpstream::~ScriptedUpstream() { go_down(); }

std::string ScriptedUpstream::authority() const { return fmt::format("127.0.0.1:{}", port_); }

void ScriptedUpstream::listen() {
  listening_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(listening_.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  if (::bind(listening_.get(), generic, length) != 0 || ::listen(listening_.get(), 256) != 0) {
    throw std::runtime_error("the scripted upstream cannot listen");
  }
  ::getsockname(listening_.get(), generic, &length);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

void ScriptedUpstream::accept_all() {
  for (;;) {
    UniqueFd fd(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.is_open()) return;
    const int on = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ++accepted_;
    auto conversation = std::make_unique<Conversation>();
    conversation->fd = std::move(fd);
    const std::lock_guard lock(mutex_);
    conversation->thread = std::thread([this, raw = conversation->fd.get()] { converse(raw); });
    conversations_.push_back(std::move(conversation));
  }
}

void ScriptedUpstream::converse(int fd) {
  std::string buffer;
  UpstreamRequest request;
  while (read_request(fd, buffer, request)) {
    std::function<bool(const UpstreamRequest&, Reply&)> first;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
      first = before_all_;
    }
    Reply reply(fd, request);
    if (!first || !first(request, reply)) find(request)(request, reply);
    if (reply.ending_ == Reply::Ending::kKeep) continue;
    if (reply.ending_ == Reply::Ending::kReset) {
      const linger hard{.l_onoff = 1, .l_linger = 0};
      ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
      // Only the last close of a descriptor resets; disconnecting does it at once.
      sockaddr nobody{};
      nobody.sa_family = AF_UNSPEC;
      ::connect(fd, &nobody, sizeof nobody);
    } else {
      ::shutdown(fd, SHUT_RDWR);
    }
    return;
  }
}

ScriptedUpstream::Script ScriptedUpstream::find(const UpstreamRequest& request) const {
  const std::lock_guard lock(mutex_);
  for (const std::string& method : {request.method, std::string("*")}) {
    const auto found = scripts_.find({method, request.path()});
    if (found != scripts_.end()) return found->second;
  }
  return [](const UpstreamRequest&, Reply& reply) {
    reply.answer(404, {{"Content-Type", "application/json"}},
                 R"({"errors":[{"code":"NAME_UNKNOWN","message":"upstream knows nothing of it"}]})");
  };
}

void ScriptedUpstream::on(const std::string& method, const std::string& path, Script script) {
  const std::lock_guard lock(mutex_);
  if (method == "*") {
    std::erase_if(scripts_, [&](const auto& entry) { return entry.first.second == path; });
  }
  scripts_[{method, path}] = std::move(script);
}

void ScriptedUpstream::before_all(std::function<bool(const UpstreamRequest&, Reply&)> script) {
  const std::lock_guard lock(mutex_);
  before_all_ = std::move(script);
}

std::string ScriptedUpstream::add_blob(const std::string& repository, const std::string& bytes) {
  const std::string digest = digest_text(bytes);
  on("*", fmt::format("/v2/{}/blobs/{}", repository, digest), [bytes, digest](const auto&, Reply& reply) {
    reply.answer(200, {{"Content-Type", "application/octet-stream"}, {"Docker-Content-Digest", digest}},
                 bytes);
  });
  return digest;
}

std::string ScriptedUpstream::add_manifest(const std::string& repository, const std::string& bytes,
                                           const std::string& media_type) {
  const std::string digest = digest_text(bytes);
  on("*", fmt::format("/v2/{}/manifests/{}", repository, digest),
     [bytes, digest, media_type](const auto&, Reply& reply) {
       reply.answer(200, {{"Content-Type", media_type}, {"Docker-Content-Digest", digest}}, bytes);
     });
  return digest;
}

std::string ScriptedUpstream::add_tag(const std::string& repository, const std::string& tag,
                                      const std::string& bytes, const std::string& media_type) {
  const std::string digest = add_manifest(repository, bytes, media_type);
  on("*", fmt::format("/v2/{}/manifests/{}", repository, tag),
     [bytes, digest, media_type](const auto&, Reply& reply) {
       reply.answer(200, {{"Content-Type", media_type}, {"Docker-Content-Digest", digest}}, bytes);
     });
  return digest;
}

Gate& ScriptedUpstream::gate() {
  const std::lock_guard lock(mutex_);
  return gates_.emplace_back();
}

std::vector<UpstreamRequest> ScriptedUpstream::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

int ScriptedUpstream::count(std::string_view method, std::string_view part) const {
  const std::lock_guard lock(mutex_);
  return static_cast<int>(std::ranges::count_if(requests_, [&](const UpstreamRequest& request) {
    return (method == "*" || request.method == method) && request.path().find(part) != std::string::npos;
  }));
}

void ScriptedUpstream::forget_requests() {
  const std::lock_guard lock(mutex_);
  requests_.clear();
}

void ScriptedUpstream::go_down() {
  if (!listening_.is_open()) return;
  ::shutdown(listening_.get(), SHUT_RDWR);
  acceptor_.join();
  listening_.close();
  std::vector<std::unique_ptr<Conversation>> conversations;
  {
    const std::lock_guard lock(mutex_);
    for (Gate& gate : gates_) gate.open();
    conversations = std::exchange(conversations_, {});
  }
  for (const auto& conversation : conversations) ::shutdown(conversation->fd.get(), SHUT_RDWR);
  for (const auto& conversation : conversations) conversation->thread.join();
}

void ScriptedUpstream::come_back() { listen(); }

ScriptedUpstream::Script pausing(std::string bytes, std::size_t stop, Gate& gate) {
  return [bytes = std::move(bytes), stop, &gate](const UpstreamRequest& request, Reply& reply) {
    reply.head(200, {{"Content-Length", std::to_string(bytes.size())}});
    if (request.method == "HEAD") return;
    reply.write(std::string_view(bytes).substr(0, stop));
    gate.wait();
    reply.write(std::string_view(bytes).substr(stop));
  };
}

}  // namespace layover::test
