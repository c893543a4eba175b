// Reading manifests, indexes, and what only claims to be one.
#include "oci/manifest.h"

#include <string>
#include <vector>

#include "tests/support/catch.h"

using namespace layover::oci;

namespace {

const std::string kHexA(64, 'a');
const std::string kHexB(64, 'b');
const std::string kHexC(128, 'c');

std::string descriptor(const std::string& digest, const std::string& size, const std::string& type = "x/y") {
  return R"({"mediaType":")" + type + R"(","digest":")" + digest + R"(","size":)" + size +
         R"(,"annotations":{"digest":"rubbish"},"platform":{"os":"linux","size":"x"}})";
}

const std::string kDescriptor = descriptor("sha256:" + kHexA, "12");

std::string manifest_with_layer(const std::string& layer) {
  return R"({"schemaVersion":2,"layers":[)" + layer + "]}";
}

std::string problem_of(const std::string& bytes) {
  const auto manifest = read_manifest(bytes);
  if (manifest) return "";
  CHECK(manifest.error().code() == layover::ErrorCode::kInvalid);
  return manifest.error().message();
}

}  // namespace

TEST_CASE("a manifest gives its config and layers in order") {
  const auto manifest = read_manifest(
      R"( {"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","x":[{"layers":[1]}],)"
      R"("config":)" +
      descriptor("sha256:" + kHexA, "7", "a/config") + R"(,"layers":[)" +
      descriptor("sha256:" + kHexB, "0", "a/layer") + "," +
      descriptor("sha512:" + kHexC, "18446744073709551615", "b/layer") + R"(],"subject":)" +
      descriptor("sha256:" + kHexB, "5") + R"(,"annotations":{"a":"b"}} )");
  REQUIRE(manifest);
  CHECK(manifest->media_type == "application/vnd.oci.image.manifest.v1+json");
  REQUIRE(manifest->children.size() == 3);
  CHECK(manifest->children[0].role == ChildRole::kConfig);
  CHECK(manifest->children[0].media_type == "a/config");
  CHECK(manifest->children[0].digest.hex() == kHexA);
  CHECK(manifest->children[0].size.count == 7);
  CHECK(manifest->children[1].role == ChildRole::kLayer);
  CHECK(manifest->children[1].size.count == 0);
  CHECK(manifest->children[2].digest.to_string() == "sha512:" + kHexC);
  CHECK(manifest->children[2].size.count == 18446744073709551615U);
  REQUIRE(manifest->subject);
  CHECK(manifest->subject->hex() == kHexB);
}

TEST_CASE("an index gives its manifests") {
  const auto index = read_manifest(R"({"manifests":[)" + kDescriptor + "," + kDescriptor + "]}");
  REQUIRE(index);
  CHECK(index->media_type == "application/vnd.oci.image.index.v1+json");
  REQUIRE(index->children.size() == 2);
  CHECK(index->children[1].role == ChildRole::kManifest);
  CHECK_FALSE(index->subject);
}

TEST_CASE("the media type is the document's own, else told by its structure") {
  CHECK(read_manifest(
            R"({"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[]})")
            ->media_type == "application/vnd.docker.distribution.manifest.list.v2+json");
  CHECK(read_manifest(R"({"manifests":[]})")->media_type == "application/vnd.oci.image.index.v1+json");
  CHECK(read_manifest(R"({"manifests":null})")->media_type == "application/vnd.oci.image.index.v1+json");
  CHECK(read_manifest(R"({"layers":[]})")->media_type == "application/vnd.oci.image.manifest.v1+json");
  CHECK(read_manifest(R"({"config":)" + kDescriptor + "}")->media_type ==
        "application/vnd.oci.image.manifest.v1+json");
  CHECK(read_manifest(R"({"schemaVersion":1,"fsLayers":[{"blobSum":"x"}]})")->media_type ==
        "application/vnd.docker.distribution.manifest.v1+json");
  CHECK(read_manifest(R"({"schemaVersion":1,"fsLayers":[],"signatures":[{}]})")->media_type ==
        "application/vnd.docker.distribution.manifest.v1+prettyjws");
  CHECK(problem_of(R"({"schemaVersion":2})").find("media type") != std::string::npos);
  // A type that could not stand in a header is none.
  CHECK(read_manifest(R"({"mediaType":"a/b\r\nX: y","layers":[]})")->media_type ==
        "application/vnd.oci.image.manifest.v1+json");
}

TEST_CASE("what is no JSON object is no manifest") {
  for (const char* text : {"", " ", "null", "1", "\"x\"", "[]", "[{}]", "{", "}", "{\"a\":}", "{} {}", "{}x",
                           "{\"a\":1,}", "<html><body>Log in</body></html>", "{\"a\":\"\xff\"}",
                           "{\"a\":\"\x01\"}", "{\"layers\":[]} // comment"}) {
    INFO(text);
    CHECK_FALSE(read_manifest(text));
    CHECK_FALSE(looks_like_manifest(text));
  }
}

TEST_CASE("nothing is left unread behind a NUL") {
  const std::string manifest = R"({"layers":[]})";
  CHECK(looks_like_manifest(manifest));
  CHECK_FALSE(looks_like_manifest(manifest + std::string("\0<html>", 7)));
  CHECK_FALSE(read_manifest(manifest + std::string(1, '\0')));
}

