// Each secret is read once, at load, from where the file says.
#include "config/read_credentials.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "base/ascii.h"
#include "config/docker_config.h"

namespace layover::config {
namespace {

// Far more than any password has, and any file of Docker's.
constexpr Bytes kMostPassword = 64_KiB;
constexpr Bytes kMostDockerConfig = 1_MiB;

void read_username(const Value& value, std::string& out) {
  const std::string* text = value.text("a user name");
  if (text == nullptr) return;
  // RFC 7617 2: a colon would end the user name early.
  if (text->empty() || text->find(':') != std::string::npos || has_control_character(*text)) {
    return value.fail("expected a user name without colons and control characters");
  }
  out = *text;
}

// Checks what a file or a variable gave. `source` names it; the password is never shown.
void keep_password(const Value& value, std::string_view source, std::string password, std::string& out) {
  while (password.ends_with('\n') || password.ends_with('\r')) password.pop_back();
  if (password.empty()) return value.fail(fmt::format("{} is empty; expected a password", source));
  if (has_control_character(password)) {
    return value.fail(
        fmt::format("the password in {} has a line break or another control character", source));
  }
  out = std::move(password);
}

void read_password_file(const Value& value, const ReadContext& context, Credentials& out) {
  const std::string* text = value.text("the path of a file with the password");
  if (text == nullptr) return;
  const auto path = context.resolve(*text);
  auto content = read_file(*context.environment.files, path, kMostPassword);
  if (!content) return value.fail(content.error().describe());
  out.source = {CredentialSource::Kind::kPasswordFile, path};
  keep_password(value, path, std::move(*content), out.password);
}

void read_password_variable(const Value& value, const ReadContext& context, Credentials& out) {
  const std::string* text = value.text("the name of an environment variable with the password");
  if (text == nullptr) return;
  auto content = context.environment.variable(*text);
  if (!content) return value.fail(fmt::format("the environment variable \"{}\" is not set", *text));
  out.source = {CredentialSource::Kind::kPasswordVariable, *text};
  keep_password(value, fmt::format("the environment variable \"{}\"", *text), std::move(*content),
                out.password);
}

void read_docker_config(const Value& value, const ReadContext& context, const oci::RegistryName& registry,
                        Credentials& out) {
  const std::string* text = value.text("the path of Docker's config.json");
  if (text == nullptr) return;
  const auto path = context.resolve(*text);
  const auto content = read_file(*context.environment.files, path, kMostDockerConfig);
  if (!content) return value.fail(content.error().describe());
  auto credentials = docker_credentials(*content, path, registry);
  if (!credentials) return value.fail(std::move(credentials.error()));
  out = std::move(*credentials);
  out.source = {CredentialSource::Kind::kDockerConfig, path};
}

}  // namespace

Credentials read_credentials(const Value& value, const ReadContext& context,
                             const oci::RegistryName& registry) {
  Credentials credentials;
  Section section(value);
  const auto username = section.find("username");
  const auto file = section.find("password_file");
  const auto variable = section.find("password_env");
  const auto docker_config = section.find("docker_config");
  if (username) read_username(*username, credentials.username);
  if (file) read_password_file(*file, context, credentials);
  if (variable) read_password_variable(*variable, context, credentials);
  if (docker_config) read_docker_config(*docker_config, context, registry, credentials);
  section.finish();

  if (value.node.kind != Node::Kind::kObject) return credentials;
  const bool has_others = username || file || variable;
  if (docker_config && has_others) {
    value.fail("expected either \"docker_config\", or \"username\" with a password, not both");
  }
  if (docker_config) return credentials;
  if (!username) value.fail("expected \"username\"");
  if (file.has_value() == variable.has_value()) {
    value.fail("expected \"password_file\" or \"password_env\", one of the two");
  }
  return credentials;
}

}  // namespace layover::config
