// Which client has fetched which manifest, and what it asks for next.
#include "proxy/pull_table.h"

#include <memory>
#include <string>
#include <vector>

#include "tests/support/catch.h"

using namespace layover;
using proxy::Pull;
using proxy::PullTable;

namespace {

const net::IpAddress kClient(net::IpAddress::V4{10, 0, 0, 1});
const net::IpAddress kOther(net::IpAddress::V4{10, 0, 0, 2});

cache::Scope scope_of(std::string_view repository) {
  return {.registry = *oci::RegistryName::parse("r.test"),
          .repository = *oci::RepositoryName::parse(repository)};
}

oci::Digest digest_of(char nibble) { return *oci::Digest::parse("sha256:" + std::string(64, nibble)); }

std::shared_ptr<Pull> pull_of(const std::string& nibbles) {
  std::vector<oci::Descriptor> layers;
  for (const char nibble : nibbles) {
    layers.push_back(
        {.media_type = "", .digest = digest_of(nibble), .size = Bytes{1}, .role = oci::ChildRole::kLayer});
  }
  return std::make_shared<Pull>(std::move(layers));
}

}  // namespace

TEST_CASE("a pull begins once, with any of its layers, for the client and the repository of its manifest") {
  PullTable pulls;
  const auto now = Deadline::Clock::now();
  const auto pull = pull_of("ab");
  CHECK(pulls.begin(kClient, scope_of("a"), digest_of('a'), now) == nullptr);
  pulls.note(kClient, scope_of("a"), pull);
  CHECK(pulls.begin(kOther, scope_of("a"), digest_of('a'), now) == nullptr);
  CHECK(pulls.begin(kClient, scope_of("b"), digest_of('a'), now) == nullptr);
  CHECK(pulls.begin(kClient, scope_of("a"), digest_of('c'), now) == nullptr);
  CHECK(pulls.begin(kClient, scope_of("a"), digest_of('b'), now) == pull);
  CHECK(pulls.begin(kClient, scope_of("a"), digest_of('a'), now) == nullptr);
}

TEST_CASE("of two images with a layer in common, it begins the one whose manifest came last") {
  PullTable pulls;
  const auto now = Deadline::Clock::now();
  const auto first = pull_of("ab");
  const auto second = pull_of("bc");
  pulls.note(kClient, scope_of("a"), first);
  pulls.note(kClient, scope_of("a"), second);
  CHECK(pulls.begin(kClient, scope_of("a"), digest_of('b'), now) == second);
  CHECK(pulls.begin(kClient, scope_of("a"), digest_of('a'), now) == first);
}

TEST_CASE("a pull is forgotten after a while") {
  PullTable pulls;
  pulls.note(kClient, scope_of("a"), pull_of("a"));
  const auto later = Deadline::Clock::now() + PullTable::kKept + std::chrono::seconds(1);
  CHECK(pulls.begin(kClient, scope_of("a"), digest_of('a'), later) == nullptr);
}
