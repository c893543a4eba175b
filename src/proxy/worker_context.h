// What a request's handler works with on its loop. Everything here outlives every request.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/log_pause.h"
#include "cache/cache.h"
#include "metrics/metrics.h"
#include "metrics/request_log.h"
#include "net/single_flight.h"
#include "net/task_group.h"
#include "proxy/answer_memory.h"
#include "proxy/configuration.h"
#include "proxy/pull_table.h"
#include "proxy/tag_table.h"
#include "upstream/client.h"

namespace layover::proxy {

/// Shared by all loops; immutable but for the flags.
struct Shared {
  metrics::Metrics& metrics;
  metrics::RequestLog* request_log;  // null: requests are not logged
  /// This process among caches that may form a chain (RFC 8586): "layover-<random>".
  std::string instance;
  TagTable tags{};
  /// Questions for lists of tags that are under way, by page.
  net::SingleFlight<std::string, std::shared_ptr<const cache::TagListRecord>> tag_lists{};
  PullTable pulls{};
  AnswerMemory answers{};
  std::atomic<bool> is_stopping{false};
};

/// Where requests that go by `configuration` are logged; null where they are not.
inline metrics::RequestLog* request_log_of(const Shared& shared, const Configuration& configuration) {
  return configuration.settings->log.requests ? shared.request_log : nullptr;
}

class Prefetcher;

/// One loop's.
struct WorkerContext {
  Shared& shared;
  /// For requests that begin now; replaced by a reload, between two tasks' turns.
  std::shared_ptr<const Configuration> configuration;
  net::Loop& loop;
  upstream::Client& client;
  cache::LoopCache& cache;
  Prefetcher& prefetcher;
  /// For work that the request which started it does not wait for, or not alone.
  net::TaskGroup& background;
  /// Of the lines that tell of requests which layover itself had no room for.
  LogPause overloads{};
};

}  // namespace layover::proxy
