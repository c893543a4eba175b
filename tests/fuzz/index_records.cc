// Records of the index, which a damaged disk may hold anything of: a record is read whole or not at all, and
// what is read is written as the same bytes.
#include <string>

#include "cache/index_records.h"
#include "tests/fuzz/fuzz.h"

namespace layover::fuzz {
namespace {

using namespace cache;

template <typename Decoded>
void check_record(const Decoded& decoded, std::string_view value) {
  if (decoded) require(encode(*decoded) == value, "a record is written as it was read");
}

void check_all(std::string_view value) {
  check_record(decode_content(value), value);
  check_record(decode_grant(value), value);
  check_record(decode_tag(value), value);
  check_record(decode_tag_list(value), value);
  check_record(decode_totals(value), value);
  if (const auto number = decode_number(value)) {
    require(encode_number(*number) == value, "a number is written as it was read");
  }
  if (const auto bytes = decode_bytes(value)) {
    require(encode_bytes(*bytes) == value, "bytes are written as they were read");
  }
}

}  // namespace

void fuzz(std::string_view input) {
  check_all(input);
  // With a checksum that is right, or hardly anything would be looked at.
  const std::string sealed = encode_bytes(input);
  check_all(sealed);
  require(decode_bytes(sealed) == input, "bytes are read as they were written");

  std::string damaged = sealed;
  damaged[cut_position(input)] ^= 1;
  require(!decode_bytes(damaged), "a flipped bit is noticed");

  if (const auto digest = digest_of_key(input)) {
    require(content_key(*digest) == input, "a key is written as it was read");
  }
}

}  // namespace layover::fuzz
