// The grammar of hosts, and the aliases of Docker Hub.
#include "oci/registry_name.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/ascii.h"

namespace layover::oci {
namespace {

constexpr std::size_t kLongestHost = 253;  // RFC 1035 2.3.4, as text
constexpr std::size_t kLongestLabel = 63;

std::optional<std::uint16_t> parse_port(std::string_view text) {
  if (text.starts_with('0')) return std::nullopt;
  return parse_decimal<std::uint16_t>(text);
}

bool is_label(std::string_view label) {
  const auto is_allowed = [](char c) { return is_digit(c) || is_lower_letter(c) || c == '-'; };
  return !label.empty() && label.size() <= kLongestLabel && label.front() != '-' && label.back() != '-' &&
         std::ranges::all_of(label, is_allowed);
}

// Resolvers take "127.1", "0x7f.1" and "017700000001" for addresses, so a host whose last label reads as
// a number has to be the one form that means the same to everybody.
bool ends_in_number(std::string_view host) {
  const auto last = host.substr(host.rfind('.') + 1);
  return std::ranges::all_of(last, is_digit) || last.starts_with("0x");
}

bool is_ipv4(const std::string& host) {
  in_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1;
}

std::optional<std::string> parse_host(std::string_view text) {
  std::string host = to_lower(text);
  if (host.size() > kLongestHost) return std::nullopt;
  if (host.empty() || host.back() == '.') return std::nullopt;
  std::string_view rest = host;
  while (!rest.empty()) {
    const auto dot = rest.find('.');
    if (!is_label(rest.substr(0, dot))) return std::nullopt;
    rest.remove_prefix(dot == std::string_view::npos ? rest.size() : dot + 1);
  }
  if (ends_in_number(host) && !is_ipv4(host)) return std::nullopt;
  return host;
}

// The one spelling of an address (RFC 5952), so that equal hosts compare equal.
std::optional<std::string> parse_ipv6(std::string_view text) {
  in6_addr address{};
  if (inet_pton(AF_INET6, std::string(text).c_str(), &address) != 1) return std::nullopt;
  std::array<char, INET6_ADDRSTRLEN> canonical{};
  inet_ntop(AF_INET6, &address, canonical.data(), canonical.size());
  return std::string(canonical.data());
}

}  // namespace

std::optional<Authority> Authority::parse(std::string_view text) {
  // inet_pton stops at a NUL byte, so text with one must not come near it.
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  const bool is_bracketed = text.starts_with('[');
  const auto host_end = is_bracketed ? text.find(']') : std::min(text.find(':'), text.size());
  if (host_end == std::string_view::npos) return std::nullopt;

  auto host = is_bracketed ? parse_ipv6(text.substr(1, host_end - 1)) : parse_host(text.substr(0, host_end));
  if (!host) return std::nullopt;

  const auto rest = text.substr(host_end + (is_bracketed ? 1 : 0));
  if (rest.empty()) return Authority{std::move(*host), std::nullopt};
  if (rest.front() != ':') return std::nullopt;
  const auto port = parse_port(rest.substr(1));
  if (!port) return std::nullopt;
  return Authority{std::move(*host), port};
}

std::string Authority::to_string() const {
  std::string text = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port) text += ":" + std::to_string(*port);
  return text;
}

bool Authority::covers(std::string_view other_host, std::uint16_t other_port) const {
  if (host != other_host) return false;
  return port ? *port == other_port : other_port == 443 || other_port == 80;
}

std::optional<RegistryName> RegistryName::parse(std::string_view text) {
  const auto authority = Authority::parse(text);
  if (!authority) return std::nullopt;
  std::string name = authority->to_string();
  if (name == "index.docker.io" || name == "registry-1.docker.io") return docker_io();
  return RegistryName(std::move(name));
}

RegistryName RegistryName::docker_io() { return RegistryName("docker.io"); }

Authority RegistryName::authority() const { return *Authority::parse(text_); }

bool looks_like_registry(std::string_view path_component) {
  return path_component.find_first_of(".:") != std::string_view::npos || path_component == "localhost";
}

RepositoryName canonical_repository(const RegistryName& registry, const RepositoryName& repository) {
  if (!registry.is_docker_io() || repository.str().find('/') != std::string::npos) return repository;
  return RepositoryName::parse("library/" + repository.str()).value_or(repository);
}

}  // namespace layover::oci
