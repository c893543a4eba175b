// Asking upstream what a tag names: by HEAD, with the digest known so far as a condition, and by GET where
// that has no usable answer.
#pragma once

#include <optional>

#include "base/deadline.h"
#include "base/error.h"
#include "net/task.h"
#include "proxy/tag_table.h"
#include "upstream/client.h"

namespace layover::proxy {

/// Owns all that asking needs: it may outlive the request that wanted to know.
struct TagQuestion {
  TagKey key;
  upstream::Query query;           // for the repository; its path, accept and conditions are set here
  std::optional<TagAnswer> known;  // spares upstream and the network an unchanged answer
};

/// A captive portal has an answer for everything: an HTML page is none.
Result<void> refuse_html(const net::ResponseInfo& info);

/// The answer, confirmed now. Errors: upstream's refusal, or trouble on the way to it.
net::Task<Result<TagAnswer>> ask_for_tag(upstream::Client& client, TagQuestion question, WallTime now,
                                         Deadline deadline);

}  // namespace layover::proxy
