// The scope of a pull and the token request's URL.
#include "upstream/scope.h"

#include <fmt/format.h>

namespace layover::upstream {
namespace {

void add_parameter(std::string& target, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  if (!target.contains('?')) {
    target += '?';
  } else if (!target.ends_with('?') && !target.ends_with('&')) {
    target += '&';
  }
  target += fmt::format("{}={}", name, net::percent_encode_query(value));
}

}  // namespace

std::string pull_scope(std::string_view repository) { return fmt::format("repository:{}:pull", repository); }

Result<net::Url> token_url(std::string_view realm, const TokenQuery& query) {
  auto url = net::Url::parse(realm);
  if (!url) {
    return failure(
        ErrorCode::kProtocol, ErrorSource::kUpstream,
        fmt::format("the challenge names a token service that cannot be used: {}", url.error().message()));
  }
  add_parameter(url->target, "service", query.service);
  add_parameter(url->target, "scope", query.scope);
  add_parameter(url->target, "account", query.account);
  return url;
}

}  // namespace layover::upstream
