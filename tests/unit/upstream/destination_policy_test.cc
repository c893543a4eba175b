// Where connections and credentials may go, rule by rule.
#include "upstream/destination_policy.h"

#include "tests/support/catch.h"

using layover::ErrorCode;
using layover::ErrorSource;
using layover::Result;
using layover::net::AddressClass;
using layover::net::IpAddress;
using layover::net::Network;
using layover::net::Url;
using layover::upstream::DestinationPolicy;
using layover::upstream::DestinationSettings;
using Purpose = DestinationPolicy::Purpose;

namespace {

Url url(std::string_view text) { return Url::parse(text).value(); }
IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

// A registry known by its name alone.
DestinationSettings bare(std::string name) {
  DestinationSettings settings;
  settings.url = url("https://" + name);
  settings.registry = std::move(name);
  return settings;
}

// A registry whose configuration names its URL.
DestinationSettings configured(std::string_view address) {
  DestinationSettings settings;
  settings.registry = "corp";
  settings.url = url(address);
  settings.url_is_configured = true;
  return settings;
}

bool is_refused_with(const Result<void>& result, std::string_view words) {
  return !result && result.error().code() == ErrorCode::kDenied &&
         result.error().source() == ErrorSource::kUpstream &&
         result.error().message().find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("a configured url may lead anywhere") {
  const DestinationPolicy policy(configured("http://10.0.0.5:5000"));
  for (const auto* address : {"8.8.8.8", "10.0.0.5", "127.0.0.1", "::1", "169.254.1.1", "fd00::1"}) {
    CAPTURE(address);
    CHECK(policy.may_connect(ip(address), AddressClass::kPublic, Purpose::kRegistry));
  }
}

TEST_CASE("a registry known by name alone is reached at public addresses only") {
  const DestinationPolicy policy(bare("registry.example:5000"));
  CHECK(policy.may_connect(ip("8.8.8.8"), AddressClass::kPublic, Purpose::kRegistry));
  for (const auto* address :
       {"10.0.0.5", "127.0.0.1", "::1", "169.254.169.254", "0.0.0.0", "::ffff:10.0.0.5"}) {
    CAPTURE(address);
    CHECK(is_refused_with(
        policy.may_connect(ip(address), AddressClass::kPublic, Purpose::kRegistry),
        R"(add "url": "https://registry.example:5000" to registries."registry.example:5000")"));
  }
}

TEST_CASE("redirects and realms of a public registry lead to public addresses only") {
  const auto purpose = GENERATE(Purpose::kRedirect, Purpose::kTokenRealm);
  const DestinationPolicy policy(configured("https://registry.example"));
  CHECK(policy.may_connect(ip("8.8.8.8"), AddressClass::kPublic, purpose));
  CHECK(policy.may_connect(ip("2606:4700::1"), AddressClass::kPublic, purpose));
  for (const auto* address : {"10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.169.254", "0.0.0.0", "fd00::1",
                              "::ffff:127.0.0.1", "64:ff9b::169.254.169.254", "224.0.0.1"}) {
    CAPTURE(address);
    CHECK(is_refused_with(policy.may_connect(ip(address), AddressClass::kPublic, purpose),
                          R"(registries."corp".allow_addresses)"));
  }
}

TEST_CASE("a private registry's redirects lead to private addresses, but not to loopback or link-local") {
  const DestinationPolicy policy(configured("https://10.0.0.5"));
  const auto follow = [&](std::string_view address) {
    return policy.may_connect(ip(address), AddressClass::kPrivate, Purpose::kRedirect).has_value();
  };
  CHECK(follow("8.8.8.8"));
  CHECK(follow("192.168.7.7"));
  CHECK(follow("fd00::1"));
  CHECK(follow("::ffff:10.9.9.9"));
  CHECK_FALSE(follow("127.0.0.1"));
  CHECK_FALSE(follow("::1"));
  CHECK_FALSE(follow("169.254.169.254"));
  CHECK_FALSE(follow("0.0.0.0"));
}

TEST_CASE("a loopback registry's redirects lead to loopback, but not to private addresses") {
  const DestinationPolicy policy(configured("http://localhost:5000"));
  const auto follow = [&](std::string_view address) {
    return policy.may_connect(ip(address), AddressClass::kLoopback, Purpose::kRedirect).has_value();
  };
  CHECK(follow("127.0.0.1"));
  CHECK(follow("::1"));
  CHECK_FALSE(follow("10.0.0.1"));
  CHECK_FALSE(follow("169.254.169.254"));
}

TEST_CASE("link-local is never inherited, and a name's address is no permission without a configured url") {
  CHECK_FALSE(DestinationPolicy(configured("http://169.254.1.1"))
                  .may_connect(ip("169.254.169.254"), AddressClass::kLinkLocal, Purpose::kRedirect));
  CHECK_FALSE(DestinationPolicy(bare("registry.example"))
                  .may_connect(ip("10.0.0.1"), AddressClass::kPrivate, Purpose::kRedirect));
}

TEST_CASE("allow_addresses opens what redirects and realms may lead to, and nothing else") {
  auto settings = bare("registry.example");
  settings.allow_addresses = {Network::parse("169.254.0.0/16").value(), Network::parse("::1").value()};
  const DestinationPolicy policy(settings);
  CHECK(policy.may_connect(ip("169.254.9.9"), AddressClass::kPublic, Purpose::kRedirect));
  CHECK(policy.may_connect(ip("::ffff:169.254.9.9"), AddressClass::kPublic, Purpose::kTokenRealm));
  CHECK(policy.may_connect(ip("::1"), AddressClass::kPublic, Purpose::kRedirect));
  CHECK_FALSE(policy.may_connect(ip("10.0.0.1"), AddressClass::kPublic, Purpose::kRedirect));
  CHECK_FALSE(policy.may_connect(ip("169.254.9.9"), AddressClass::kPublic, Purpose::kRegistry));
}

TEST_CASE("what leads back to the registry's own origin is the registry itself") {
  const DestinationPolicy policy(configured("https://10.0.0.5:5000"));
  CHECK(policy.purpose_of(url("https://10.0.0.5:5000/token"), Purpose::kTokenRealm) == Purpose::kRegistry);
  CHECK(policy.purpose_of(url("https://10.0.0.5/token"), Purpose::kTokenRealm) == Purpose::kTokenRealm);
  CHECK(policy.purpose_of(url("http://10.0.0.5:5000/x"), Purpose::kRedirect) == Purpose::kRedirect);
}

TEST_CASE("https never leads to http") {
  const DestinationPolicy policy(configured("https://registry.example"));
  CHECK(policy.may_follow(url("https://a"), url("https://b")));
  CHECK(policy.may_follow(url("http://a"), url("http://b")));
  CHECK(policy.may_follow(url("http://a"), url("https://b")));
  const auto refused = policy.may_follow(url("https://a/x?sig=secret"), url("http://b/y?sig=secret"));
  CHECK(is_refused_with(refused, "http://b/y"));
  CHECK_FALSE(is_refused_with(refused, "secret"));
}

TEST_CASE("credentials go to the registry's own scheme, host and port") {
  const DestinationPolicy policy(configured("https://registry.example:5000"));
  CHECK(policy.may_send_credentials(url("https://registry.example:5000/token")));
  for (const auto* other : {"https://registry.example/", "https://registry.example:5001/",
                            "https://evil.registry.example:5000/", "http://registry.example:5000/"}) {
    CAPTURE(other);
    CHECK_FALSE(policy.may_send_credentials(url(other)));
  }
}

TEST_CASE("credentials go to a well-known registry's token service") {
  auto settings = bare("registry-1.docker.io");
  settings.built_in_token_hosts = {"auth.docker.io"};
  const DestinationPolicy policy(settings);
  CHECK(policy.may_send_credentials(url("https://auth.docker.io/token?service=x")));
  CHECK_FALSE(policy.may_send_credentials(url("https://auth.docker.io:8443/token")));
  CHECK_FALSE(policy.may_send_credentials(url("http://auth.docker.io/token")));
  CHECK_FALSE(policy.may_send_credentials(url("http://auth.docker.io:443/token")));
}

TEST_CASE("token_realms adds hosts, with a port where it is not the scheme's own") {
  auto settings = configured("https://registry.example");
  settings.token_realms = {"Auth.example", "other.example:8443", "third.example:443", "[fd00::1]:9"};
  const DestinationPolicy policy(settings);
  CHECK(policy.may_send_credentials(url("https://auth.example/token")));
  CHECK(policy.may_send_credentials(url("https://other.example:8443/token")));
  CHECK(policy.may_send_credentials(url("https://third.example/token")));
  CHECK(policy.may_send_credentials(url("https://[fd00::1]:9/token")));
  CHECK_FALSE(policy.may_send_credentials(url("https://auth.example:8443/token")));
  CHECK_FALSE(policy.may_send_credentials(url("https://other.example/token")));
  CHECK(is_refused_with(policy.may_send_credentials(url("https://new.example:1/t?x=secret")),
                        R"(add "new.example:1" to registries."corp".token_realms)"));
}

TEST_CASE("credentials cross plain http only where the registry itself is plain http") {
  auto settings = configured("https://registry.example");
  settings.token_realms = {"auth.example"};
  CHECK(is_refused_with(DestinationPolicy(settings).may_send_credentials(url("http://auth.example/t")),
                        "plain http"));
  settings.url = url("http://registry.example:5000");
  CHECK(DestinationPolicy(settings).may_send_credentials(url("http://auth.example/t")));
  CHECK(DestinationPolicy(settings).may_send_credentials(url("https://auth.example/t")));
  CHECK(DestinationPolicy(settings).may_send_credentials(url("http://registry.example:5000/t")));
}
