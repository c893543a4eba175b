// The changes that can be made to the index: what IndexWriter queues and one batch applies together.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "cache/index_records.h"
#include "cache/scope.h"

namespace layover::cache {

/// Adds or completes a content's record: an origin is added to those known, the size replaced.
struct PutContent {
  oci::Digest digest;
  ContentKind kind;
  Bytes size;
  WallTime now;
  std::vector<oci::RegistryName> origins;
};
/// Removes a content's record, all its grants and the small copy. Tags that lead to it stay.
struct RemoveContent {
  oci::Digest digest;
};
/// Moves a content's last use on; nothing where there is no such content, or it was used later.
struct TouchContent {
  oci::Digest digest;
  WallTime used;
};
struct PutGrant {
  Scope scope;
  oci::Digest digest;
  ContentKind kind;
  GrantRecord record;
};
struct RemoveGrant {
  Scope scope;
  oci::Digest digest;
  ContentKind kind;
};
struct PutTag {
  Scope scope;
  oci::AcceptVariant variant;
  oci::Tag tag;
  TagRecord record;
};
struct RemoveTag {
  Scope scope;
  oci::AcceptVariant variant;
  oci::Tag tag;
};
/// Removes a tag in all its variants, and the grants of the manifests that they lead to.
struct RevokeTag {
  Scope scope;
  oci::Tag tag;
};
/// A copy of small content beside the index, so that serving it touches no file.
struct PutSmall {
  oci::Digest digest;
  std::string bytes;
};
/// A page of tags beside the index, for the next outage.
struct PutTagList {
  TagListRecord record;
};
/// Removes all pages of a repository.
struct RemoveTagLists {
  Scope scope;
};
using Change = std::variant<PutContent, RemoveContent, TouchContent, PutGrant, RemoveGrant, PutTag, RemoveTag,
                            RevokeTag, PutSmall, PutTagList, RemoveTagLists>;

}  // namespace layover::cache
