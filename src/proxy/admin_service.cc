// Probes answer from what this process knows of itself; neither asks upstream.
#include "proxy/admin_service.h"

#include <chrono>
#include <string>
#include <utility>

#include "net/offload.h"
#include "net/response_head.h"
#include "net/signal.h"

namespace layover::proxy {

namespace {

constexpr std::chrono::seconds kLoopPatience{2};
constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kPrometheusText = "text/plain; version=0.0.4; charset=utf-8";

}  // namespace

net::Task<void> AdminService::serve(net::ServerConnection& connection, const net::HttpRequest& request) {
  const Answer found = co_await answer(request);
  net::ResponseHead head(found.status);
  head.add("Content-Type", found.content_type).add("Content-Length", found.body.size());
  if (found.status == 405) head.add("Allow", "GET, HEAD");
  connection.add_persistence(head);
  const std::string text = std::move(head).finish();
  auto sent = co_await connection.send(text, request.is_head() ? std::string_view{} : found.body);
  if (!sent) connection.end_after_this();
}

net::Task<AdminService::Answer> AdminService::answer(const net::HttpRequest& request) {
  const std::string_view path = std::string_view(request.target).substr(0, request.target.find('?'));
  if (!request.is_get() && !request.is_head()) co_return Answer{405, kText, "only GET and HEAD\n"};
  if (path == "/metrics") {
    auto text = co_await net::offload(net::Work::kCompute, [this] { return metrics_.serialize(); });
    co_return Answer{200, kPrometheusText, std::move(text)};
  }
  if (path == "/livez" || path == "/healthz") {
    const bool is_alive = co_await do_all_loops_answer();
    co_return is_alive ? Answer{200, kText, "ok\n"} : Answer{503, kText, "a loop does not answer\n"};
  }
  if (path == "/readyz") {
    const bool is_ready = is_ready_.load(std::memory_order_relaxed);
    co_return is_ready ? Answer{200, kText, "ok\n"} : Answer{503, kText, "stopping\n"};
  }
  co_return Answer{404, kText, "here are /metrics, /livez and /readyz\n"};
}

net::Task<bool> AdminService::do_all_loops_answer() {
  struct RollCall {
    std::shared_ptr<net::Signal> answered = std::make_shared<net::Signal>();
    std::atomic<std::size_t> missing;
    explicit RollCall(std::size_t loops) : missing(loops) {}
  };
  const auto call = std::make_shared<RollCall>(mailboxes_.size());
  for (const auto& mailbox : mailboxes_) {
    mailbox->post([call] {
      call->missing.fetch_sub(1);
      call->answered->notify();
    });
  }
  const auto deadline = Deadline::after(kLoopPatience);
  for (;;) {
    const auto seen = call->answered->version();
    if (call->missing.load() == 0) co_return true;
    auto changed = co_await call->answered->changed(seen, deadline);
    if (!changed) co_return false;
  }
}

}  // namespace layover::proxy
