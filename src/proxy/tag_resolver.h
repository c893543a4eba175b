// From a tag to the manifest that it names now: asked upstream at each request, by HEAD; known answers
// are used while upstream cannot be asked.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/deadline.h"
#include "base/error.h"
#include "net/task.h"
#include "oci/media_type.h"
#include "proxy/exchange.h"
#include "proxy/target.h"

namespace layover::proxy {

struct ResolvedTag {
  oci::Digest digest;
  std::string media_type;
  std::optional<Bytes> size;
  /// The manifest itself, where upstream could only be asked for it whole.
  std::optional<std::string> bytes;
  /// Upstream could not be asked: an older answer, and why.
  std::optional<Error> stale_because;
  /// What to record once the manifest is stored; nothing while a record of this answer is young enough.
  std::optional<cache::PutTag> record;
};

/// `target.reference` is a tag. Errors: upstream's refusal, or the outage where nothing is known.
net::Task<Result<ResolvedTag>> resolve_tag(Exchange& exchange, const Target& target,
                                           oci::AcceptVariant variant, Deadline deadline);

}  // namespace layover::proxy
