// From a tag to the manifest that it names now: what is known is good for tag_ttl, then upstream is asked,
// by one request per tag at a time; while upstream cannot be asked, what is known goes on being served.
#pragma once

#include <optional>

#include "base/deadline.h"
#include "base/error.h"
#include "cache/index.h"
#include "metrics/labels.h"
#include "net/task.h"
#include "proxy/exchange.h"
#include "proxy/tag_table.h"
#include "proxy/target.h"

namespace layover::proxy {

struct ResolvedTag {
  TagAnswer answer;
  /// kHit: known and young enough; kRevalidated: upstream has just said so; kStale: upstream could not be
  /// asked.
  metrics::CacheResult how;
  /// What to record once the manifest is stored; nothing while a record of this answer is young enough.
  std::optional<cache::PutTag> record;
};

/// What may do without upstream's word.
enum class TagTrust {
  kWithinTtl,
  kNone,  // what was known has just proved to be wrong
};

/// `target.reference` is a tag. Errors: upstream's refusal, or the outage where nothing can stand in.
net::Task<Result<ResolvedTag>> resolve_tag(Exchange& exchange, const Target& target,
                                           oci::AcceptVariant variant, TagTrust trust, Deadline deadline);

}  // namespace layover::proxy
