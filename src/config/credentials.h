// What layover shows a registry to be let in. For the registry's own host, its built-in token service and
// its token_realms, nobody else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace layover::config {

/// A program that is asked for the credentials when they are needed, as Docker's credential helpers are.
struct CredentialHelper {
  std::string program{};  // a name to find in PATH ("docker-credential-ecr-login"), or a path
  std::string server{};   // what to ask it for

  friend bool operator==(const CredentialHelper&, const CredentialHelper&) = default;
};

/// The key of the file that named the credentials, and what it said; for `config show`.
struct CredentialSource {
  enum class Kind : std::uint8_t { kPasswordFile, kPasswordVariable, kDockerConfig };

  Kind kind = Kind::kPasswordFile;
  std::string name{};  // a path, or the variable's name

  friend bool operator==(const CredentialSource&, const CredentialSource&) = default;
};

struct Credentials {
  std::string username{};
  std::string password{};                    // resolved at load; never shown or logged
  std::optional<CredentialHelper> helper{};  // where there is one, it has the user name and the password
  CredentialSource source{};

  friend bool operator==(const Credentials&, const Credentials&) = default;
};

}  // namespace layover::config
