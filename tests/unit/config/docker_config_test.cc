// Docker's config.json: which of its entries means a registry, and what cannot be used.
#include "config/docker_config.h"

#include <string>

#include "tests/support/catch.h"
#include "tests/unit/config/fixture.h"

using namespace layover;
using namespace layover::config;

namespace {

std::expected<Credentials, std::string> look_up(std::string_view text, std::string_view registry) {
  return docker_credentials(text, "config.json", *oci::RegistryName::parse(registry));
}

/// "user:password", the helper as "program server", or the error.
std::string found(std::string_view text, std::string_view registry) {
  const auto credentials = look_up(text, registry);
  if (!credentials) return "error: " + credentials.error();
  if (credentials->helper) return credentials->helper->program + " " + credentials->helper->server;
  return credentials->username + ":" + credentials->password;
}

/// A file with one entry for "key".
std::string with_key(const std::string& key, const std::string& auth = "dXNlcjpzZWNyZXQ=") {
  return R"({"auths": {")" + key + R"(": {"auth": ")" + auth + "\"}}}";
}

}  // namespace

TEST_CASE("an entry of auths names its registry in any of the forms that Docker knows") {
  for (const char* key : {"r.example", "https://r.example", "http://r.example", "r.example/", "R.example/v1",
                          "https://r.example/v1/", "https://r.example/v2/", "r.example/v2"}) {
    INFO(key);
    CHECK(found(with_key(key), "r.example") == "user:secret");
  }
  CHECK(found(with_key("r.example:5000"), "r.example:5000") == "user:secret");
  for (const char* key :
       {"r.example:5000", "other.example", "r.example/org", "r.example.org", "ftp://r.example"}) {
    INFO(key);
    CHECK(found(with_key(key), "r.example") ==
          "error: config.json has no credentials for r.example: expected \"r.example\" under \"auths\" or "
          "\"credHelpers\", or a \"credsStore\"");
  }
}

TEST_CASE("Docker Hub is https://index.docker.io/v1/, and any of its names will do") {
  for (const char* key :
       {"https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io"}) {
    INFO(key);
    CHECK(found(with_key(key), "docker.io") == "user:secret");
  }
  CHECK(
      found(R"({"auths": {"docker.io": {"auth": "YTpi"}, "https://index.docker.io/v1/": {"auth": "Yzpk"}}})",
            "docker.io") == "c:d");
  CHECK(found("{}", "docker.io").contains("\"https://index.docker.io/v1/\""));
}

TEST_CASE("a helper of the registry comes before the store, and the store before auths") {
  const std::string text = R"({
    "auths": {"a.example": {"auth": "dXNlcjpzZWNyZXQ="}, "b.example": {"auth": "dXNlcjpzZWNyZXQ="}},
    "credHelpers": {"https://a.example": "ecr-login", "docker.io": "gcloud"}, "credsStore": "pass"})";
  CHECK(found(text, "a.example") == "docker-credential-ecr-login a.example");
  CHECK(found(text, "b.example") == "docker-credential-pass b.example");
  CHECK(found(text, "docker.io") == "docker-credential-gcloud https://index.docker.io/v1/");
}

TEST_CASE("a helper's name is a part of a program's name, never a path or an option") {
  for (const char* name : {"", "../evil", "a/b", "a b", "$(x)"}) {
    INFO(name);
    CHECK(found(std::string(R"({"credHelpers": {"a.example": ")") + name + "\"}}", "a.example")
              .contains("names no usable credential helper for a.example"));
  }
  CHECK(found(R"({"credHelpers": {"a.example": 5}})", "a.example").contains("names no usable"));
}

TEST_CASE("auth is a user name and a password in base64; colons may be in the password") {
  CHECK(found(with_key("r.example", "YTpiOmM="), "r.example") == "a:b:c");
  CHECK(found(with_key("r.example", "YTpiAAAA"), "r.example") == "a:b");
  // "secret", ":p", "u:", "a:\nb", not base64 at all.
  for (const char* auth : {"", "c2VjcmV0", "OnA=", "dTo=", "YToKYg==", "hunter2", "hunter2!", "YTpi\\n"}) {
    INFO(auth);
    const auto result = found(with_key("r.example", auth), "r.example");
    CHECK(result ==
          "error: \"auth\" for r.example in config.json is not a user name and a password in base64");
  }
}

TEST_CASE("identity tokens are refused with the way out") {
  const auto result =
      found(R"({"auths": {"r.example": {"auth": "YTpi", "identitytoken": "hunter2"}}})", "r.example");
  CHECK(result.contains("has an identitytoken for r.example, which is not supported; log in with"));
  CHECK_FALSE(result.contains("hunter2"));
}

TEST_CASE("an entry without content is none") {
  CHECK(found(R"({"auths": {"r.example": {}}})", "r.example").contains("has no credentials for r.example"));
  CHECK(found(R"({"auths": []})", "r.example").contains("has no credentials for r.example"));
}

TEST_CASE("a file that is no JSON object is told with its place, not its content") {
  CHECK(found("[]", "r.example") == "error: config.json is no JSON object");
  const auto broken = found("{\"auths\": hunter2}", "r.example");
  CHECK(broken.starts_with("error: config.json:1:"));
  CHECK_FALSE(broken.contains("hunter2"));
}

TEST_CASE("the loader reads Docker's configuration beside the file and says where it is wrong") {
  const TemporaryDirectory directory;
  directory.write("docker/config.json", with_key("https://index.docker.io/v1/"));
  const std::string text =
      R"({"registries": {"docker.io": {"credentials": {"docker_config": "docker/config.json"}}}})";
  const auto settings = load(text, {}, directory.path() + "/layover.json");
  const auto& credentials = registry_in(settings, "docker.io").credentials;
  REQUIRE(credentials);
  CHECK(credentials->username == "user");
  CHECK(credentials->password == "secret");
  CHECK(credentials->source.kind == CredentialSource::Kind::kDockerConfig);
  CHECK(credentials->source.name == directory.path() + "/docker/config.json");

  CHECK(problem_of(text).contains(": registries[\"docker.io\"].credentials.docker_config: "));
  CHECK(problem_of(text).contains("No such file"));
  const auto other = R"({"registries": {"ghcr.io": {"credentials": {"docker_config": ")" + directory.path() +
                     R"(/docker/config.json", "username": "u"}}}})";
  const auto problems = problem_of(other);
  CHECK(problems.contains("has no credentials for ghcr.io"));
  CHECK(problems.contains("expected either \"docker_config\", or \"username\" with a password, not both"));
}

TEST_CASE("a helper's credentials need the word shared like any other") {
  const TemporaryDirectory directory;
  const auto file = directory.write("config.json", R"({"credsStore": "pass"})");
  CHECK(problem_of(R"({"listen": [{"address": "0.0.0.0:5000"}], "registries": {"a.example": {
          "credentials": {"docker_config": ")" +
                   file + "\"}}}}")
            .contains("\"shared\": true"));
}
