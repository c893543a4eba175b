// What a running process takes over from a changed configuration.
#include "config/reload.h"

#include "tests/support/catch.h"

using namespace layover;
using namespace layover::config;

namespace {

const oci::RegistryName kGhcr = *oci::RegistryName::parse("ghcr.io");

Settings running() {
  Settings settings;
  settings.listen = {{.address = {.host = "0.0.0.0", .port = 5000}},
                     {.address = {.host = "127.0.0.1", .port = 5002}}};
  settings.threads = 2;
  for (const auto& name : {oci::RegistryName::docker_io(), kGhcr}) {
    settings.registries.emplace(name, Registry{.name = name});
  }
  return settings;
}

}  // namespace

TEST_CASE("what can change is taken over as it is") {
  Settings next = running();
  next.cache.max_size = Space::share(50);
  next.shutdown.grace = std::chrono::seconds(3);
  next.log.level = LogLevel::kDebug;
  next.registries.erase(kGhcr);
  const auto differing = keep_what_is_fixed(running(), next);
  REQUIRE(differing);
  CHECK(differing->empty());
  CHECK(next.cache.max_size == Space::share(50));
  CHECK(next.shutdown.grace == std::chrono::seconds(3));
  CHECK(next.log.level == LogLevel::kDebug);
  CHECK(next.find(kGhcr) == nullptr);
}

TEST_CASE("what is fixed stays, and is named") {
  Settings next = running();
  next.listen.pop_back();
  next.admin.listen.port = 6001;
  next.cache.path = "/elsewhere";
  next.threads = 8;
  const auto differing = keep_what_is_fixed(running(), next);
  REQUIRE(differing);
  CHECK(*differing == std::vector<std::string>{"listen", "admin.listen", "cache.path", "threads"});
  CHECK(next.listen.size() == 2);
  CHECK(next.admin.listen.port == 5001);
  CHECK(next.cache.path == "/var/lib/layover");
  CHECK(next.threads == 2);
}

TEST_CASE("listeners in another order are the same, each with its own default registry") {
  Settings next = running();
  next.listen = {{.address = {.host = "127.0.0.1", .port = 5002}, .default_registry = kGhcr},
                 {.address = {.host = "0.0.0.0", .port = 5000}}};
  const auto differing = keep_what_is_fixed(running(), next);
  REQUIRE(differing);
  CHECK(differing->empty());
  REQUIRE(next.listen.size() == 2);
  CHECK(next.listen[0].address.port == 5000);
  CHECK(next.listen[0].default_registry == oci::RegistryName::docker_io());
  CHECK(next.listen[1].default_registry == kGhcr);
}

TEST_CASE("credentials that the file shows on loopback only are not used while an open listener stays") {
  Settings next = running();
  next.listen = {{.address = {.host = "127.0.0.1", .port = 5002}}};
  next.registries.find(kGhcr)->second.credentials = Credentials{.username = "u", .password = "p"};
  const auto refused = keep_what_is_fixed(running(), next);
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error(),
             Catch::Matchers::Contains("0.0.0.0:5000") && Catch::Matchers::Contains("ghcr.io"));
}

TEST_CASE("a listener that stays needs its default registry") {
  Settings before = running();
  before.listen[1].default_registry = kGhcr;
  Settings next = running();
  next.listen.pop_back();
  next.registries.erase(kGhcr);
  const auto refused = keep_what_is_fixed(before, next);
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error(),
             Catch::Matchers::Contains("127.0.0.1:5002") && Catch::Matchers::Contains("ghcr.io"));
}