TEST_CASE("fields of the wrong type make a manifest invalid") {
  for (const char* text :
       {R"({"layers":1})", R"({"layers":{}})", R"({"layers":{"a":{"digest":1}}})", R"({"layers":"x"})",
        R"({"layers":[1]})", R"({"layers":[[]]})", R"({"layers":[null]})", R"({"layers":[{}]})",
        R"({"manifests":{}})", R"({"manifests":true})", R"({"config":[]})", R"({"config":1})",
        R"({"config":{},"layers":[]})", R"({"subject":"x","layers":[]})", R"({"subject":{},"layers":[]})",
        R"({"mediaType":1,"layers":[]})", R"({"mediaType":[],"layers":[]})",
        R"({"schemaVersion":"2","layers":[]})"}) {
    INFO(text);
    CHECK_FALSE(problem_of(text).empty());
  }
}

TEST_CASE("a descriptor needs a whole, positive size and a well-formed digest") {
  CHECK(problem_of(manifest_with_layer(descriptor("sha256:" + kHexA, "0"))).empty());
  for (const char* size :
       {"-1", "1.5", "1e3", "1e999", "18446744073709551616", "\"12\"", "null", "true", "[]", "{}"}) {
    INFO(size);
    CHECK_FALSE(problem_of(manifest_with_layer(descriptor("sha256:" + kHexA, size))).empty());
  }
  for (const std::string& digest :
       {std::string(), std::string("x"), "sha256:" + kHexA.substr(1), "sha512:" + kHexA,
        "sha256:" + kHexA + "\\n", std::string("sha256:../../etc/passwd")}) {
    INFO(digest);
    CHECK_FALSE(problem_of(manifest_with_layer(descriptor(digest, "1"))).empty());
  }
}

TEST_CASE("a child in an algorithm that layover does not know is left out") {
  const auto manifest = read_manifest(manifest_with_layer(descriptor("blake3:abc", "1") + "," + kDescriptor));
  REQUIRE(manifest);
  REQUIRE(manifest->children.size() == 1);
  CHECK(manifest->children[0].digest.hex() == kHexA);
}

TEST_CASE("a document that is both a manifest and an index is refused") {
  CHECK(problem_of(R"({"schemaVersion":2,"manifests":[],"layers":[]})").find("both") != std::string::npos);
  CHECK(problem_of(R"({"manifests":[],"config":)" + kDescriptor + "}").find("both") != std::string::npos);
}

TEST_CASE("deep nesting is refused and costs nothing") {
  const std::string open(4'000'000, '[');
  CHECK_FALSE(read_manifest(open));
  CHECK_FALSE(read_manifest(R"({"schemaVersion":2,"x":)" + open));
  std::string objects = R"({"schemaVersion":2,"layers":[],"x":)";
  for (int i = 0; i < 100'000; ++i) objects += R"({"a":)";
  CHECK_FALSE(read_manifest(objects));
  CHECK_FALSE(looks_like_manifest(objects));

  const std::string as_deep_as_allowed =
      R"({"schemaVersion":2,"layers":[],"x":)" + std::string(63, '[') + std::string(63, ']') + "}";
  CHECK(read_manifest(as_deep_as_allowed));
}

TEST_CASE("wide documents are read in one pass") {
  std::string wide = R"({"schemaVersion":2,"layers":[],"x":[)";
  for (int i = 0; i < 200'000; ++i) wide += "{},";
  wide += "0]}";
  const auto manifest = read_manifest(wide);
  REQUIRE(manifest);
  CHECK(manifest->children.empty());
}

TEST_CASE("upstream's content type is kept where it says something") {
  const std::string index = R"({"manifests":[]})";
  CHECK(choose_content_type("application/vnd.oci.image.manifest.v1+json; charset=utf-8", index) ==
        "application/vnd.oci.image.manifest.v1+json");
  CHECK(choose_content_type("application/vnd.cncf.something+json", index) ==
        "application/vnd.cncf.something+json");
}

TEST_CASE("where upstream's content type says nothing the manifest tells") {
  const std::string list =
      R"({"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[]})";
  for (const char* type : {"", "text/plain", "text/plain; charset=utf-8", "TEXT/HTML",
                           "application/octet-stream", "Application/JSON;charset=utf-8",
                           "binary/octet-stream", "rubbish", "a/b c", "a/b/c", "/", "a/", "a/b\r\nX: y"}) {
    INFO(type);
    CHECK(choose_content_type(type, list) == "application/vnd.docker.distribution.manifest.list.v2+json");
    CHECK(choose_content_type(type, R"({"layers":[]})") == "application/vnd.oci.image.manifest.v1+json");
    CHECK(choose_content_type(type, "rubbish") == "application/octet-stream");
    CHECK(choose_content_type(type, R"({"schemaVersion":2})") == "application/octet-stream");
  }
}

TEST_CASE("a manifest is told from an error document or a portal's page") {
  for (const char* text : {R"({"schemaVersion":2})", R"({"layers":[]})", R"({"manifests":[]})",
                           R"({"mediaType":"application/vnd.oci.artifact.manifest.v1+json","blobs":[]})",
                           R"({"schemaVersion":2,"layers":[{"digest":1}]})"}) {
    INFO(text);
    CHECK(looks_like_manifest(text));
  }
  for (const char* text : {"{}", R"({"errors":[{"code":"UNKNOWN","layers":[]}]})", R"({"layers":"none"})",
                           R"({"schemaVersion":"two"})", R"({"x":{"schemaVersion":2}})",
                           R"({"title":"Not Found","status":404})"}) {
    INFO(text);
    CHECK_FALSE(looks_like_manifest(text));
  }
}
