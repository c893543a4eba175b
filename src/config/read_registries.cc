// The keys of a registry.
#include "config/read_registries.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "base/ascii.h"
#include "config/read_credentials.h"
#include "config/rules.h"
#include "config/well_known.h"

namespace layover::config {
namespace {

// Far more than any bundle of certificates has.
constexpr Bytes kMostCertificates = 8_MiB;
constexpr unsigned kMostStreams = 32;

/// Reads a list of strings with `parse`; what it does not take is reported as not `expected`. The strings are
/// not shown: somebody may have put a URL with a password there.
template <typename T>
void read_list(const Value& value, std::string_view expected, std::optional<T> (*parse)(std::string_view),
               std::vector<T>& out) {
  if (value.node.kind != Node::Kind::kList) {
    return value.expected(fmt::format("a list of strings, each {}", expected));
  }
  for (std::size_t i = 0; i < value.node.items.size(); ++i) {
    const Value item{value.node.items[i], item_path(value.path, i), value.report};
    const std::string* text = item.text(expected);
    if (text == nullptr) continue;
    auto parsed = parse(*text);
    if (!parsed) {
      item.fail(fmt::format("expected {}", expected));
      continue;
    }
    out.push_back(std::move(*parsed));
  }
}

void read_url(const Value& value, Registry& registry) {
  static constexpr std::string_view kExpected =
      "a URL of scheme, host and port, such as \"https://registry.example:5000\"";
  // Also when it is malformed, so that a private host is not reported as one without "url".
  registry.is_url_explicit = true;
  const std::string* text = value.text(kExpected);
  if (text == nullptr) return;
  const auto url = parse_registry_url(*text);
  if (!url) return value.fail(fmt::format("expected {}, without a path, a query or a user", kExpected));
  registry.url = *url;
}

void read_streams(const Value& value, unsigned& out) {
  const auto streams = parse_decimal<unsigned>(value.node.text);
  if (value.node.kind != Node::Kind::kNumber || !streams || *streams < 1 || *streams > kMostStreams) {
    return value.fail(fmt::format("expected a whole number from 1 to {}", kMostStreams));
  }
  out = *streams;
}

void read_ca_file(const Value& value, const ReadContext& context, Registry& registry) {
  const std::string* text = value.text("the path of a file with certificates in PEM form");
  if (text == nullptr) return;
  registry.ca_file = context.resolve(*text);
  const auto content = read_file(*context.environment.files, registry.ca_file, kMostCertificates);
  if (!content) return value.fail(content.error().describe());
  if (content->find("-----BEGIN ") == std::string::npos) {
    value.fail(fmt::format("{} has no certificate in PEM form", registry.ca_file));
  }
}

void read_registry(const Value& value, const ReadContext& context, Registry& registry) {
  Section section(value);
  if (const auto url = section.find("url")) read_url(*url, registry);
  if (const auto ca_file = section.find("ca_file")) read_ca_file(*ca_file, context, registry);
  if (const auto credentials = section.find("credentials")) {
    registry.credentials = read_credentials(*credentials, context, registry.name);
  }
  section.read("shared", registry.shared);
  if (const auto realms = section.find("token_realms")) {
    read_list(*realms, "a host with an optional port, such as \"auth.example:8443\"", oci::Authority::parse,
              registry.token_realms);
  }
  if (const auto networks = section.find("allow_addresses")) {
    read_list(*networks, "a network, such as \"10.0.0.0/8\" or \"fd00::/8\", without bits after its prefix",
              parse_network, registry.allow_addresses);
  }
  if (const auto streams = section.find("streams")) read_streams(*streams, registry.streams);
  read_times(section, registry.times);
  section.not_supported({"mirrors", "max_connections", "client_certificate", "client_key", "repositories",
                         "tags", "on_deleted", "enabled"});
  section.finish();

  if (!registry.is_url_explicit && is_private_host(registry.name.authority().host)) {
    value.fail(
        fmt::format("a private address is reached only where it is named by \"url\"; add \"url\": \"{}\"",
                    to_string(registry.url)));
  }
}

void read_others(const Value& value, OtherRegistries& others) {
  Section section(value);
  section.read("enabled", others.enabled);
  section.finish();
}

}  // namespace

void read_registries(const Value& value, const ReadContext& context, Settings& settings) {
  if (value.node.kind != Node::Kind::kObject) return value.expected("an object with a key for each registry");
  std::map<oci::RegistryName, const Member*> seen;
  for (const Member& member : value.node.members) {
    const auto path = member_path(value.path, member.key);
    const auto fail = [&](std::string message) {
      value.report.add(member.position, path, std::move(message));
    };
    if (member.key == "*") {
      read_others(Value{member.value, path, value.report}, settings.others);
      continue;
    }
    const auto name = oci::RegistryName::parse(member.key);
    if (!name) {
      fail(
          "expected a registry's host with an optional port, such as \"ghcr.io\" or "
          "\"registry.internal:5000\"");
      continue;
    }
    const auto [first, is_new] = seen.emplace(*name, &member);
    if (!is_new) {
      fail(fmt::format("the same registry as \"{}\" on line {}", first->second->key,
                       first->second->position.line));
      continue;
    }
    auto& registry =
        settings.registries.try_emplace(*name, make_registry(*name, settings.defaults)).first->second;
    read_registry(Value{member.value, path, value.report}, context, registry);
  }
}

void check_registries(const Value& value, const Settings& settings) {
  for (const Member& member : value.node.members) {
    const auto name = oci::RegistryName::parse(member.key);
    const Registry* registry = name ? settings.find(*name) : nullptr;
    const auto credentials = std::ranges::find(member.value.members, "credentials", &Member::key);
    if (registry == nullptr || credentials == member.value.members.end()) continue;
    const auto problem = exposed_credentials(*registry, settings.listen);
    if (!problem) continue;
    const auto path = member_path(member_path(value.path, member.key), credentials->key);
    value.report.add(credentials->position, path, *problem);
  }
}

}  // namespace layover::config
