// Asking, and what is remembered of the answer.
#include "upstream/credential_helper.h"

#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/ascii.h"
#include "upstream/program.h"

namespace layover::upstream {
namespace {

// Tokens used as passwords take some KiB.
constexpr Bytes kMostAnswer = 64_KiB;

std::unexpected<Error> bad_answer(std::string_view reason) {
  return failure(ErrorCode::kProtocol, ErrorSource::kSelf, fmt::format("its answer {}", reason));
}

std::string string_member(const nlohmann::json& object, const char* name) {
  const auto member = object.find(name);
  return member != object.end() && member->is_string() ? member->get<std::string>() : std::string();
}

}  // namespace

Result<Login> parse_helper_answer(std::string_view text) {
  const auto object = nlohmann::json::parse(text, nullptr, false);
  if (!object.is_object()) return bad_answer("is no JSON object");
  Login login{.username = string_member(object, "Username"), .password = string_member(object, "Secret")};
  if (login.username == "<token>") {
    return bad_answer("is an identity token, which is not supported; log in with a user name and a password");
  }
  if (login.username.empty() || login.password.empty()) return bad_answer("lacks a Username or a Secret");
  if (login.username.contains(':') || has_control_character(login.username + login.password)) {
    return bad_answer("has a Username or a Secret with characters that cannot be sent");
  }
  return login;
}

CredentialHelper::CredentialHelper(config::CredentialHelper settings, std::chrono::milliseconds limit)
    : settings_(std::move(settings)), limit_(limit) {}

Result<Login> CredentialHelper::get(const std::optional<Login>& refused) {
  const std::lock_guard lock(mutex_);
  const bool is_refused = latest_ && *latest_ && refused && **latest_ == *refused;
  if (latest_ && !is_refused && !good_until_.has_passed()) return *latest_;
  latest_ = ask();
  good_until_ = *latest_ ? Deadline::after(kKeep) : Deadline::after(kPause);
  return *latest_;
}

std::unexpected<Error> CredentialHelper::no_login(const Error& cause) const {
  const auto code = cause.code() == ErrorCode::kTimeout ? ErrorCode::kTimeout : ErrorCode::kProtocol;
  return failure(code, ErrorSource::kSelf,
                 fmt::format("the credential helper {} gave no credentials for {}: {}", settings_.program,
                             settings_.server, cause.describe()));
}

Result<Login> CredentialHelper::ask() const {
  const auto output =
      run_program({settings_.program, "get"}, settings_.server + "\n", kMostAnswer, Deadline::after(limit_));
  if (!output) return no_login(output.error());
  auto login = parse_helper_answer(*output);
  if (!login) return no_login(login.error());
  return login;
}

}  // namespace layover::upstream
