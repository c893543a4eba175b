// Digests: what is one, and that its forms agree.
#include "oci/digest.h"

#include <algorithm>
#include <string>
#include <unordered_set>
#include <vector>

#include "tests/support/catch.h"

using layover::oci::Algorithm;
using layover::oci::Digest;

namespace {

// SHA-256 and SHA-512 of nothing.
const std::string kSha256Hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const std::string kSha512Hex =
    "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
    "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e";

}  // namespace

TEST_CASE("a digest reads back as it was written") {
  const auto sha256 = Digest::parse("sha256:" + kSha256Hex);
  REQUIRE(sha256);
  CHECK(sha256->algorithm() == Algorithm::kSha256);
  CHECK(sha256->hex() == kSha256Hex);
  CHECK(sha256->to_string() == "sha256:" + kSha256Hex);
  CHECK(sha256->raw().size() == 32);
  CHECK(sha256->raw()[0] == std::byte{0xe3});
  CHECK(sha256->raw()[31] == std::byte{0x55});

  const auto sha512 = Digest::parse("sha512:" + kSha512Hex);
  REQUIRE(sha512);
  CHECK(sha512->algorithm() == Algorithm::kSha512);
  CHECK(sha512->to_string() == "sha512:" + kSha512Hex);
  CHECK(sha512->raw().size() == 64);
}

TEST_CASE("a digest comes back from its raw bytes") {
  for (const std::string& text : {"sha256:" + kSha256Hex, "sha512:" + kSha512Hex}) {
    const auto digest = Digest::parse(text);
    REQUIRE(digest);
    CHECK(Digest::from_raw(digest->algorithm(), digest->raw()) == *digest);
  }
}

TEST_CASE("what is not exactly a digest is none") {
  std::string upper = kSha256Hex;
  upper[0] = 'E';
  const std::vector<std::string> rubbish = {
      "",
      ":",
      "sha256",
      "sha256:",
      kSha256Hex,
      ":" + kSha256Hex,
      "sha256:" + kSha256Hex.substr(1),
      "sha256:" + kSha256Hex + "0",
      "sha256:" + kSha512Hex,
      "sha512:" + kSha256Hex,
      "sha256:" + upper,
      "SHA256:" + kSha256Hex,
      "sha256:g" + kSha256Hex.substr(1),
      "sha256: " + kSha256Hex.substr(1),
      "sha256:" + kSha256Hex.substr(1) + "\n",
      " sha256:" + kSha256Hex,
      "sha256::" + kSha256Hex.substr(1),
      "sha384:" + kSha256Hex,
      "md5:d41d8cd98f00b204e9800998ecf8427e",
      "sha256:../../../../../../../../../../../../../../../../../etc/passwd0000",
      "sha256:" + std::string(64, '\0'),
  };
  for (const std::string& text : rubbish) {
    INFO(text);
    CHECK_FALSE(Digest::parse(text));
  }
}

TEST_CASE("digests are ordered and hashed by all their bytes") {
  const auto zero = Digest::parse("sha256:" + std::string(64, '0'));
  const auto one = Digest::parse("sha256:" + std::string(63, '0') + "1");
  const auto other_algorithm = Digest::parse("sha512:" + std::string(128, '0'));
  REQUIRE((zero && one && other_algorithm));
  CHECK(*zero == *zero);
  CHECK(*zero != *one);
  CHECK(*zero < *one);
  CHECK(*zero != *other_algorithm);
  CHECK(*one < *other_algorithm);

  const std::unordered_set<Digest> set = {*zero, *one, *other_algorithm, *zero};
  CHECK(set.size() == 3);
  CHECK(set.contains(*one));
}

TEST_CASE("the stored value of an algorithm leads back to it") {
  CHECK(layover::oci::algorithm_from_stored(1) == Algorithm::kSha256);
  CHECK(layover::oci::algorithm_from_stored(2) == Algorithm::kSha512);
  CHECK_FALSE(layover::oci::algorithm_from_stored(0));
  CHECK_FALSE(layover::oci::algorithm_from_stored(3));
  CHECK(layover::oci::algorithm_name(Algorithm::kSha512) == "sha512");
}
