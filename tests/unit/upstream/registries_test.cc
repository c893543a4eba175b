// Which registries may be reached: those with an entry, and, where "*" is enabled, public hosts by name.
#include <memory>
#include <string>
#include <utility>

#include "metrics/metrics.h"
#include "tests/support/catch.h"
#include "upstream/registry.h"

using namespace layover;
using namespace layover::upstream;

namespace {

oci::RegistryName name(std::string_view text) { return *oci::RegistryName::parse(text); }

struct Fixture {
  config::Settings settings;
  metrics::Metrics metrics{metrics::MetricsOptions{
      .registries = {"named.example"}, .loops = 1, .version = "0.0.0", .revision = "test"}};

  Registries make(bool are_others_enabled) {
    settings.others.enabled = are_others_enabled;
    settings.registries.emplace(name("named.example"), config::Registry{.name = name("named.example")});
    return make(std::make_shared<const config::Settings>(settings), nullptr);
  }
  Registries make(std::shared_ptr<const config::Settings> of, const Registries* before) const {
    auto made = Registries::make(std::move(of), metrics, before);
    REQUIRE(made);
    return std::move(*made);
  }
};

}  // namespace

TEST_CASE("without \"*\" only registries with an entry are found") {
  Fixture fixture;
  const auto registries = fixture.make(false);
  CHECK(registries.find(name("named.example")) != nullptr);
  CHECK(registries.find(name("other.example")) == nullptr);
}

TEST_CASE("with \"*\" any other is made once, over https at its own name") {
  Fixture fixture;
  fixture.settings.defaults.idle_timeout = std::chrono::seconds(7);
  const auto registries = fixture.make(true);
  const auto other = registries.find(name("other.example:8443"));
  REQUIRE(other != nullptr);
  CHECK(registries.find(name("other.example:8443")) == other);
  CHECK(other->own()->url().scheme == net::Scheme::kHttps);
  CHECK(other->own()->url().authority() == "other.example:8443");
  CHECK(other->settings().times.idle_timeout == std::chrono::seconds(7));
  CHECK(registries.find(name("named.example"))->settings().name.str() == "named.example");
}

TEST_CASE("what \"*\" allows is reached at public addresses only") {
  Fixture fixture;
  const auto other = fixture.make(true).find(name("other.example"));
  REQUIRE(other != nullptr);
  for (const char* address :
       {"127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1"}) {
    INFO(address);
    CHECK_FALSE(other->own()->policy().may_connect(
        *net::IpAddress::parse(address), net::AddressClass::kPublic, DestinationPolicy::Purpose::kRegistry));
  }
  CHECK(other->own()->policy().may_connect(*net::IpAddress::parse("93.184.216.34"),
                                           net::AddressClass::kPublic,
                                           DestinationPolicy::Purpose::kRegistry));
}

TEST_CASE("addresses and names of this machine have to be named in the configuration, also with \"*\"") {
  Fixture fixture;
  const auto registries = fixture.make(true);
  for (const char* text : {"localhost", "localhost:5000", "a.localhost", "127.0.0.1", "10.0.0.1:5000",
                           "93.184.216.34", "[2001:4860:4860::8888]", "[::1]:5000"}) {
    INFO(text);
    CHECK(registries.find(name(text)) == nullptr);
  }
}

TEST_CASE(
    "a registry that is made again shares nothing that depends on trust, but what is known of its health") {
  Fixture fixture;
  const auto before = fixture.make(false);
  const auto named = before.find(name("named.example"));
  named->health().note_outage(Error(ErrorCode::kConnect, ErrorSource::kUpstream, "refused"));
  auto settings = fixture.settings;
  config::Registry& changed = settings.registries.at(name("named.example"));
  changed.times.idle_timeout = std::chrono::seconds(7);

  const auto again = fixture.make(std::make_shared<const config::Settings>(settings), &before);
  CHECK(again.find(name("named.example"))->health().is_down());
  CHECK(again.find(name("named.example"))->own()->identity() != named->own()->identity());
  CHECK(again.find(name("named.example"))->settings().times.idle_timeout == std::chrono::seconds(7));

  changed.credentials = config::Credentials{.username = "u", .password = "p"};
  const auto as_another = fixture.make(std::make_shared<const config::Settings>(settings), &before);
  CHECK_FALSE(as_another.find(name("named.example"))->health().is_down());

  changed.credentials.reset();
  changed.url.host = "elsewhere.example";
  const auto elsewhere = fixture.make(std::make_shared<const config::Settings>(settings), &before);
  CHECK_FALSE(elsewhere.find(name("named.example"))->health().is_down());
}

