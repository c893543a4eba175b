// Repository names, tags and references, by the distribution specification's grammar.
#include "oci/reference.h"

#include <string>
#include <unordered_set>
#include <vector>

#include "tests/support/catch.h"

using layover::oci::Reference;
using layover::oci::RepositoryName;
using layover::oci::Tag;

namespace {

const std::string kDigestText = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

}  // namespace

TEST_CASE("a repository name is components of lower-case letters and digits") {
  const std::vector<std::string> names = {
      "a",
      "0",
      "library/nginx",
      "a/b/c/d/e",
      "a.b",
      "a_b",
      "a__b",
      "a-b",
      "a---b",
      "a.b_c__d-e",
      "blobs",
      "manifests",
      "tags/list",
      "a/blobs/manifests",
      "v2/uploads",
      "0/1/2",
      std::string(255, 'a'),
  };
  for (const std::string& name : names) {
    INFO(name);
    const auto parsed = RepositoryName::parse(name);
    REQUIRE(parsed);
    CHECK(parsed->str() == name);
  }
}

TEST_CASE("other text is no repository name") {
  const std::vector<std::string> rubbish = {
      "",
      "/",
      "a/",
      "/a",
      "a//b",
      "A",
      "a/B",
      ".a",
      "a.",
      "_a",
      "a_",
      "-a",
      "a-",
      "a..b",
      "a___b",
      "a._b",
      "a_-b",
      "a-.b",
      "a/./b",
      "a/../b",
      "..",
      "a b",
      "a%2fb",
      "a\nb",
      "a:b",
      "a@b",
      "a\\b",
      "\xc3\xa9",
      "a?b",
      "a#b",
      "a/-b",
      std::string("a\0b", 3),
      std::string(256, 'a'),
  };
  for (const std::string& name : rubbish) {
    INFO(name);
    CHECK_FALSE(RepositoryName::parse(name));
  }
}

TEST_CASE("a tag is 1 to 128 characters that start with a word character") {
  for (const std::string& tag :
       {std::string("latest"), std::string("1.0"), std::string("_"), std::string("A"),
        std::string("v1.2.3-rc.1_x"), std::string("a--b..c"), std::string(128, 'x')}) {
    INFO(tag);
    const auto parsed = Tag::parse(tag);
    REQUIRE(parsed);
    CHECK(parsed->str() == tag);
  }
  for (const std::string& tag :
       {std::string(), std::string("."), std::string("-"), std::string(".a"), std::string("-a"),
        std::string("a/b"), std::string("a b"), std::string("a:b"), std::string("a%41"), std::string("a\r\n"),
        std::string("a+b"), std::string("\xc3\xa9"), std::string(129, 'x')}) {
    INFO(tag);
    CHECK_FALSE(Tag::parse(tag));
  }
}

TEST_CASE("a reference with a colon is a digest, one without is a tag") {
  const auto digest = Reference::parse(kDigestText);
  REQUIRE(digest);
  REQUIRE(digest->digest() != nullptr);
  CHECK(digest->tag() == nullptr);
  CHECK(digest->to_string() == kDigestText);

  const auto tag = Reference::parse("latest");
  REQUIRE(tag);
  REQUIRE(tag->tag() != nullptr);
  CHECK(tag->digest() == nullptr);
  CHECK(tag->to_string() == "latest");
  CHECK(*tag != *digest);

  // 64 hexadecimal digits alone are a tag by the grammar, and so is what clients build from a digest.
  CHECK(Reference::parse(kDigestText.substr(7))->tag() != nullptr);
  CHECK(Reference::parse("sha256-" + kDigestText.substr(7))->tag() != nullptr);
}

TEST_CASE("a malformed digest is not taken for a tag") {
  for (const char* text : {"sha256:", "sha256:abc", "sha256:e3b0C4", ":latest", "a:b", ""}) {
    INFO(text);
    CHECK_FALSE(Reference::parse(text));
  }
}

TEST_CASE("names and tags serve as keys") {
  const auto a = RepositoryName::parse("a");
  const auto b = RepositoryName::parse("b");
  CHECK(*a < *b);
  const std::unordered_set<RepositoryName> names = {*a, *b, *a};
  CHECK(names.size() == 2);
  const std::unordered_set<Tag> tags = {*Tag::parse("1"), *Tag::parse("1")};
  CHECK(tags.size() == 1);
}
