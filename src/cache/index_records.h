// The records of the index, byte by byte. docs/on-disk-format.md is this header in prose: change both
// together, and raise the record's version where the bytes change.
//
// Every value is  version:u8  payload  crc32:u32  with the CRC-32 (zlib's) over version and payload.
// Integers in values are little-endian; integers in keys big-endian, so that keys sort by number.
// digest = algorithm:u8 (1 sha256, 2 sha512) then its 32 or 64 raw bytes. string = length:u16 then bytes.
//
//   database      key                                   payload of the value
//   registries    host                                  id:u32
//   repositories  registry-id:u32 name                  id:u32
//   content       digest                                kind:u8 size:u64 added-ms:u64 used-ms:u64
//                                                       origins:u16 registry-id:u32 ...
//   grants        digest repository-id:u32 kind:u8      confirmed-ms:u64 media-type:string
//   tags          repository-id:u32 variant:u8 tag      digest confirmed-ms:u64 media-type:string etag:string
//   meta          "layout"                              layout:u32
//                 "next-id"                             id:u32
//                 "totals"                              bytes:u64 manifests:u64 blobs:u64
//
// The environment `small` has one unnamed database:  digest  ->  the content's bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "oci/digest.h"
#include "oci/media_type.h"
#include "oci/reference.h"

namespace layover::cache {

/// Of the whole index; another number is not read.
inline constexpr std::uint32_t kIndexLayout = 1;
/// Of each record.
inline constexpr std::uint8_t kRecordVersion = 1;

/// As what content was delivered and may be served. Stored: never renumber.
enum class ContentKind : std::uint8_t { kManifest = 1, kBlob = 2 };

using RegistryId = std::uint32_t;
using RepositoryId = std::uint32_t;

struct ContentRecord {
  ContentKind kind = ContentKind::kBlob;
  Bytes size;
  WallTime added;
  WallTime used;
  /// The registries that delivered these bytes themselves: the proof that they possess them.
  std::vector<RegistryId> origins;

  bool has_origin(RegistryId registry) const;
};

struct GrantRecord {
  WallTime confirmed;
  std::string media_type;  // for manifests
};

struct TagRecord {
  oci::Digest digest;
  WallTime confirmed;
  std::string media_type;
  std::string etag;  // upstream's validator, perhaps empty
};

/// Lists of tags are kept in this many slots, and only up to this size: losing one costs little.
inline constexpr unsigned kTagListSlots = 4096;
inline constexpr Bytes kMaxTagList = 128_KiB;

/// A page of a repository's tags, as upstream listed them.
struct TagListRecord {
  std::string page;  // "<registry>/<repository>?<query>"
  WallTime confirmed;
  std::string next;  // the query of the page that follows; empty: none
  std::string body;
};

struct Totals {
  std::uint64_t bytes = 0;
  std::uint64_t manifests = 0;
  std::uint64_t blobs = 0;
};

std::string encode(const ContentRecord& record);
std::string encode(const GrantRecord& record);
std::string encode(const TagRecord& record);
std::string encode(const TagListRecord& record);
std::string encode(const Totals& totals);
std::string encode_number(std::uint32_t number);
/// For the environment `small`: the content's bytes are the payload.
std::string encode_bytes(std::string_view bytes);

/// Nothing where the bytes are not a whole, sound record of this version: it is then as if there were
/// none.
std::optional<ContentRecord> decode_content(std::string_view value);
std::optional<GrantRecord> decode_grant(std::string_view value);
std::optional<TagRecord> decode_tag(std::string_view value);
std::optional<TagListRecord> decode_tag_list(std::string_view value);
std::optional<Totals> decode_totals(std::string_view value);
std::optional<std::uint32_t> decode_number(std::string_view value);
std::optional<std::string> decode_bytes(std::string_view value);

std::string content_key(const oci::Digest& digest);
/// Nothing where the key is none of content.
std::optional<oci::Digest> digest_of_key(std::string_view key);
std::string repository_key(RegistryId registry, std::string_view repository);
std::string grant_key(const oci::Digest& digest, RepositoryId repository, ContentKind kind);
/// One of kTagListSlots slots in the environment `small`: a page's own, until another takes it.
std::string tag_list_key(unsigned slot);
unsigned tag_list_slot(std::string_view page);
std::string tag_key(RepositoryId repository, oci::AcceptVariant variant, const oci::Tag& tag);

}  // namespace layover::cache
