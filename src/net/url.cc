// URLs: strict parsing, resolution of references, percent-encoding.
#include "net/url.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "net/ip_address.h"

namespace layover::net {
namespace {

constexpr std::size_t kMaxHostLength = 253;  // RFC 1035 2.3.4, without the root's dot
constexpr std::size_t kMaxLabelLength = 63;
constexpr std::size_t kMaxPortLength = 5;
constexpr std::size_t kMaxShownLength = 200;  // of a URL in a message

// The URL as far as it may appear in a message: without a query, and not at all where it could hold a
// password.
std::string shown(std::string_view text) {
  text = text.substr(0, std::min(text.find_first_of("?#"), kMaxShownLength));
  if (text.empty() || text.contains('@') || !std::ranges::all_of(text, is_visible)) return "the URL";
  return fmt::format("\"{}\"", text);
}

std::unexpected<Error> invalid(std::string_view text, std::string_view reason) {
  return failure(ErrorCode::kInvalid, ErrorSource::kSelf, fmt::format("{} {}", shown(text), reason));
}

// The length of a reference's scheme, before its colon (RFC 3986 3.1); nothing for a relative reference.
std::optional<std::size_t> scheme_length(std::string_view text) {
  const std::size_t colon = text.find_first_of(":/?#");
  if (colon == std::string_view::npos || text[colon] != ':' || colon == 0 || !is_letter(text[0])) {
    return std::nullopt;
  }
  const bool is_scheme = std::ranges::all_of(
      text.substr(0, colon), [](char c) { return is_alphanumeric(c) || c == '+' || c == '-' || c == '.'; });
  return is_scheme ? std::optional(colon) : std::nullopt;
}

// A host whose last label is a number is an IPv4 address to the system's resolver, in notations as odd
// as 0x7f.1; only the dotted one is let through.
bool ends_in_number(std::string_view host) {
  const std::string_view last = host.substr(host.rfind('.') + 1);  // npos + 1 is 0
  return !last.empty() && (std::ranges::all_of(last, is_digit) || last.starts_with("0x"));
}

bool is_host_name(std::string_view host) {
  if (host.empty() || host.size() > kMaxHostLength) return false;
  std::size_t label_length = 0;
  for (char c : host) {
    if (c == '.') {
      if (label_length == 0) return false;
      label_length = 0;
    } else if (is_alphanumeric(c) || c == '-' || c == '_') {
      if (++label_length > kMaxLabelLength) return false;
    } else {
      return false;
    }
  }
  return label_length > 0;
}

// The canonical form of a host as written, IPv6 in brackets; nothing if it is none.
std::optional<std::string> canonical_host(std::string_view written) {
  if (written.starts_with('[')) {
    if (written.size() < 2 || !written.ends_with(']')) return std::nullopt;
    const auto address = IpAddress::parse(written.substr(1, written.size() - 2));
    if (!address || !address->is_v6()) return std::nullopt;
    return address->to_string();
  }
  std::string host = to_lower(written);
  if (!is_host_name(host)) return std::nullopt;
  if (ends_in_number(host) && !IpAddress::parse(host)) return std::nullopt;
  return host;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  const auto port = parse_decimal<std::uint16_t>(text);
  return text.size() <= kMaxPortLength && port != 0 ? port : std::nullopt;
}

struct WrittenAuthority {
  std::string_view host;
  std::string_view port;  // empty: the default (RFC 3986 3.2.3 allows "host:")
};

WrittenAuthority split_authority(std::string_view text) {
  // A colon inside brackets belongs to an IPv6 address.
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) {
    return {text, {}};
  }
  return {text.substr(0, colon), text.substr(colon + 1)};
}

std::string make_target(std::string_view path_and_query) {
  if (path_and_query.starts_with('/')) return std::string(path_and_query);
  return "/" + std::string(path_and_query);
}

// RFC 3986 5.2.4, for absolute paths.
std::string remove_dot_segments(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/', 1), path.size());
    const std::string_view segment = path.substr(0, end);  // with its leading slash
    path.remove_prefix(end);
    const bool is_last = path.empty();
    if (segment == "/..") out.resize(std::min(out.rfind('/'), out.size()));
    if (segment == "/." || segment == "/..") {
      if (is_last) out += '/';
    } else {
      out += segment;
    }
  }
  return out;
}

std::string with_clean_path(std::string_view target) {
  const std::size_t query = std::min(target.find('?'), target.size());
  return remove_dot_segments(target.substr(0, query)) + std::string(target.substr(query));
}

