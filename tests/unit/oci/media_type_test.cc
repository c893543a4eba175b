// Known manifest types, and what an Accept header says about them.
#include "oci/media_type.h"

#include <string_view>
#include <vector>

#include "tests/support/catch.h"

using namespace layover::oci;
using Values = std::vector<std::string_view>;

namespace {

constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr std::string_view kDockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr std::string_view kSchema1 = "application/vnd.docker.distribution.manifest.v1+json";
constexpr std::string_view kSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";

AcceptVariant variant_of(const Values& values) { return AcceptVariant::from_accept(values); }

}  // namespace

TEST_CASE("manifest types are known by name, whatever their case and parameters") {
  CHECK(manifest_type(kOciManifest) == ManifestType::kOciManifest);
  CHECK(manifest_type(kOciIndex) == ManifestType::kOciIndex);
  CHECK(manifest_type(kDockerManifest) == ManifestType::kDockerManifest);
  CHECK(manifest_type(kDockerList) == ManifestType::kDockerManifestList);
  CHECK(manifest_type(kSchema1) == ManifestType::kDockerSchema1);
  CHECK(manifest_type(kSchema1Signed) == ManifestType::kDockerSchema1Signed);
  CHECK(manifest_type("Application/VND.OCI.image.index.v1+JSON; charset=utf-8") == ManifestType::kOciIndex);
  CHECK_FALSE(manifest_type("application/json"));
  CHECK_FALSE(manifest_type(""));
  CHECK_FALSE(manifest_type("application/vnd.oci.image.manifest.v1+jsonx"));
  CHECK(to_string(ManifestType::kDockerManifestList) == kDockerList);
}

TEST_CASE("indexes are told from single manifests") {
  CHECK(is_index(kOciIndex));
  CHECK(is_index(kDockerList));
  CHECK_FALSE(is_index(kOciManifest));
  CHECK_FALSE(is_index("text/html"));
  CHECK(is_manifest(kOciIndex));
  CHECK(is_manifest(kSchema1));
  CHECK_FALSE(is_manifest("application/vnd.oci.image.config.v1+json"));
}

TEST_CASE("a page is told from content") {
  for (const char* page : {"text/html", "Text/HTML; charset=utf-8"}) CHECK(is_html(page));
  for (const char* other : {"", "text/plain", "application/octet-stream"}) CHECK_FALSE(is_html(other));
}

TEST_CASE("parameters are cut off with the white space around them") {
  CHECK(strip_parameters("text/plain; charset=utf-8") == "text/plain");
  CHECK(strip_parameters(" text/plain ;x=y") == "text/plain");
  CHECK(strip_parameters("text/plain") == "text/plain");
  CHECK(strip_parameters(" ; x").empty());
  CHECK(strip_parameters("").empty());
}

TEST_CASE("a client without an Accept header, or with a wildcard, is not restricted") {
  for (const Values& values : {Values{}, Values{""}, Values{" , ,"}, Values{"*/*"}, Values{"application/*"},
                               Values{kOciManifest, "*/*"}, Values{"text/html, */*;q=0.1"},
                               Values{"application/vnd.oci.image.manifest.v1+json, */*"}}) {
    const auto variant = variant_of(values);
    CHECK(variant == AcceptVariant::unrestricted());
    CHECK(variant.accepts(ManifestType::kOciIndex));
  }
  CHECK(AcceptVariant::unrestricted().accept_values() ==
        Values{kOciManifest, kOciIndex, kDockerManifest, kDockerList, "*/*"});
}

TEST_CASE("the types that a client names are its variant, in any order, over any number of lines") {
  const auto as_one_line =
      variant_of({"application/vnd.docker.distribution.manifest.list.v2+json, "
                  "application/vnd.docker.distribution.manifest.v2+json;q=0.5"});
  const auto as_two_lines = variant_of({kDockerManifest, kDockerList, "application/x-unknown"});
  CHECK(as_one_line == as_two_lines);
  CHECK(as_one_line.accepts(ManifestType::kDockerManifest));
  CHECK(as_one_line.accepts(ManifestType::kDockerManifestList));
  CHECK_FALSE(as_one_line.accepts(ManifestType::kOciManifest));
  CHECK_FALSE(as_one_line.is_unrestricted());
  CHECK(as_one_line.accept_values() == Values{kDockerManifest, kDockerList});
}

TEST_CASE("schema 1 is asked for only where the client names it") {
  CHECK(variant_of({kSchema1Signed, kSchema1, kDockerManifest}).accept_values() ==
        Values{kDockerManifest, kSchema1, kSchema1Signed});
  const auto restricted = variant_of({"*/*", "application/vnd.oci.image.index.v1+json;q=0"});
  CHECK_FALSE(restricted.accepts(ManifestType::kDockerSchema1));
}

TEST_CASE("a weight of zero excludes") {
  const auto without_index = variant_of({kOciManifest, "application/vnd.oci.image.index.v1+json; q=0.000"});
  CHECK(without_index == variant_of({kOciManifest}));

  const auto all_but_index = variant_of({"*/*, application/vnd.oci.image.index.v1+json;Q=0"});
  CHECK_FALSE(all_but_index.is_unrestricted());
  CHECK_FALSE(all_but_index.accepts(ManifestType::kOciIndex));
  CHECK(all_but_index.accepts(ManifestType::kOciManifest));
  CHECK(all_but_index.accepts(ManifestType::kDockerManifestList));

  CHECK(variant_of({kOciManifest, "*/*;q=0"}) == variant_of({kOciManifest}));
  CHECK(variant_of({"application/vnd.oci.image.index.v1+json;q=0.001"}).accepts(ManifestType::kOciIndex));
}

TEST_CASE("a client that accepts nothing known says so upstream too") {
  const auto nothing = variant_of({"text/html", "application/json"});
  CHECK(nothing.bits() == 0);
  CHECK(nothing.accept_values() == Values{"application/json"});
}

TEST_CASE("separators inside quotes separate nothing") {
  const auto variant =
      variant_of({R"(application/x;p="a, */*;q=1\", b", application/vnd.oci.image.index.v1+json)"});
  CHECK(variant == variant_of({kOciIndex}));
  CHECK(variant_of({R"(application/x;p="*/*)"}).bits() == 0);
  CHECK(variant_of({"\\"}).bits() == 0);
}

TEST_CASE("what is sent upstream for a variant is read as the same variant") {
  for (unsigned bits = 0; bits < 64; ++bits) {
    const auto variant = AcceptVariant::from_bits(static_cast<std::uint8_t>(bits));
    CHECK(variant_of(variant.accept_values()) == variant);
  }
  const auto free = AcceptVariant::unrestricted();
  CHECK(variant_of(free.accept_values()) == free);
  CHECK(AcceptVariant::from_bits(free.bits()) == free);
}
