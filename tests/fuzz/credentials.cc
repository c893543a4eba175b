// Docker's config.json and the answer of a credential helper: what comes out can be sent, names no program
// but a credential helper, and nothing of it is in a message.
#include <algorithm>

#include "base/ascii.h"
#include "config/docker_config.h"
#include "tests/fuzz/fuzz.h"
#include "upstream/credential_helper.h"

namespace layover::fuzz {
namespace {

void check_login(const std::string& username, const std::string& password) {
  require(!username.empty() && !password.empty(), "a login has a user name and a password");
  require(!username.contains(':'), "a user name has no colon");
  require(!has_control_character(username) && !has_control_character(password),
          "a login can be sent in a header");
}

void check_docker_config(std::string_view text, std::string_view registry) {
  const auto name = *oci::RegistryName::parse(registry);
  const auto credentials = config::docker_credentials(text, "/etc/config.json", name);
  if (!credentials) {
    require(credentials.error().contains("/etc/config.json"), "a message names the file");
    require(!has_control_character(credentials.error()), "a message is one line");
    return;
  }
  if (!credentials->helper) return check_login(credentials->username, credentials->password);
  const std::string_view program = credentials->helper->program;
  constexpr std::string_view kPrefix = "docker-credential-";
  require(program.starts_with(kPrefix) && program.size() > kPrefix.size(), "a program is a helper");
  require(!program.contains('/') && std::ranges::all_of(program, is_visible), "a program is found in PATH");
}

}  // namespace

void fuzz(std::string_view input) {
  for (const char* registry : {"docker.io", "ghcr.io", "registry.internal:5000"}) {
    check_docker_config(input, registry);
  }
  const auto login = upstream::parse_helper_answer(input);
  if (login) return check_login(login->username, login->password);
  require(!has_control_character(login.error().message()), "a message is one line");
}

}  // namespace layover::fuzz