TEST_CASE("mirrors come in their order, each with its own place, credentials and health") {
  Fixture fixture;
  config::Registry registry{.name = name("named.example")};
  registry.credentials = config::Credentials{.username = "own", .password = "p"};
  registry.token_realms.push_back(*oci::Authority::parse("realm.example"));
  registry.built_in_token_hosts.push_back(*oci::Authority::parse("built-in.example"));
  registry.mirrors.push_back({.url = {.is_tls = false, .host = "10.0.0.1", .port = 5000}});
  registry.mirrors.push_back({.url = {.host = "second.example"},
                              .may_resolve = true,
                              .credentials = config::Credentials{.username = "second", .password = "p"}});
  fixture.settings.registries.emplace(registry.name, registry);
  const auto registries = fixture.make(false);
  const auto made = registries.find(registry.name);
  REQUIRE(made->mirrors().size() == 2);
  const Endpoint& first = *made->mirrors()[0].endpoint;
  const Endpoint& second = *made->mirrors()[1].endpoint;
  CHECK(first.url().authority() == "10.0.0.1:5000");
  CHECK_FALSE(made->mirrors()[0].may_resolve);
  CHECK(made->mirrors()[1].may_resolve);
  CHECK_FALSE(first.credentials());
  CHECK(second.credentials()->username == "second");
  CHECK(first.name() == "named.example's mirror http://10.0.0.1:5000");
  // Its url is the permission for its address; the registry's own is none.
  const auto private_address = *net::IpAddress::parse("10.0.0.1");
  CHECK(first.policy().may_connect(private_address, net::AddressClass::kPublic,
                                   DestinationPolicy::Purpose::kRegistry));
  CHECK_FALSE(made->own()->policy().may_connect(private_address, net::AddressClass::kPublic,
                                                DestinationPolicy::Purpose::kRegistry));
  CHECK(second.policy().may_send_credentials(*net::Url::parse("https://realm.example/token")));
  CHECK_FALSE(second.policy().may_send_credentials(*net::Url::parse("https://built-in.example/token")));
  CHECK_FALSE(second.policy().may_send_credentials(*net::Url::parse("https://named.example/token")));

  second.health().note_outage(Error(ErrorCode::kConnect, ErrorSource::kUpstream, "refused"));
  CHECK_FALSE(made->health().is_down());
  config::Registry& changed = fixture.settings.registries.at(registry.name);
  changed.mirrors.erase(changed.mirrors.begin());
  const auto again = fixture.make(std::make_shared<const config::Settings>(fixture.settings), &registries);
  CHECK(again.find(registry.name)->mirrors().front().endpoint->health().is_down());
}

TEST_CASE("names that clients invent do not pile up") {
  Fixture fixture;
  const auto registries = fixture.make(true);
  const auto first = registries.find(name("first.example"));
  for (std::size_t i = 0; i < Registries::kMostOthers; ++i) {
    CHECK(registries.find(name("r" + std::to_string(i) + ".example")) != nullptr);
  }
  // Forgotten meanwhile, and made anew; who has it can go on.
  CHECK(registries.find(name("first.example")) != first);
  CHECK(first->name() == "first.example");
}

TEST_CASE("no more streams download a blob than there may be connections") {
  Fixture fixture;
  for (const auto& [connections, streams] : {std::pair{0U, 8U}, std::pair{3U, 3U}, std::pair{20U, 8U}}) {
    config::Settings settings;
    settings.registries.emplace(name("a.example"),
                                config::Registry{.name = name("a.example"), .max_connections = connections});
    const auto made = fixture.make(std::make_shared<const config::Settings>(settings), nullptr);
    CHECK(made.find(name("a.example"))->streams() == streams);
  }
}
