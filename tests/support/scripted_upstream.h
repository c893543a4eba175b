// A registry on loopback whose every answer a test scripts in a few lines. Blocking, a thread a connection:
// a script reads top to bottom, and may stop in the middle of an answer until the test lets it go on.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "tests/support/blocking_client.h"

namespace layover::test {

/// A request as it came.
struct UpstreamRequest {
  std::string method;
  std::string target;
  HeaderList headers;

  std::string path() const { return target.substr(0, target.find('?')); }
  std::string query() const { return target.substr(std::min(target.find('?'), target.size())); }
  std::string header(std::string_view name) const { return find_header(headers, name); }
};

/// Where a script waits for the test. Thread-safe; once open, it stays open.
class Gate {
 public:
  void open();
  void wait();
  /// How many scripts wait here.
  int waiting();

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool is_open_ = false;
  int waiting_ = 0;
};

/// A script's end of one exchange.
class Reply {
 public:
  Reply(int fd, const UpstreamRequest& request) : fd_(fd), request_(request) {}

  /// A whole answer; to a HEAD without its body.
  void answer(int status, const HeaderList& headers, std::string_view body);
  /// A head with just these headers.
  void head(int status, const HeaderList& headers);
  /// Bytes as they are.
  void write(std::string_view bytes) const;
  /// A chunk of a chunked body; the empty one is the last.
  void chunk(std::string_view bytes) const;
  /// The connection ends with this exchange: in an orderly way, or by a reset.
  void close() { ending_ = Ending::kClose; }
  void reset() { ending_ = Ending::kReset; }

 private:
  friend class ScriptedUpstream;
  enum class Ending { kKeep, kClose, kReset };

  int fd_;
  const UpstreamRequest& request_;
  Ending ending_ = Ending::kKeep;
};

class ScriptedUpstream {
 public:
  using Script = std::function<void(const UpstreamRequest&, Reply&)>;

  /// Listens on a free port and answers 404 to whatever has no script.
  ScriptedUpstream();
  ScriptedUpstream(const ScriptedUpstream&) = delete;
  ScriptedUpstream& operator=(const ScriptedUpstream&) = delete;
  ~ScriptedUpstream();

  std::uint16_t port() const { return port_; }
  std::string authority() const;
  std::string url() const { return "http://" + authority(); }

  /// What to do for `method` ("*": any) at a path; the latest script counts.
  void on(const std::string& method, const std::string& path, Script script);
  /// Before all other scripts; true: it has answered. For what concerns every request.
  void before_all(std::function<bool(const UpstreamRequest&, Reply&)> script);
  /// HEAD and GET of a blob, a manifest by its digest, a tag. They give the digest's text.
  std::string add_blob(const std::string& repository, const std::string& bytes);
  std::string add_manifest(const std::string& repository, const std::string& bytes,
                           const std::string& media_type = "application/vnd.oci.image.manifest.v1+json");
  std::string add_tag(const std::string& repository, const std::string& tag, const std::string& bytes,
                      const std::string& media_type = "application/vnd.oci.image.manifest.v1+json");

  /// A gate of this upstream, which opens it at its end.
  Gate& gate();

  std::vector<UpstreamRequest> requests() const;
  /// How many requests came by `method` ("*": any) whose path contains `part`.
  int count(std::string_view method, std::string_view part = "") const;
  void forget_requests();
  /// Connections that were accepted.
  int connections() const { return accepted_; }

  /// Connections are refused, those there are broken; and back again at the same port.
  void go_down();
  void come_back();

 private:
  struct Conversation;

  void listen();
  void accept_all();
  void converse(int fd);
  Script find(const UpstreamRequest& request) const;

  std::uint16_t port_ = 0;
  UniqueFd listening_;
  std::thread acceptor_;
  std::atomic<int> accepted_{0};
  mutable std::mutex mutex_;  // guards what follows
  std::map<std::pair<std::string, std::string>, Script> scripts_;
  std::function<bool(const UpstreamRequest&, Reply&)> before_all_;
  std::vector<UpstreamRequest> requests_;
  std::deque<Gate> gates_;
  std::vector<std::unique_ptr<Conversation>> conversations_;
};

/// Serves a blob of which `bytes` are sent up to `stop`, then waits at `gate` for the rest.
ScriptedUpstream::Script pausing(std::string bytes, std::size_t stop, Gate& gate);

}  // namespace layover::test
