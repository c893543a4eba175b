// Routes: paths read from the right, registries by ns or prefix, and nothing that only looks like one.
#include "proxy/route.h"

#include <string>
#include <vector>

#include <fmt/format.h>

#include "tests/support/catch.h"

using namespace layover;
using oci::SpecErrorCode;
using proxy::complete;
using proxy::parse_route;
using proxy::Resource;
using proxy::Route;

namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

/// "manifest r.example a/b v1", with "-" for what is not there.
std::string describe(std::string_view target) {
  const auto route = parse_route(target);
  if (!route) return fmt::format("{} {}", route.error().status, oci::to_string(route.error().code));
  constexpr std::array kNames{"ping", "manifest", "blob", "tags", "referrers"};
  return fmt::format("{} {} {} {}{}", kNames[static_cast<std::size_t>(route->resource)],
                     route->registry ? route->registry->str() : "-",
                     route->repository ? route->repository->str() : "-",
                     route->reference ? route->reference->to_string() : "-", route->has_ns ? " ns" : "");
}

struct Case {
  std::string target;
  std::string route;
};

}  // namespace

TEST_CASE("targets of the registry API") {
  for (const Case& one : std::vector<Case>{
           {"/v2/", "ping - - -"},
           {"/v2", "ping - - -"},
           {"/v2/?ns=docker.io", "ping docker.io - - ns"},
           {"/v2/a/manifests/v1", "manifest - a v1"},
           {"/v2/a/b/c/manifests/v1", "manifest - a/b/c v1"},
           {"/v2/a/manifests/" + kDigest, "manifest - a " + kDigest},
           {"/v2/a/blobs/" + kDigest, "blob - a " + kDigest},
           {"/v2/a/blobs/sha256%3A" + std::string(64, 'a'), "blob - a " + kDigest},
           {"/v2/a/tags/list", "tags - a -"},
           {"/v2/a/tags/list?n=5", "tags - a -"},
           {"/v2/a/referrers/" + kDigest, "referrers - a " + kDigest},
       }) {
    INFO(one.target);
    CHECK(describe(one.target) == one.route);
  }
}

TEST_CASE("repositories that are called like the API's words are read from the right") {
  for (const Case& one : std::vector<Case>{
           {"/v2/blobs/blobs/" + kDigest, "blob - blobs " + kDigest},
           {"/v2/manifests/manifests/manifests", "manifest - manifests manifests"},
           {"/v2/tags/list/tags/list", "tags - tags/list -"},
           {"/v2/a/blobs/b/manifests/v1", "manifest - a/blobs/b v1"},
           {"/v2/a/manifests/blobs/" + kDigest, "blob - a/manifests " + kDigest},
           {"/v2/a/tags/manifests/list", "manifest - a/tags list"},
       }) {
    INFO(one.target);
    CHECK(describe(one.target) == one.route);
  }
}

TEST_CASE("a registry comes by ns, or else as the path's first part") {
  for (const Case& one : std::vector<Case>{
           {"/v2/ghcr.io/org/app/manifests/1.0", "manifest ghcr.io org/app 1.0"},
           {"/v2/localhost/a/manifests/v1", "manifest localhost a v1"},
           {"/v2/host:5000/a/manifests/v1", "manifest host:5000 a v1"},
           {"/v2/host%3A5000/a/manifests/v1", "manifest host:5000 a v1"},
           {"/v2/GHCR.io/a/manifests/v1", "manifest ghcr.io a v1"},
           {"/v2/index.docker.io/a/manifests/v1", "manifest docker.io a v1"},
           {"/v2/a/manifests/v1?ns=host%3A5000", "manifest host:5000 a v1 ns"},
           {"/v2/a/manifests/v1?x=y&ns=ghcr.io&z", "manifest ghcr.io a v1 ns"},
           {"/v2/a/manifests/v1?ns=ghcr.io&ns=GHCR.IO", "manifest ghcr.io a v1 ns"},
           {"/v2/a/manifests/v1?nsx=ghcr.io", "manifest - a v1"},
           {"/v2/ghcr.io/a/b/manifests/v1?ns=ghcr.io", "manifest ghcr.io a/b v1 ns"},
           {"/v2/GHCR.IO/a/manifests/v1?ns=ghcr.io", "manifest ghcr.io a v1 ns"},
           {"/v2/index.docker.io/a/manifests/v1?ns=docker.io", "manifest docker.io a v1 ns"},
           {"/v2/ghcr.io/tags/list?ns=quay.io", "tags quay.io ghcr.io - ns"},
           {"/v2/ghcr.io/a/manifests/v1?ns=quay.io", "manifest quay.io ghcr.io/a v1 ns"},
           {"/v2/org/ghcr.io/manifests/v1", "manifest - org/ghcr.io v1"},
           {"/v2/ghcr.io/manifests/v1", "400 NAME_INVALID"},
       }) {
    INFO(one.target);
    CHECK(describe(one.target) == one.route);
  }
}

