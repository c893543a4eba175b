// Credentials that a helper, a real program, gives: shown where the registry asks for them, and asked for
// again when they are refused.
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/temporary_directory.h"

using namespace layover;
using namespace layover::test;

namespace {

/// A helper that gives "user:secret1" at first, then "user:secret2", and so on; it notes what it was asked
/// for in a file of its name with ".asked".
std::string counting_helper(const TemporaryDirectory& directory) {
  const std::string program = directory.path() + "/docker-credential-test";
  std::ofstream(program) << "#!/bin/sh\nread server\necho \"$server\" >> \"$0.asked\"\n"
                            "echo \"{\\\"Username\\\": \\\"user\\\", \\\"Secret\\\": "
                            "\\\"secret$(wc -l < \"$0.asked\")\\\"}\"\n";
  REQUIRE(::chmod(program.c_str(), 0700) == 0);
  return program;
}

}  // namespace

TEST_CASE("a credential helper is asked off the loop, and again once the registry refuses what it gave") {
  const TemporaryDirectory directory;
  const std::string program = counting_helper(directory);
  const std::string good = "Basic dXNlcjpzZWNyZXQy";

  ScriptedUpstream upstream;
  config::Registry registry = registry_at("r.test", upstream);
  registry.credentials =
      config::Credentials{.helper = config::CredentialHelper{.program = program, .server = "r.test"}};
  RunningProxy proxy(settings_with({registry}));
  std::vector<std::string> paths;
  for (unsigned i = 0; i < 4; ++i) {
    const std::string repository = fmt::format("a{}", i);
    paths.push_back(blob_path(repository, upstream.add_blob(repository, random_bytes(5000, i))));
  }
  SECTION("shown to the registry itself") {
    upstream.before_all([good](const UpstreamRequest& request, Reply& reply) {
      if (request.header("authorization") == good) return false;
      reply.answer(401, {{"WWW-Authenticate", "Basic realm=\"r\""}}, "");
      return true;
    });
  }
  SECTION("shown to the token service") {
    upstream.before_all([url = upstream.url()](const UpstreamRequest& request, Reply& reply) {
      if (request.path() == "/token" || request.header("authorization") == "Bearer t") return false;
      reply.answer(401, {{"WWW-Authenticate", fmt::format("Bearer realm=\"{}/token\"", url)}}, "");
      return true;
    });
    upstream.on("GET", "/token", [good](const UpstreamRequest& request, Reply& reply) {
      const bool is_good = request.header("authorization") == good;
      reply.answer(is_good ? 200 : 401, {{"Content-Type", "application/json"}}, R"({"token": "t"})");
    });
  }
  for (const std::string& path : paths) CHECK(proxy.get(path).status == 200);
  std::ifstream asked(program + ".asked");
  std::vector<std::string> servers;
  for (std::string line; std::getline(asked, line);) servers.push_back(line);
  CHECK(servers == std::vector<std::string>{"r.test", "r.test"});
}

TEST_CASE("a credential helper that fails is told as the cause, and is no refusal") {
  const std::string program = GENERATE("/bin/false", "docker-credential-none-such");
  ScriptedUpstream upstream;
  config::Registry registry = registry_at("r.test", upstream);
  registry.credentials =
      config::Credentials{.helper = config::CredentialHelper{.program = program, .server = "r.test"}};
  RunningProxy proxy(settings_with({registry}));
  upstream.before_all([](const UpstreamRequest&, Reply& reply) {
    reply.answer(401, {{"WWW-Authenticate", "Basic realm=\"r\""}}, "");
    return true;
  });
  const HttpAnswer answer = proxy.get(blob_path("a", upstream.add_blob("a", "content")));
  CHECK(answer.status == 502);
  CHECK(answer.body.find("the credential helper " + program + " gave no credentials for r.test") !=
        std::string::npos);
}

TEST_CASE("a helper's credentials that are refused without a 401 are asked for again") {
  const TemporaryDirectory directory;
  const std::string program = counting_helper(directory);
  ScriptedUpstream upstream;
  config::Registry registry = registry_at("r.test", upstream);
  registry.credentials =
      config::Credentials{.helper = config::CredentialHelper{.program = program, .server = "r.test"}};
  RunningProxy proxy(settings_with({registry}));
  auto good = std::make_shared<std::atomic<const char*>>("Basic dXNlcjpzZWNyZXQx");
  upstream.before_all([good](const UpstreamRequest& request, Reply& reply) {
    const std::string authorization = request.header("authorization");
    if (authorization == good->load()) return false;
    if (authorization.empty()) {
      reply.answer(401, {{"WWW-Authenticate", "Basic realm=\"r\""}}, "");
    } else {
      reply.answer(403, {}, R"({"errors":[{"code":"DENIED","message":"your token has expired"}]})");
    }
    return true;
  });
  const auto blob = [&](const std::string& repository, unsigned seed) {
    return blob_path(repository, upstream.add_blob(repository, random_bytes(5000, seed)));
  };
  CHECK(proxy.get(blob("a", 1)).status == 200);
  *good = "Basic dXNlcjpzZWNyZXQy";
  // One repository that has shown them, and one that has not yet.
  CHECK(proxy.get(blob("a", 2)).status == 200);
  *good = "Basic dXNlcjpzZWNyZXQz";
  CHECK(proxy.get(blob("b", 3)).status == 200);
}
