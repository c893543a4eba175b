// What we ask a token service for: the scope of a pull, and the URL of the request.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "net/url.h"

namespace layover::upstream {

/// "repository:<name>:pull". `repository` is a full name, with "library/" where docker.io needs it.
std::string pull_scope(std::string_view repository);

struct TokenQuery {
  std::string service;  // left out where empty
  std::string scope;    // left out where empty; several scopes are separated by a space
  std::string account;  // the user name; left out where empty (anonymous)
};

/// The realm, which may have a query of its own, with the parameters added.
/// Fails with kProtocol, source kUpstream, where the realm is not an absolute http or https URL.
Result<net::Url> token_url(std::string_view realm, const TokenQuery& query);

}  // namespace layover::upstream
