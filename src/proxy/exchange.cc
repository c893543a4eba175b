// Answering.
#include "proxy/exchange.h"

#include <fmt/format.h>
#include <utility>

#include "base/log.h"
#include "base/random.h"

namespace layover::proxy {

namespace {

metrics::Method method_of(const net::HttpRequest& request) {
  if (request.is_get()) return metrics::Method::kGet;
  return request.is_head() ? metrics::Method::kHead : metrics::Method::kOther;
}

std::string_view header_value(metrics::CacheResult how) {
  switch (how) {
    case metrics::CacheResult::kHit: return "HIT";
    case metrics::CacheResult::kMiss: return "MISS";
    case metrics::CacheResult::kJoined: return "JOINED";
    case metrics::CacheResult::kStale: return "STALE";
    case metrics::CacheResult::kRevalidated: return "REVALIDATED";
    default: return "BYPASS";
  }
}

std::string_view path_of(const net::HttpRequest& request) {
  return std::string_view(request.target).substr(0, request.target.find('?'));
}

}  // namespace

std::string client_name(const net::ServerConnection& connection) {
  return connection.client() ? connection.client()->to_string() : std::string();
}

Exchange::Exchange(WorkerContext& context, net::ServerConnection& connection, const net::HttpRequest& request)
    : context_(context),
      configuration_(context.configuration),
      connection_(connection),
      request_(request),
      started_(Deadline::Clock::now()),
      request_id_(Random::system().next_hex()) {
  record_.method = method_of(request);
}

Exchange::~Exchange() {
  record_.sent = Bytes{sent_};
  const bool is_fetched = record_.cache == metrics::CacheResult::kMiss ||
                          record_.cache == metrics::CacheResult::kBypass ||
                          record_.cache == metrics::CacheResult::kNone;
  record_.saved = Bytes{is_fetched ? 0 : sent_ - fetched_};
  record_.duration = Deadline::Clock::now() - started_;
  if (record_.code != 0) context_.shared.metrics.count_request(record_);
  if (auto* log = request_log_of(context_.shared, *configuration_)) log_request(*log);
}

void Exchange::log_request(metrics::RequestLog& log) {
  const std::string client = client_name(connection_);
  const std::string reference = route_ && route_->reference ? route_->reference->to_string() : std::string();
  metrics::RequestLine line{.record = record_,
                            .client = client,
                            .method = request_.method,
                            .reference = reference,
                            .is_upstream_asked = is_upstream_asked_,
                            .ending = ending_.value_or(metrics::Ending::kCutOff),
                            .user_agent = request_.headers.get("user-agent").value_or(""),
                            .request_id = request_id_};
  if (!route_) line.path = path_of(request_);
  if (route_ && route_->registry) line.registry = route_->registry->str();
  if (route_ && route_->repository) line.repository = route_->repository->str();
  log.write(line);
}

void Exchange::set_route(Route route) {
  record_.kind = kind_of(route.resource);
  route_ = std::move(route);
}

void Exchange::finish() {
  if (!ending_) ending_ = metrics::Ending::kComplete;
}

void Exchange::set_registry(std::shared_ptr<const upstream::Registry> registry) {
  registry_ = std::move(registry);
  record_.registry = registry_->label();
}

net::ResponseHead Exchange::begin(int status) {
  record_.code = status;
  net::ResponseHead head(status);
  head.add("Docker-Distribution-Api-Version", "registry/2.0").add("X-Request-Id", request_id_);
  if (!namespace_.empty()) head.add("OCI-Namespace", namespace_);
  if (context_.shared.is_stopping.load(std::memory_order_relaxed)) connection_.end_after_this();
  return head;
}

net::ResponseHead Exchange::begin(int status, metrics::CacheResult how) {
  record_.cache = how;
  net::ResponseHead head = begin(status);
  head.add("X-Cache", header_value(how));
  if (how == metrics::CacheResult::kStale && registry_ != nullptr) {
    context_.shared.metrics.stale_served(registry_->label()).add();
    head.add("Warning", fmt::format("299 - \"layover: stale, {} could not be asked\"", registry_->name()));
  }
  return head;
}

void Exchange::note_first_byte() {
  if (!record_.time_to_first_byte) record_.time_to_first_byte = Deadline::Clock::now() - started_;
}

Result<void> Exchange::hold_in_memory(Bytes size) {
  if (size <= AnswerMemory::kSmall) return {};
  auto share = context_.shared.answers.take(size);
  if (!share) {
    return failure(ErrorCode::kOverloaded, ErrorSource::kSelf,
                   "answers that wait for their clients take all the memory that there is for them");
  }
  held_.emplace(std::move(*share));
  return {};
}

net::Task<void> Exchange::send(net::ResponseHead head, std::string_view body) {
  head.add("Content-Length", body.size());
  connection_.add_persistence(head);
  const std::string_view sent_body = is_head() ? std::string_view{} : body;
  const std::string text = std::move(head).finish();
  auto sent = co_await connection_.send(text, sent_body);
  if (!sent) {
    break_off(sent.error());
    co_return;
  }
  note_first_byte();
  sent_ += sent_body.size();
}

net::Task<bool> Exchange::send_head(net::ResponseHead head, bool more) {
  connection_.add_persistence(head);
  const std::string text = std::move(head).finish();
  auto sent = co_await connection_.send(text, {}, more);
  if (!sent) {
    break_off(sent.error());
    co_return false;
  }
  note_first_byte();
  co_return true;
}

net::Task<Result<void>> Exchange::send_file(int fd, ByteRange range) {
  return connection_.send_file(fd, range, &sent_);
}

net::Task<Result<void>> Exchange::send_fetched(std::span<const std::byte> bytes) {
  auto sent = co_await connection_.send({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, {});
  if (!sent) co_return sent;
  sent_ += bytes.size();
  fetched_ += bytes.size();
  co_return sent;
}

net::Task<Result<void>> Exchange::send_text(std::string_view text, bool more) {
  return connection_.send(text, {}, more);
}

net::Task<void> Exchange::fail(const Error& error) {
  ErrorAnswer answer = answer_for(error, record_.kind);
  // What a client can act on (404 and the like) is its own affair; the rest is the operator's.
  // Where we are short of something ourselves, each request says the same.
  const auto shortages = error.code() == ErrorCode::kOverloaded ? context_.overloads.count() : 1;
  if (answer.status >= 500 && shortages) {
    log_warning("{} {} {}: {} ({}){}", answer.status, request_.method, path_of(request_), error.describe(),
                request_id_,
                *shortages > 1 ? fmt::format("; {} requests since the last such line", *shortages) : "");
  }
  return send_error(std::move(answer));
}

net::Task<void> Exchange::fail(ErrorAnswer answer) { return send_error(std::move(answer)); }

net::Task<void> Exchange::send_error(ErrorAnswer answer) {
  net::ResponseHead head = begin(answer.status);
  head.add("Content-Type", answer.content_type);
  if (!answer.retry_after.empty()) head.add("Retry-After", answer.retry_after);
  if (answer.status == 405) head.add("Allow", "GET, HEAD");
  co_await send(std::move(head), answer.body);
}

void Exchange::break_off(const Error& error) {
  connection_.end_after_this();
  const bool has_client_left = error.source() == ErrorSource::kClient;
  ending_ = has_client_left ? metrics::Ending::kClientLeft : metrics::Ending::kCutOff;
  if (has_client_left) {
    const bool has_enough = is_early_end_expected_ && sent_ > 0 && error.code() != ErrorCode::kTimeout;
    if (!has_enough) context_.shared.metrics.client_aborts().add();
    return;
  }
  log_warning("an answer was broken off after {} bytes: {}", sent_, error.describe());
}

}  // namespace layover::proxy
