// What tags were found to name, for all loops: answers that are younger than their records in the index, and
// the questions that are under way, one per tag however many clients ask.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/deadline.h"
#include "cache/scope.h"
#include "net/expiring_table.h"
#include "net/single_flight.h"
#include "oci/digest.h"
#include "oci/media_type.h"
#include "oci/reference.h"

namespace layover::proxy {

struct TagKey {
  cache::Scope scope;
  oci::AcceptVariant variant;
  oci::Tag tag;

  std::string to_string() const { return scope.to_string() + ":" + tag.str(); }
  friend bool operator==(const TagKey&, const TagKey&) = default;
};

struct TagKeyHash {
  std::size_t operator()(const TagKey& key) const noexcept;
};

/// What upstream says that a tag names.
struct TagAnswer {
  oci::Digest digest;
  std::string media_type;     // as sent, perhaps empty
  std::optional<Bytes> size;  // nothing where upstream has not said it
  std::string etag;           // upstream's validator, perhaps empty
  WallTime confirmed;
  /// The manifest itself, where upstream could only be asked for it whole. Not kept in the table.
  std::shared_ptr<const std::string> bytes;
};

/// Thread-safe.
class TagTable {
 public:
  using Questions = net::SingleFlight<TagKey, TagAnswer, TagKeyHash>;

  /// The last answer, if it is still kept.
  std::optional<TagAnswer> find(const TagKey& key) const { return answers_.find(key); }
  /// Keeps an answer for as long as it is of use; where there are too many, the index's record has to do.
  void keep(const TagKey& key, TagAnswer answer, std::chrono::milliseconds of_use);
  void forget(const TagKey& key) { answers_.erase(key); }
  /// The same for the tag in all variants.
  void forget_variants(TagKey key);

  Questions& questions() { return questions_; }

 private:
  static constexpr std::size_t kLimit = 16384;

  net::ExpiringTable<TagKey, TagAnswer, TagKeyHash> answers_{kLimit};
  Questions questions_;
};

}  // namespace layover::proxy
