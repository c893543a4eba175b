// WWW-Authenticate: a scanner over one header value, and the choice among its challenges.
#include "upstream/challenge.h"

#include <algorithm>

#include "base/ascii.h"

namespace layover::upstream {
namespace {

constexpr std::string_view kSpace = " \t";
constexpr std::size_t kMaxParams = 32;  // of one challenge; more are dropped, so that each look-up is short

// RFC 9110 5.6.2.
bool is_token_character(char c) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return is_alphanumeric(c) || kMarks.contains(c);
}

// Reads a header value from left to right. Every step takes something or ends, so any input is finished
// in time that grows with its length only.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool is_at_end() const { return rest_.empty(); }
  void skip_space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(kSpace), rest_.size())); }
  void skip_separators() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t,"), rest_.size())); }

  std::string_view take_token() {
    const auto* end = std::ranges::find_if_not(rest_, is_token_character);
    return take_front(static_cast<std::size_t>(end - rest_.begin()));
  }

  // A "=" with its optional space; without one nothing is taken.
  bool take_equals() {
    const std::size_t at = rest_.find_first_not_of(kSpace);
    if (at == std::string_view::npos || rest_[at] != '=') return false;
    rest_.remove_prefix(at + 1);
    skip_space();
    return true;
  }

  // A quoted string, or, more widely than the grammar, all up to a comma or space: some services send
  // URLs without quotes. Nothing for a string whose closing quote is missing.
  std::optional<std::string> take_value() {
    if (!rest_.starts_with('"')) {
      return std::string(take_front(std::min(rest_.find_first_of(" \t,"), rest_.size())));
    }
    std::string value;
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == '"') {
        rest_.remove_prefix(i + 1);
        return value;
      }
      if (rest_[i] == '\\') ++i;  // the next character stands for itself
      if (i < rest_.size()) value += rest_[i];
    }
    rest_ = {};
    return std::nullopt;
  }

  // token68 (RFC 9110 11.2), which must be all there is up to a comma.
  std::optional<std::string_view> take_token68() {
    const std::size_t end = std::min(rest_.find_first_of(" \t,\""), rest_.size());
    const std::size_t next = rest_.find_first_not_of(kSpace, end);
    if (end == 0 || (next != std::string_view::npos && rest_[next] != ',')) return std::nullopt;
    return take_front(end);
  }

  // What cannot be read, up to the next comma outside quotes.
  void skip_element() {
    bool is_quoted = false;
    std::size_t i = 0;
    for (; i < rest_.size() && (is_quoted || rest_[i] != ','); ++i) {
      if (rest_[i] == '"') is_quoted = !is_quoted;
      if (is_quoted && rest_[i] == '\\') ++i;
    }
    rest_.remove_prefix(std::min(i, rest_.size()));
  }

 private:
  std::string_view take_front(std::size_t length) {
    const std::string_view front = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return front;
  }

  std::string_view rest_;
};

void add_param(Challenge& challenge, std::string_view name, std::optional<std::string> value) {
  std::string lower = to_lower(name);
  const bool is_known =
      std::ranges::any_of(challenge.params, [&](const auto& param) { return param.first == lower; });
  if (!value || is_known || challenge.params.size() == kMaxParams) return;
  challenge.params.emplace_back(std::move(lower), *std::move(value));
}

// What follows a scheme in the same list element: a parameter, token68 credentials, or nothing.
void read_first_of_challenge(Scanner& scanner, Challenge& challenge) {
  Scanner attempt = scanner;
  const std::string_view name = attempt.take_token();
  // "abc==" and "abc=" are token68; a parameter's value starts with a token character or a quote.
  Scanner token68 = scanner;
  if (const auto credentials = token68.take_token68(); credentials && credentials->ends_with('=')) {
    challenge.token68 = *credentials;
    scanner = token68;
    return;
  }
  if (!name.empty() && attempt.take_equals()) {
    add_param(challenge, name, attempt.take_value());
    scanner = attempt;
    return;
  }
  if (const auto credentials = scanner.take_token68()) challenge.token68 = *credentials;
}

void read_challenges(std::string_view value, std::vector<Challenge>& challenges) {
  const std::size_t first_of_value = challenges.size();
  Scanner scanner(value);
  for (scanner.skip_separators(); !scanner.is_at_end(); scanner.skip_separators()) {
    const std::string_view name = scanner.take_token();
    if (!name.empty() && scanner.take_equals()) {
      auto param = scanner.take_value();
      // A parameter in front of every scheme belongs to nobody.
      if (challenges.size() > first_of_value) add_param(challenges.back(), name, std::move(param));
    } else if (!name.empty()) {
      challenges.push_back({.scheme = to_lower(name), .token68 = {}, .params = {}});
      scanner.skip_space();
      read_first_of_challenge(scanner, challenges.back());
    }
    scanner.skip_element();
  }
}

const Challenge* find_scheme(const std::vector<Challenge>& challenges, std::string_view scheme,
                             std::string_view needed_param) {
  const auto found = std::ranges::find_if(challenges, [&](const Challenge& challenge) {
    return challenge.scheme == scheme && (needed_param.empty() || !challenge.param(needed_param).empty());
  });
  return found == challenges.end() ? nullptr : &*found;
}

}  // namespace

std::string_view Challenge::param(std::string_view name) const {
  const auto found = std::ranges::find_if(params, [&](const auto& param) { return param.first == name; });
  return found == params.end() ? std::string_view() : std::string_view(found->second);
}

std::vector<Challenge> parse_challenges(std::string_view value) {
  std::vector<Challenge> challenges;
  read_challenges(value, challenges);
  return challenges;
}

std::vector<Challenge> parse_challenges(std::span<const std::string_view> values) {
  std::vector<Challenge> challenges;
  for (std::string_view value : values) read_challenges(value, challenges);
  return challenges;
}

std::optional<Authentication> choose(const std::vector<Challenge>& challenges) {
  if (const Challenge* bearer = find_scheme(challenges, "bearer", "realm")) {
    return Authentication{Authentication::Method::kBearer, std::string(bearer->param("realm")),
                          std::string(bearer->param("service")), std::string(bearer->param("scope")),
                          std::string(bearer->param("error"))};
  }
  if (const Challenge* basic = find_scheme(challenges, "basic", "")) {
    return Authentication{Authentication::Method::kBasic, std::string(basic->param("realm")), {}, {}, {}};
  }
  return std::nullopt;
}

}  // namespace layover::upstream
