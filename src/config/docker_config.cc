// Looking a registry up in config.json.
#include "config/docker_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/ascii.h"
#include "config/document.h"
#include "config/report.h"

namespace layover::config {
namespace {

using Failure = std::unexpected<std::string>;

/// Null where `object` is null or has no such key.
const Node* member(const Node* object, std::string_view key) {
  if (object == nullptr) return nullptr;
  const auto found = std::ranges::find(object->members, key, &Member::key);
  return found == object->members.end() ? nullptr : &found->value;
}

std::string_view text_of(const Node* node) {
  return node != nullptr && node->kind == Node::Kind::kText ? std::string_view(node->text)
                                                            : std::string_view();
}

/// The key that Docker itself writes for a registry.
std::string own_key(const oci::RegistryName& registry) {
  return registry.is_docker_io() ? "https://index.docker.io/v1/" : registry.str();
}

bool names(std::string_view key, const oci::RegistryName& registry) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) key.remove_prefix(scheme.size());
  }
  const auto slash = std::min(key.find('/'), key.size());
  const auto path = key.substr(slash);
  static constexpr std::array<std::string_view, 6> kPaths = {"", "/", "/v1", "/v1/", "/v2", "/v2/"};
  if (std::ranges::find(kPaths, path) == kPaths.end()) return false;
  return oci::RegistryName::parse(key.substr(0, slash)) == registry;
}

/// The value under the key that means the registry, Docker's own spelling first; null where there is none.
const Node* entry_for(const Node* object, const oci::RegistryName& registry) {
  if (object == nullptr) return nullptr;
  if (const Node* exact = member(object, own_key(registry))) return exact;
  const auto is_meant = [&](const Member& entry) { return names(entry.key, registry); };
  const auto found = std::ranges::find_if(object->members, is_meant);
  return found == object->members.end() ? nullptr : &found->value;
}

std::optional<unsigned> base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (is_lower_letter(c)) return c - 'a' + 26;
  if (is_digit(c)) return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return std::nullopt;
}

/// RFC 4648 4, padded; nothing for anything else.
std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  std::string decoded;
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const char c : text) {
    const auto value = base64_value(c);
    if (!value) return std::nullopt;
    bits = bits << 6 | *value;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    decoded.push_back(static_cast<char>(bits >> held & 0xFFU));
  }
  return decoded;
}

std::expected<Credentials, std::string> from_helper(std::string_view name, const std::string& path,
                                                    const oci::RegistryName& registry) {
  // It becomes a part of a program's name, which is looked for in PATH.
  const auto is_plain = [](char c) { return is_alphanumeric(c) || c == '-' || c == '_' || c == '.'; };
  if (name.empty() || !std::ranges::all_of(name, is_plain)) {
    return Failure(
        fmt::format("{} names no usable credential helper for {}: expected letters, digits, '-', "
                    "'_' and '.', such as \"ecr-login\"",
                    path, registry.str()));
  }
  return Credentials{.helper = CredentialHelper{.program = fmt::format("docker-credential-{}", name),
                                                .server = own_key(registry)}};
}

std::expected<Credentials, std::string> from_entry(const Node& entry, const std::string& path,
                                                   const oci::RegistryName& registry) {
  for (const std::string_view token : {"identitytoken", "registrytoken"}) {
    if (text_of(member(&entry, token)).empty()) continue;
    return Failure(
        fmt::format("{} has an {} for {}, which is not supported; log in with a user name and a "
                    "password or an access token",
                    path, token, registry.str()));
  }
  auto decoded = decode_base64(text_of(member(&entry, "auth")));
  // Docker pads passwords with NUL in old files.
  while (decoded && decoded->ends_with('\0')) decoded->pop_back();
  const auto colon = decoded ? decoded->find(':') : std::string::npos;
  if (colon == std::string::npos || colon == 0 || colon + 1 == decoded->size() ||
      has_control_character(*decoded)) {
    return Failure(fmt::format("\"auth\" for {} in {} is not a user name and a password in base64",
                               registry.str(), path));
  }
  return Credentials{.username = decoded->substr(0, colon), .password = decoded->substr(colon + 1)};
}

}  // namespace

std::expected<Credentials, std::string> docker_credentials(std::string_view text, const std::string& path,
                                                           const oci::RegistryName& registry) {
  Report report(path);
  const auto root = read_document(text, report);
  if (!report.is_empty()) return Failure(to_string(report.take().front()));
  if (root->kind != Node::Kind::kObject) return Failure(path + " is no JSON object");

  if (const Node* helper = entry_for(member(&*root, "credHelpers"), registry)) {
    return from_helper(text_of(helper), path, registry);
  }
  if (const auto store = text_of(member(&*root, "credsStore")); !store.empty()) {
    return from_helper(store, path, registry);
  }
  const Node* entry = entry_for(member(&*root, "auths"), registry);
  if (entry != nullptr && !entry->members.empty()) return from_entry(*entry, path, registry);
  return Failure(
      fmt::format("{} has no credentials for {}: expected \"{}\" under \"auths\" or \"credHelpers\", "
                  "or a \"credsStore\"",
                  path, registry.str(), own_key(registry)));
}

}  // namespace layover::config
