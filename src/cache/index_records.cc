// Encoding and decoding, strict: a record is read whole or not at all.
#include "cache/index_records.h"

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstring>

namespace layover::cache {

namespace {

std::uint32_t checksum(std::string_view bytes) {
  return static_cast<std::uint32_t>(
      crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

template <std::unsigned_integral Number>
void append_little(std::string& out, Number number) {
  for (std::size_t i = 0; i < sizeof number; ++i) out += static_cast<char>((number >> (8 * i)) & 0xff);
}

template <std::unsigned_integral Number>
void append_big(std::string& out, Number number) {
  append_little(out, std::byteswap(number));
}

class Encoder {
 public:
  Encoder() { number(kRecordVersion); }

  template <std::unsigned_integral Number>
  Encoder& number(Number value) {
    append_little(out_, value);
    return *this;
  }
  Encoder& time(WallTime value) {
    return number(static_cast<std::uint64_t>(value.time_since_epoch().count()));
  }
  Encoder& text(std::string_view value) {
    const auto length = static_cast<std::uint16_t>(std::min<std::size_t>(value.size(), UINT16_MAX));
    number(length);
    out_ += value.substr(0, length);
    return *this;
  }
  Encoder& raw(std::string_view value) {
    out_ += value;
    return *this;
  }
  std::string finish() && {
    append_little(out_, checksum(out_));
    return std::move(out_);
  }

 private:
  std::string out_;
};

/// Reads past the end give zeros and make the record unsound.
class Decoder {
 public:
  explicit Decoder(std::string_view value) {
    if (value.size() < 5) {
      is_sound_ = false;
      return;
    }
    rest_ = value.substr(value.size() - 4);
    const auto stored = number<std::uint32_t>();
    rest_ = value.substr(0, value.size() - 4);
    is_sound_ = stored == checksum(rest_);
    is_sound_ = number<std::uint8_t>() == kRecordVersion && is_sound_;
  }

  template <std::unsigned_integral Number>
  Number number() {
    Number value = 0;
    const std::string_view bytes = take(sizeof(Number));
    if (bytes.size() < sizeof(Number)) return 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i) {
      value =
          static_cast<Number>(value | (static_cast<Number>(static_cast<unsigned char>(bytes[i])) << (8 * i)));
    }
    return value;
  }
  WallTime time() {
    return WallTime(std::chrono::milliseconds(static_cast<std::int64_t>(number<std::uint64_t>())));
  }
  std::string text() { return std::string(take(number<std::uint16_t>())); }
  std::optional<oci::Digest> digest() {
    const auto algorithm = oci::algorithm_from_stored(number<std::uint8_t>());
    if (!algorithm) return std::nullopt;
    const std::string_view raw = take(oci::raw_size(*algorithm));
    if (!is_sound_) return std::nullopt;
    return oci::Digest::from_raw(*algorithm, std::as_bytes(std::span(raw)));
  }

  std::string rest() { return std::string(take(rest_.size())); }

  bool is_sound_so_far() const { return is_sound_; }
  bool is_whole() const { return is_sound_ && rest_.empty(); }

 private:
  std::string_view take(std::size_t n) {
    if (n > rest_.size()) {
      is_sound_ = false;
      return {};
    }
    const std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return taken;
  }

  std::string_view rest_;
  bool is_sound_ = true;
};

}  // namespace

bool ContentRecord::has_origin(RegistryId registry) const {
  return std::ranges::find(origins, registry) != origins.end();
}

std::string encode(const ContentRecord& record) {
  Encoder encoder;
  encoder.number(static_cast<std::uint8_t>(record.kind))
      .number(record.size.count)
      .time(record.added)
      .time(record.used)
      .number(static_cast<std::uint16_t>(record.origins.size()));
  for (const RegistryId origin : record.origins) encoder.number(origin);
  return std::move(encoder).finish();
}

std::string encode(const GrantRecord& record) {
  return std::move(Encoder().time(record.confirmed).text(record.media_type)).finish();
}

std::string encode(const TagRecord& record) {
  return std::move(Encoder()
                       .raw(content_key(record.digest))
                       .time(record.confirmed)
                       .text(record.media_type)
                       .text(record.etag))
      .finish();
}

std::string encode(const Totals& totals) {
  return std::move(Encoder().number(totals.bytes).number(totals.manifests).number(totals.blobs)).finish();
}

std::string encode_number(std::uint32_t number) { return std::move(Encoder().number(number)).finish(); }

std::string encode_bytes(std::string_view bytes) { return std::move(Encoder().raw(bytes)).finish(); }

std::optional<std::string> decode_bytes(std::string_view value) {
  Decoder decoder(value);
  std::string bytes = decoder.rest();
  if (!decoder.is_whole()) return std::nullopt;
  return bytes;
}

std::optional<ContentRecord> decode_content(std::string_view value) {
  Decoder decoder(value);
  ContentRecord record;
  const auto kind = decoder.number<std::uint8_t>();
  if (kind != static_cast<std::uint8_t>(ContentKind::kManifest) &&
      kind != static_cast<std::uint8_t>(ContentKind::kBlob)) {
    return std::nullopt;
  }
  record.kind = static_cast<ContentKind>(kind);
  record.size = Bytes{decoder.number<std::uint64_t>()};
  record.added = decoder.time();
  record.used = decoder.time();
  const auto origins = decoder.number<std::uint16_t>();
  for (unsigned i = 0; i < origins && decoder.is_sound_so_far(); ++i) {
    record.origins.push_back(decoder.number<std::uint32_t>());
  }
  if (!decoder.is_whole()) return std::nullopt;
  return record;
}

std::optional<GrantRecord> decode_grant(std::string_view value) {
  Decoder decoder(value);
  GrantRecord record;
  record.confirmed = decoder.time();
  record.media_type = decoder.text();
  if (!decoder.is_whole()) return std::nullopt;
  return record;
}

std::optional<TagRecord> decode_tag(std::string_view value) {
  Decoder decoder(value);
  const auto digest = decoder.digest();
  if (!digest) return std::nullopt;
  TagRecord record{.digest = *digest, .confirmed = decoder.time(), .media_type = {}, .etag = {}};
  record.media_type = decoder.text();
  record.etag = decoder.text();
  if (!decoder.is_whole()) return std::nullopt;
  return record;
}

std::string encode(const TagListRecord& record) {
  Encoder encoder;
  encoder.text(record.page).time(record.confirmed).text(record.next).raw(record.body);
  return std::move(encoder).finish();
}

std::optional<TagListRecord> decode_tag_list(std::string_view value) {
  Decoder decoder(value);
  TagListRecord record;
  record.page = decoder.text();
  record.confirmed = decoder.time();
  record.next = decoder.text();
  record.body = decoder.rest();
  if (!decoder.is_whole()) return std::nullopt;
  return record;
}

std::optional<Totals> decode_totals(std::string_view value) {
  Decoder decoder(value);
  Totals totals;
  totals.bytes = decoder.number<std::uint64_t>();
  totals.manifests = decoder.number<std::uint64_t>();
  totals.blobs = decoder.number<std::uint64_t>();
  if (!decoder.is_whole()) return std::nullopt;
  return totals;
}

std::optional<std::uint32_t> decode_number(std::string_view value) {
  Decoder decoder(value);
  const auto number = decoder.number<std::uint32_t>();
  if (!decoder.is_whole()) return std::nullopt;
  return number;
}

std::string content_key(const oci::Digest& digest) {
  std::string key(1, static_cast<char>(digest.algorithm()));
  const auto raw = digest.raw();
  key.append(reinterpret_cast<const char*>(raw.data()), raw.size());
  return key;
}

std::optional<oci::Digest> digest_of_key(std::string_view key) {
  if (key.empty()) return std::nullopt;
  const auto algorithm = oci::algorithm_from_stored(static_cast<std::uint8_t>(key.front()));
  const std::string_view raw = key.substr(1);
  if (!algorithm || raw.size() != oci::raw_size(*algorithm)) return std::nullopt;
  return oci::Digest::from_raw(*algorithm, std::as_bytes(std::span(raw)));
}

std::string repository_key(RegistryId registry, std::string_view repository) {
  std::string key;
  append_big(key, registry);
  key += repository;
  return key;
}

std::string grant_key(const oci::Digest& digest, RepositoryId repository, ContentKind kind) {
  std::string key = content_key(digest);
  append_big(key, repository);
  key += static_cast<char>(kind);
  return key;
}

std::string tag_list_key(unsigned slot) {
  std::string key = "tags";  // no content's key starts so
  append_big(key, static_cast<std::uint16_t>(slot));
  return key;
}

unsigned tag_list_slot(std::string_view page) { return checksum(page) % kTagListSlots; }

std::string tag_key(RepositoryId repository, oci::AcceptVariant variant, const oci::Tag& tag) {
  std::string key;
  append_big(key, repository);
  key += static_cast<char>(variant.bits());
  key += tag.str();
  return key;
}

}  // namespace layover::cache
