// If-None-Match.
#include "proxy/conditions.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/ascii.h"

namespace layover::proxy {

namespace {

/// Cuts the first entity tag off a list of them, with its quotes and without a W/ (RFC 9110 13.1.2: the
/// comparison is weak); empty where none is left or the list is malformed.
std::string_view take_entity_tag(std::string_view& list) {
  list.remove_prefix(std::min(list.find_first_not_of(" \t,"), list.size()));
  if (list.starts_with("W/")) list.remove_prefix(2);
  const auto end = list.starts_with('"') ? list.find('"', 1) : std::string_view::npos;
  if (end == std::string_view::npos) return {};
  const std::string_view taken = list.substr(0, end + 1);
  list.remove_prefix(end + 1);
  return taken;
}

}  // namespace

std::string entity_tag(const oci::Digest& digest) { return '"' + digest.to_string() + '"'; }

void add_digest(net::ResponseHead& head, const oci::Digest& digest) {
  const std::string tag = entity_tag(digest);
  head.add("Docker-Content-Digest", std::string_view(tag).substr(1, tag.size() - 2)).add("ETag", tag);
}

bool is_known_to_client(const net::HttpRequest& request, const oci::Digest& digest) {
  const auto values = request.headers.all("if-none-match");
  if (values.empty()) return false;
  const std::string own = entity_tag(digest);
  return std::ranges::any_of(values, [&own](std::string_view list) {
    if (trim(list) == "*") return true;
    for (auto tag = take_entity_tag(list); !tag.empty(); tag = take_entity_tag(list)) {
      if (tag == own) return true;
    }
    return false;
  });
}

net::Task<void> send_not_modified(Exchange& exchange, const oci::Digest& digest, metrics::CacheResult how) {
  net::ResponseHead head = exchange.begin(304, how);
  add_digest(head, digest);
  co_await exchange.send_head(std::move(head), false);
}

}  // namespace layover::proxy
