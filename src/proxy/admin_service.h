// The admin listener: /metrics, /livez (/healthz), /readyz.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "net/mailbox.h"
#include "net/server_connection.h"
#include "net/task.h"
#include "proxy/worker_context.h"

namespace layover::proxy {

/// Shared by all loops; outlives every request.
class AdminService {
 public:
  explicit AdminService(metrics::Metrics& metrics) : metrics_(metrics) {}

  /// All loops' mailboxes; before the first request.
  void watch(std::vector<std::shared_ptr<net::Mailbox>> mailboxes) { mailboxes_ = std::move(mailboxes); }
  /// Thread-safe.
  void set_ready(bool is_ready) { is_ready_.store(is_ready, std::memory_order_relaxed); }

  net::Task<void> serve(net::ServerConnection& connection, const net::HttpRequest& request);

 private:
  struct Answer {
    int status;
    std::string_view content_type;
    std::string body;
  };

  net::Task<Answer> answer(const net::HttpRequest& request);
  net::Task<bool> do_all_loops_answer();

  metrics::Metrics& metrics_;
  std::vector<std::shared_ptr<net::Mailbox>> mailboxes_;
  std::atomic<bool> is_ready_{false};
};

}  // namespace layover::proxy
