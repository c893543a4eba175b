// What the index has said lately, so that content which is asked for again and again costs no look into it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "cache/index_records.h"
#include "cache/scope.h"
#include "oci/digest.h"

namespace layover::cache {

/// What the index says about content and a scope's right to it.
struct Stored {
  std::optional<ContentRecord> content;
  std::optional<GrantRecord> grant;
  std::optional<std::string> small;  // the content itself, where it is kept beside the index
  bool has_origin = false;           // the scope's registry has delivered the content itself

  /// The content, where it is here and as large as it should be.
  const std::string* bytes() const {
    return small && content && small->size() == content->size.count ? &*small : nullptr;
  }
};

/// Lives on its loop. An answer holds for one version of the index: see Index::version.
class RecentLookUps {
 public:
  /// Null where nothing is known, or was written since.
  std::shared_ptr<const Stored> find(std::uint64_t version, const Scope& scope, const oci::Digest& digest,
                                     ContentKind kind);
  void keep(std::uint64_t version, const Scope& scope, const oci::Digest& digest, ContentKind kind,
            std::shared_ptr<const Stored> stored);

 private:
  /// The last scope and kind that a digest was asked for by: there is hardly ever more than one.
  struct Entry {
    std::uint64_t version;
    Scope scope;
    ContentKind kind;
    std::shared_ptr<const Stored> stored;
  };

  /// What was asked for, until it has grown to its bounds; then it becomes the older one.
  struct Generation {
    std::unordered_map<oci::Digest, Entry> entries;
    std::size_t bytes = 0;  // of small content

    const Entry* find(const oci::Digest& digest) const {
      const auto found = entries.find(digest);
      return found == entries.end() ? nullptr : &found->second;
    }
  };

  void put(const oci::Digest& digest, Entry entry);

  Generation young_;
  Generation old_;
};

}  // namespace layover::cache
