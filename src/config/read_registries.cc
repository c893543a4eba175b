// The keys of a registry.
#include "config/read_registries.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "base/ascii.h"
#include "config/certificates.h"
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

void read_url(const Value& value, RegistryUrl& out) {
  static constexpr std::string_view kExpected =
      "a URL of scheme, host and port, such as \"https://registry.example:5000\"";
  const std::string* text = value.text(kExpected);
  if (text == nullptr) return;
  const auto url = parse_registry_url(*text);
  if (!url) return value.fail(fmt::format("expected {}, without a path, a query or a user", kExpected));
  out = *url;
}

void read_ca_file(const Value& value, const ReadContext& context, std::string& out) {
  const std::string* text = value.text("the path of a file with certificates in PEM form");
  if (text == nullptr) return;
  out = context.resolve(*text);
  const auto content = read_file(*context.environment.files, out, kMostCertificates);
  if (!content) return value.fail(content.error().describe());
  if (const auto checked = check_certificates(*content); !checked) {
    value.fail(fmt::format("{} {}", out, checked.error().message()));
  }
}

void read_capabilities(const Value& value, Mirror& mirror) {
  static constexpr std::string_view kExpected = "\"pull\", with or without \"resolve\"";
  if (value.node.kind != Node::Kind::kList) return value.expected(fmt::format("a list of {}", kExpected));
  bool may_pull = false;
  for (std::size_t i = 0; i < value.node.items.size(); ++i) {
    const Value item{value.node.items[i], item_path(value.path, i), value.report};
    const std::string* text = item.text(kExpected);
    if (text == nullptr) continue;
    may_pull |= *text == "pull";
    mirror.may_resolve |= *text == "resolve";
    if (*text != "pull" && *text != "resolve") item.fail(fmt::format("expected {}", kExpected));
  }
  if (!may_pull) value.fail("a mirror without \"pull\" would be of no use");
}

Mirror read_mirror(const Value& value, const ReadContext& context, const oci::RegistryName& registry) {
  Mirror mirror;
  if (value.node.kind == Node::Kind::kText) {
    read_url(value, mirror.url);
    return mirror;
  }
  if (value.node.kind != Node::Kind::kObject) {
    value.expected("a URL, or an object with \"url\"");
    return mirror;
  }
  Section section(value);
  const auto url = section.find("url");
  if (url) {
    read_url(*url, mirror.url);
  } else {
    value.fail("expected \"url\"");
  }
  if (const auto capabilities = section.find("capabilities")) read_capabilities(*capabilities, mirror);
  if (const auto ca_file = section.find("ca_file")) read_ca_file(*ca_file, context, mirror.ca_file);
  if (const auto credentials = section.find("credentials")) {
    // Docker's configuration has them under the host that is asked.
    const std::string text = to_string(mirror.url);
    const auto host = oci::RegistryName::parse(std::string_view(text).substr(text.find("://") + 3));
    mirror.credentials = read_credentials(*credentials, context, host.value_or(registry));
  }
  section.finish();
  return mirror;
}

void read_mirrors(const Value& value, const ReadContext& context, Registry& registry) {
  if (value.node.kind != Node::Kind::kList) return value.expected("a list of mirrors");
  const auto is_known = [&](const RegistryUrl& url) {
    return std::ranges::find(registry.mirrors, url, &Mirror::url) != registry.mirrors.end();
  };
  for (std::size_t i = 0; i < value.node.items.size(); ++i) {
    const Value item{value.node.items[i], item_path(value.path, i), value.report};
    Mirror mirror = read_mirror(item, context, registry.name);
    if (mirror.url.host.empty()) continue;  // reported
    if (mirror.url == registry.url || is_known(mirror.url)) {
      item.fail(fmt::format("{} is asked already", to_string(mirror.url)));
      continue;
    }
    registry.mirrors.push_back(std::move(mirror));
  }
}

void read_registry(const Value& value, const ReadContext& context, Registry& registry) {
  Section section(value);
  if (const auto url = section.find("url")) {
    // Also when it is malformed, so that a private host is not reported as one without "url".
    registry.is_url_explicit = true;
    read_url(*url, registry.url);
  }
  if (const auto mirrors = section.find("mirrors")) read_mirrors(*mirrors, context, registry);
  if (const auto ca_file = section.find("ca_file")) read_ca_file(*ca_file, context, registry.ca_file);
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
  section.read("streams", registry.streams, 1U, kMostStreams);
  section.read("prefetch", registry.prefetch);
  section.read("max_connections", registry.max_connections, 0U, kMostConnections);
  read_times(section, registry.times);
  section.not_supported(
      {"client_certificate", "client_key", "repositories", "tags", "on_deleted", "enabled"});
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
    if (registry == nullptr) continue;
    const auto problem = exposed_credentials(*registry, settings.listen);
    if (!problem) continue;
    const std::string_view key = registry->credentials ? "credentials" : "mirrors";
    const auto culprit = std::ranges::find(member.value.members, key, &Member::key);
    if (culprit == member.value.members.end()) continue;
    value.report.add(culprit->position, member_path(member_path(value.path, member.key), key), *problem);
  }
}

}  // namespace layover::config
