// WWW-Authenticate, and the token service's URL that follows from it: whatever a peer sends is read in memory
// of its own size, and what was read can be written down and read as the same.
#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "base/ascii.h"
#include "tests/fuzz/fuzz.h"
#include "upstream/challenge.h"
#include "upstream/scope.h"

namespace layover::fuzz {
namespace {

using namespace upstream;

std::string quoted(std::string_view value) {
  std::string text = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + '"';
}

/// In the grammar's plainest form (RFC 9110 11.6.1).
std::string written(const std::vector<Challenge>& challenges) {
  std::string text;
  for (const Challenge& challenge : challenges) {
    text += (text.empty() ? "" : ", ") + challenge.scheme;
    if (!challenge.token68.empty()) text += ' ' + challenge.token68;
    const char* separator = challenge.token68.empty() ? " " : ", ";
    for (const auto& [name, value] : challenge.params) {
      text += separator + name + "=" + quoted(value);
      separator = ", ";
    }
  }
  return text;
}

bool are_equal(const std::vector<Challenge>& a, const std::vector<Challenge>& b) {
  return std::ranges::equal(a, b, [](const Challenge& x, const Challenge& y) {
    return x.scheme == y.scheme && x.token68 == y.token68 && x.params == y.params;
  });
}

void check_challenge(const Challenge& challenge) {
  require(is_token(challenge.scheme) && to_lower(challenge.scheme) == challenge.scheme,
          "a scheme is a lower-case token");
  std::set<std::string_view> names;
  for (const auto& [name, value] : challenge.params) {
    require(is_token(name) && to_lower(name) == name, "a parameter's name is a lower-case token");
    require(names.insert(name).second, "a parameter counts once");
    require(challenge.param(name) == value, "a parameter is found by its name");
  }
}

std::size_t size_of(const std::vector<Challenge>& challenges) {
  std::size_t size = 0;
  for (const Challenge& challenge : challenges) {
    size += challenge.scheme.size() + challenge.token68.size();
    for (const auto& [name, value] : challenge.params) size += name.size() + value.size();
  }
  return size;
}

void check_token_url(std::string_view realm, const std::string& service, const std::string& scope) {
  const auto url = token_url(realm, {.service = service, .scope = scope, .account = "u"});
  if (!url) return require(!has_control_character(url.error().message()), "a message is one line");
  require(net::Url::parse(url->to_string()) == *url, "the token service's URL is one");
  const auto plain = net::Url::parse(realm);
  require(plain && net::same_origin(*plain, *url), "parameters do not lead to another host");
  require(url->without_query() == plain->without_query(), "parameters do not change the path");
}

void check_choice(const std::vector<Challenge>& challenges) {
  const auto chosen = choose(challenges);
  if (!chosen) return;
  const bool is_bearer = chosen->method == Authentication::Method::kBearer;
  require(!is_bearer || !chosen->realm.empty(), "a Bearer challenge that is chosen has a realm");
  if (is_bearer) check_token_url(chosen->realm, chosen->service, chosen->scope);
}

}  // namespace

void fuzz(std::string_view input) {
  const auto challenges = parse_challenges(input);
  for (const Challenge& challenge : challenges) check_challenge(challenge);
  require(size_of(challenges) <= input.size(), "challenges are no larger than what was sent");
  require(are_equal(parse_challenges(written(challenges)), challenges), "challenges are read as written");
  check_choice(challenges);

  const std::size_t cut = cut_position(input);
  const std::array<std::string_view, 2> values = {input.substr(0, cut), input.substr(cut)};
  auto both = parse_challenges(values[0]);
  std::ranges::copy(parse_challenges(values[1]), std::back_inserter(both));
  require(are_equal(parse_challenges(values), both), "several headers are read one after the other");

  check_token_url(values[0], std::string(values[1]), std::string(values[1]));
}

}  // namespace layover::fuzz
