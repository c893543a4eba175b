// The index's records, byte by byte as docs/on-disk-format.md says, and that no damage passes for sound.
#include "cache/index_records.h"

#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "tests/support/catch.h"

using namespace layover;
using namespace layover::cache;

namespace {

std::string to_hex(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

WallTime at(std::int64_t milliseconds) { return WallTime(std::chrono::milliseconds(milliseconds)); }

/// Bytes that count up from 0.
oci::Digest counting(oci::Algorithm algorithm) {
  std::vector<std::byte> raw(oci::raw_size(algorithm));
  for (std::size_t i = 0; i < raw.size(); ++i) raw[i] = static_cast<std::byte>(i);
  return oci::Digest::from_raw(algorithm, raw);
}

const std::string kRaw256 = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

ContentRecord content() {
  return {.kind = ContentKind::kManifest,
          .size = Bytes{0x1122334455},
          .added = at(1'700'000'000'001),
          .used = at(1'700'000'000'002),
          .origins = {7, 0x01020304}};
}
GrantRecord grant() { return {.confirmed = at(1'700'000'000'003), .media_type = "a/b"}; }
TagRecord tag() {
  return {.digest = counting(oci::Algorithm::kSha256),
          .confirmed = at(1'700'000'000'004),
          .media_type = "a/b",
          .etag = "\"e\""};
}

/// Whether `bytes` is a sound record, whatever its kind.
struct Kind {
  std::string name;
  std::string bytes;
  bool (*is_sound)(std::string_view);
};

std::vector<Kind> all_kinds() {
  return {
      {"content", encode(content()), [](std::string_view b) { return decode_content(b).has_value(); }},
      {"grant", encode(grant()), [](std::string_view b) { return decode_grant(b).has_value(); }},
      {"tag", encode(tag()), [](std::string_view b) { return decode_tag(b).has_value(); }},
      {"totals", encode(Totals{.bytes = 1, .manifests = 2, .blobs = 3}),
       [](std::string_view b) { return decode_totals(b).has_value(); }},
      {"bytes", encode_bytes("some content"), [](std::string_view b) { return decode_bytes(b).has_value(); }},
      {"number", encode_number(77), [](std::string_view b) { return decode_number(b).has_value(); }},
  };
}

}  // namespace

TEST_CASE("each record has the bytes that the format's page gives") {
  CHECK(to_hex(encode(content())) ==
        "010155443322110000000168e5cf8b0100000268e5cf8b010000020007000000040302010a899d9a");
  CHECK(to_hex(encode(ContentRecord{})) ==
        "0102000000000000000000000000000000000000000000000000000076bcdd5c");
  CHECK(to_hex(encode(grant())) == "010368e5cf8b0100000300612f6292c94997");
  CHECK(to_hex(encode(tag())) == "0101" + kRaw256 + "0468e5cf8b0100000300612f6203002265226bfd2603");
  CHECK(
      to_hex(encode(TagRecord{
          .digest = counting(oci::Algorithm::kSha512), .confirmed = at(5), .media_type = {}, .etag = {}})) ==
      "0102" + kRaw256 + "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f" +
          "05000000000000000000000089b9d2c2");
  CHECK(to_hex(encode(Totals{.bytes = 1, .manifests = 2, .blobs = 3})) ==
        "0101000000000000000200000000000000030000000000000026d94ec4");
  CHECK(to_hex(encode_number(0x0a0b0c0d)) == "010d0c0b0ac1cf1303");
  CHECK(to_hex(encode_bytes("abc")) == "01616263a9209d53");
}

TEST_CASE("each key has the bytes that the format's page gives") {
  const auto digest = counting(oci::Algorithm::kSha256);
  CHECK(to_hex(content_key(digest)) == "01" + kRaw256);
  CHECK(to_hex(content_key(counting(oci::Algorithm::kSha512))).size() == 2 * 65);
  CHECK(to_hex(repository_key(0x01020304, "a/b")) == "01020304612f62");
  CHECK(to_hex(grant_key(digest, 0x01020304, ContentKind::kBlob)) == "01" + kRaw256 + "0102030402");
  CHECK(to_hex(tag_key(0x01020304, oci::AcceptVariant::from_bits(0x81), *oci::Tag::parse("v1"))) ==
        "01020304817631");
}

TEST_CASE("the longest names give keys that LMDB takes") {
  CHECK(repository_key(1, std::string(255, 'a')).size() < 511);
  CHECK(tag_key(1, oci::AcceptVariant::unrestricted(), *oci::Tag::parse(std::string(128, 't'))).size() < 511);
  CHECK(grant_key(counting(oci::Algorithm::kSha512), 1, ContentKind::kBlob).size() < 511);
}

TEST_CASE("what was encoded is decoded unchanged") {
  const auto read = decode_content(encode(content()));
  REQUIRE(read);
  CHECK(read->kind == ContentKind::kManifest);
  CHECK(read->size == Bytes{0x1122334455});
  CHECK(read->added == at(1'700'000'000'001));
  CHECK(read->used == at(1'700'000'000'002));
  CHECK(read->origins == std::vector<RegistryId>{7, 0x01020304});
  CHECK(read->has_origin(7));
  CHECK_FALSE(read->has_origin(8));
  const auto granted = decode_grant(encode(grant()));
  REQUIRE(granted);
  CHECK(granted->confirmed == at(1'700'000'000'003));
  CHECK(granted->media_type == "a/b");
  const auto tagged = decode_tag(encode(tag()));
  REQUIRE(tagged);
  CHECK(tagged->digest == counting(oci::Algorithm::kSha256));
  CHECK(tagged->etag == "\"e\"");
  const auto totals = decode_totals(encode(Totals{.bytes = UINT64_MAX, .manifests = 2, .blobs = 3}));
  REQUIRE(totals);
  CHECK(totals->bytes == UINT64_MAX);
  CHECK(decode_number(encode_number(0xFFFFFFFF)) == 0xFFFFFFFFU);
  CHECK(decode_bytes(encode_bytes("")) == "");
  CHECK(decode_bytes(encode_bytes(std::string(16'384, '\0'))) == std::string(16'384, '\0'));
}

TEST_CASE("a record with any bit flipped is no record") {
  for (const Kind& kind : all_kinds()) {
    INFO(kind.name);
    REQUIRE(kind.is_sound(kind.bytes));
    for (std::size_t bit = 0; bit < kind.bytes.size() * 8; ++bit) {
      std::string damaged = kind.bytes;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      if (kind.is_sound(damaged)) FAIL("bit " << bit << " was not missed");
    }
  }
}

TEST_CASE("a record that is cut off, or has bytes behind it, is no record") {
  for (const Kind& kind : all_kinds()) {
    INFO(kind.name);
    for (std::size_t size = 0; size < kind.bytes.size(); ++size) {
      if (kind.is_sound(kind.bytes.substr(0, size))) FAIL(size << " bytes passed for the whole");
    }
    CHECK_FALSE(kind.is_sound(kind.bytes + '\0'));
    CHECK_FALSE(kind.is_sound('\0' + kind.bytes));
  }
}

TEST_CASE("a sound record of one kind does not pass for another") {
  const auto kinds = all_kinds();
  for (const Kind& reader : kinds) {
    // Any bytes are content's bytes; they are in an environment of their own.
    if (reader.name == "bytes") continue;
    for (const Kind& written : kinds) {
      INFO(written.name << " read as " << reader.name);
      if (reader.name != written.name) CHECK_FALSE(reader.is_sound(written.bytes));
    }
  }
}

TEST_CASE("a media type longer than its length field can say is cut, not the record") {
  GrantRecord record = grant();
  record.media_type = std::string(70'000, 'm');
  const auto read = decode_grant(encode(record));
  REQUIRE(read);
  CHECK(read->media_type.size() == 65'535);
}