// RFC 3986 5.2.2, for a reference without scheme, authority and fragment.
std::string resolve_target(std::string_view base, std::string_view reference) {
  if (reference.empty()) return std::string(base);
  if (reference.starts_with('/')) return with_clean_path(reference);
  std::string_view base_path = base.substr(0, base.find('?'));
  if (reference.starts_with('?')) return std::string(base_path).append(reference);
  const std::string_view directory = base_path.substr(0, base_path.rfind('/') + 1);
  return with_clean_path(std::string(directory).append(reference));
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::unexpected<Error> bad_escape(std::string_view reason) {
  return failure(ErrorCode::kInvalid, ErrorSource::kClient, std::string(reason));
}

}  // namespace

std::string_view to_string(Scheme scheme) { return scheme == Scheme::kHttps ? "https" : "http"; }

Result<Url> Url::parse(std::string_view text) {
  if (!std::ranges::all_of(text, is_visible)) {
    return invalid(text, "has a space, a control character or a character outside ASCII");
  }
  const auto scheme_end = scheme_length(text);
  const std::string scheme = to_lower(text.substr(0, scheme_end.value_or(0)));
  if (scheme != "http" && scheme != "https") {
    return invalid(text, "does not start with http:// or https://");
  }
  std::string_view rest = text.substr(*scheme_end + 1);
  if (!rest.starts_with("//")) return invalid(text, "has no // after its scheme");
  rest.remove_prefix(2);
  rest = rest.substr(0, rest.find('#'));
  const std::size_t authority_end = std::min(rest.find_first_of("/?"), rest.size());
  const std::string_view authority = rest.substr(0, authority_end);
  if (authority.contains('@')) return invalid(text, "has a user name or password in front of the host");

  Url url;
  url.scheme = scheme == "https" ? Scheme::kHttps : Scheme::kHttp;
  url.port = default_port(url.scheme);
  url.target = make_target(rest.substr(authority_end));
  const WrittenAuthority written = split_authority(authority);
  auto host = canonical_host(written.host);
  if (!host) return invalid(text, "has no valid host");
  url.host = *std::move(host);
  if (!written.port.empty()) {
    const auto port = parse_port(written.port);
    if (!port) return invalid(text, "has a port that is not a number from 1 to 65535");
    url.port = *port;
  }
  return url;
}

std::string Url::authority() const {
  std::string text = host.contains(':') ? "[" + host + "]" : host;
  if (port != default_port(scheme)) text += ":" + std::to_string(port);
  return text;
}

std::string Url::to_string() const {
  return fmt::format("{}://{}{}", net::to_string(scheme), authority(), target);
}

std::string Url::without_query() const {
  return fmt::format("{}://{}{}", net::to_string(scheme), authority(), target.substr(0, target.find('?')));
}

Result<Url> resolve(const Url& base, std::string_view reference) {
  const auto refuse = [&](const Error& error) {
    return failure(ErrorCode::kProtocol, ErrorSource::kUpstream,
                   fmt::format("{} redirects badly: {}", base.without_query(), error.message()));
  };
  if (scheme_length(reference)) {
    auto url = Url::parse(reference);
    if (!url) return refuse(url.error());
    url->target = with_clean_path(url->target);
    return url;
  }
  if (reference.starts_with("//")) {
    auto url = Url::parse(fmt::format("{}:{}", to_string(base.scheme), reference));
    if (!url) return refuse(url.error());
    url->target = with_clean_path(url->target);
    return url;
  }
  if (!std::ranges::all_of(reference, is_visible)) {
    return refuse(
        invalid(reference, "has a space, a control character or a character outside ASCII").error());
  }
  Url url = base;
  url.target = resolve_target(base.target, reference.substr(0, reference.find('#')));
  return url;
}

bool same_origin(const Url& a, const Url& b) {
  return a.scheme == b.scheme && a.port == b.port && a.host == b.host;
}

std::string percent_encode_query(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    if (is_alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

Result<std::string> percent_decode(std::string_view text) {
  const std::size_t plain = std::min(text.find('%'), text.size());
  std::string out(text.substr(0, plain));
  for (std::size_t i = plain; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (text.size() - i < 3) return bad_escape("a percent-escape is cut short");
    const int high = hex_value(text[i + 1]);
    const int low = hex_value(text[i + 2]);
    if (high < 0 || low < 0) return bad_escape("a percent-escape is not hexadecimal");
    const int byte = high * 16 + low;
    if (byte == 0) return bad_escape("a percent-escape stands for a zero byte");
    out += static_cast<char>(byte);
    i += 2;
  }
  return out;
}

}  // namespace layover::net
