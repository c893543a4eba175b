// Credentials that a program of Docker's kind ("docker-credential-NAME get") is asked for when they are
// needed. Its answer is kept for a while, so that a pull does not start a process for each repository.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/deadline.h"
#include "base/error.h"
#include "config/credentials.h"

namespace layover::upstream {

struct Login {
  std::string username;
  std::string password;

  friend bool operator==(const Login&, const Login&) = default;
};

/// What a helper writes: a JSON object with Username and Secret. The error never tells what was read.
Result<Login> parse_helper_answer(std::string_view text);

/// One registry's helper, shared by all loops; thread-safe.
class CredentialHelper {
 public:
  /// For how long an answer is kept: temporary credentials live for hours, and some registries answer an
  /// expired one in ways that do not tell.
  static constexpr std::chrono::minutes kKeep{60};
  /// A helper that failed is not asked again for this long.
  static constexpr std::chrono::seconds kPause{5};

  explicit CredentialHelper(config::CredentialHelper settings,
                            std::chrono::milliseconds limit = std::chrono::seconds(10));

  /// The login; asks the helper where there is none or it is the one `refused`, which the registry has just
  /// turned down. Whatever is wrong with the helper is an outage (kTimeout or kProtocol): it says nothing
  /// about the content. Blocks for up to the limit, and one caller while another asks: belongs on the pool
  /// (net::Work::kHelper).
  Result<Login> get(const std::optional<Login>& refused);

 private:
  Result<Login> ask() const;
  std::unexpected<Error> no_login(const Error& cause) const;

  const config::CredentialHelper settings_;
  const std::chrono::milliseconds limit_;
  std::mutex mutex_;  // held while the helper runs
  std::optional<Result<Login>> latest_;
  Deadline good_until_ = Deadline::never();
};

}  // namespace layover::upstream