TEST_CASE("what is no route is refused with the specification's code") {
  for (const Case& one : std::vector<Case>{
           {"", "404 UNSUPPORTED"},
           {"/", "404 UNSUPPORTED"},
           {"/v2x/", "404 UNSUPPORTED"},
           {"/v1/a/manifests/v1", "404 UNSUPPORTED"},
           {"/v2/a", "404 UNSUPPORTED"},
           {"/v2/manifests/v1", "404 UNSUPPORTED"},
           {"/v2/a/tags/other", "404 UNSUPPORTED"},
           {"/v2/_catalog", "404 UNSUPPORTED"},
           {"/v2/A/manifests/v1", "400 NAME_INVALID"},
           {"/v2/../manifests/v1", "400 NAME_INVALID"},
           {"/v2/a//manifests/v1", "400 NAME_INVALID"},
           {"/v2/a%00/manifests/v1", "400 NAME_INVALID"},
           {"/v2/a%zz/manifests/v1", "400 NAME_INVALID"},
           {"/v2/" + std::string(256, 'a') + "/manifests/v1", "400 NAME_INVALID"},
           {"/v2/a/manifests/" + std::string(129, 'a'), "404 MANIFEST_UNKNOWN"},
           {"/v2/a/manifests/.v1", "404 MANIFEST_UNKNOWN"},
           {"/v2/a/manifests/", "404 MANIFEST_UNKNOWN"},
           {"/v2/a/manifests/sha256:x", "400 DIGEST_INVALID"},
           {"/v2/a/manifests/sha1:" + std::string(40, 'a'), "400 DIGEST_INVALID"},
           {"/v2/a/blobs/v1", "400 DIGEST_INVALID"},
           {"/v2/a/referrers/v1", "400 DIGEST_INVALID"},
           {"/v2/a/manifests/v1?ns=a%0d%0ab", "400 NAME_INVALID"},
           {"/v2/a/manifests/v1?ns=", "400 NAME_INVALID"},
           {"/v2/a/manifests/v1?ns=a.b&ns=c.d", "400 NAME_INVALID"},
       }) {
    INFO(one.target);
    CHECK(describe(one.target) == one.route);
  }
}

TEST_CASE("the longest names that the specification allows are read") {
  const std::string name(255, 'a');
  const std::string tag(128, 'T');
  CHECK(describe("/v2/" + name + "/manifests/" + tag) == "manifest - " + name + " " + tag);
}

TEST_CASE("a route is completed by its listener's registry, and its repository as that registry knows it") {
  const auto completed = [](const std::string& target, const char* default_registry) {
    const Route route = complete(*parse_route(target), *oci::RegistryName::parse(default_registry));
    return route.registry->str() + " " + (route.repository ? route.repository->str() : "-");
  };
  CHECK(completed("/v2/nginx/manifests/v1", "docker.io") == "docker.io library/nginx");
  CHECK(completed("/v2/nginx/manifests/v1", "ghcr.io") == "ghcr.io nginx");
  CHECK(completed("/v2/quay.io/a/manifests/v1", "docker.io") == "quay.io a");
  CHECK(completed("/v2/docker.io/nginx/manifests/v1", "ghcr.io") == "docker.io library/nginx");
  CHECK(completed("/v2/nginx/manifests/v1?ns=docker.io", "ghcr.io") == "docker.io library/nginx");
  CHECK(completed("/v2/", "ghcr.io") == "ghcr.io -");
}
