// The settings written back: the same when they are read again, and without secrets.
#include "config/show.h"

#include <string>

#include "tests/support/catch.h"
#include "tests/unit/config/every_key.h"
#include "tests/unit/config/fixture.h"

using namespace layover;
using namespace layover::config;

TEST_CASE("what is shown is read as the same settings") {
  const EveryKey every_key;
  const auto settings = every_key.load_all();
  const auto shown = show(settings, Layout::kIndented);
  // Elsewhere, so that no path depends on where the file is.
  const auto again = load(shown, every_key.environment(), "/elsewhere/layover.json");
  CHECK(show(again, Layout::kIndented) == shown);

  CHECK(again.listen.size() == settings.listen.size());
  CHECK(again.listen[0].default_registry == settings.listen[0].default_registry);
  CHECK(again.cache.max_size == settings.cache.max_size);
  CHECK(again.cache.max_object == settings.cache.max_object);
  CHECK(again.cache.min_free == settings.cache.min_free);
  CHECK(again.defaults == settings.defaults);
  CHECK(again.others.enabled == settings.others.enabled);
  CHECK(again.registries.size() == settings.registries.size());
  for (const auto& [name, registry] : settings.registries) {
    INFO(name.str());
    const Registry& other = registry_in(again, name.str());
    CHECK(other.url == registry.url);
    CHECK(other.is_url_explicit == registry.is_url_explicit);
    CHECK(other.times == registry.times);
    CHECK(other.shared == registry.shared);
    CHECK(other.token_realms == registry.token_realms);
    REQUIRE(other.credentials.has_value() == registry.credentials.has_value());
    if (!other.credentials) continue;
    CHECK(other.credentials->username == registry.credentials->username);
    CHECK(other.credentials->password == registry.credentials->password);
  }
}

TEST_CASE("the defaults are shown and read back too") {
  const auto shown = show(load("{}"), Layout::kOneLine);
  CHECK(shown.find('\n') == std::string::npos);
  CHECK(show(load(shown), Layout::kOneLine) == shown);
  CHECK(shown.contains(R"("tag_ttl":"1m")"));
  CHECK(shown.contains(R"("quay.io":{})"));
  CHECK_FALSE(shown.contains("min_free"));
}

TEST_CASE("passwords are not shown, only where they came from") {
  const EveryKey every_key;
  const auto shown = show(every_key.load_all(), Layout::kIndented);
  CHECK_FALSE(shown.contains(EveryKey::kSecret));
  CHECK(shown.contains(R"("username": "in-file")"));
  CHECK(shown.contains(every_key.path("password")));
  CHECK(shown.contains(R"("password_env": "PW")"));
  CHECK(shown.contains(every_key.path("docker.json")));
}
