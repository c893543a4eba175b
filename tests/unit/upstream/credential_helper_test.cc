// Credential helpers as real programs: asked, timed, capped, remembered.
#include "upstream/credential_helper.h"

#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/temporary_directory.h"
#include "upstream/program.h"

using namespace layover;
using namespace layover::upstream;
using namespace std::chrono_literals;

namespace {

/// A shell script as a helper.
class Script {
 public:
  explicit Script(const std::string& body) { write(body); }

  void write(const std::string& body) {
    std::ofstream(path()) << "#!/bin/sh\n" << body << "\n";
    REQUIRE(::chmod(path().c_str(), 0700) == 0);
  }
  std::string path() const { return directory_.path() + "/docker-credential-test"; }
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
  /// How many lines a file of the script's has.
  int lines(const std::string& name) const {
    std::ifstream file(path(name));
    int count = 0;
    for (std::string line; std::getline(file, line);) ++count;
    return count;
  }
  CredentialHelper helper(std::chrono::milliseconds limit = 10s) const {
    return CredentialHelper({.program = path(), .server = "r.example"}, limit);
  }

 private:
  test::TemporaryDirectory directory_;
};

}  // namespace

TEST_CASE("a program is asked on its standard input and answers on its standard output") {
  const auto answer =
      run_program({"/bin/sh", "-c", "tr a-z A-Z; echo noise >&2"}, "hello", 1_KiB, Deadline::after(10s));
  REQUIRE(answer);
  CHECK(*answer == "HELLO");
}

TEST_CASE("a program that reads nothing, or closes its end, is no trouble") {
  CHECK(run_program({"/bin/true"}, "hello", 1_KiB, Deadline::after(10s)) == "");
  const auto failed = run_program({"/bin/false"}, "hello", 1_KiB, Deadline::after(10s));
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message() == "/bin/false ended with status 1");
}

TEST_CASE("a program that is not there is named") {
  const auto answer = run_program({"docker-credential-none-such", "get"}, "", 1_KiB, Deadline::after(10s));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().message() ==
        "docker-credential-none-such cannot be started: No such file or directory");
}

TEST_CASE("a program that takes too long is ended with all that it started") {
  const auto started = std::chrono::steady_clock::now();
  // Whoever holds the script's output would keep us waiting.
  const auto answer =
      run_program({"/bin/sh", "-c", "sleep 60 & sleep 60"}, "", 1_KiB, Deadline::after(200ms));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == ErrorCode::kTimeout);
  CHECK(std::chrono::steady_clock::now() - started < 30s);
}

TEST_CASE("a program that closes its output and stays is ended too") {
  const auto answer = run_program({"/bin/sh", "-c", "exec >&-; sleep 60"}, "", 1_KiB, Deadline::after(200ms));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == ErrorCode::kTimeout);
}

TEST_CASE("a program that never stops writing is ended at the cap") {
  const auto answer = run_program({"/bin/sh", "-c", "yes"}, "", 64_KiB, Deadline::after(10s));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code() == ErrorCode::kTooLarge);
}

TEST_CASE("a helper's answer has a user name and a secret") {
  const auto login = parse_helper_answer(R"({"ServerURL": "r", "Username": "u", "Secret": "s"})");
  REQUIRE(login);
  CHECK(*login == Login{.username = "u", .password = "s"});
  for (const char* text :
       {"", "hunter2", "[]", "{}", R"({"Username": "hunter2"})", R"({"Username": 1, "Secret": "hunter2"})",
        R"({"Username": "a:b", "Secret": "hunter2"})", R"({"Username": "a", "Secret": "hunter2\n"})",
        R"({"Username": "<token>", "Secret": "hunter2"})"}) {
    INFO(text);
    const auto refused = parse_helper_answer(text);
    REQUIRE_FALSE(refused);
    CHECK_FALSE(refused.error().describe().contains("hunter2"));
  }
}

TEST_CASE("a helper is asked for its server once, and again when what it gave is refused") {
  Script script(
      "test \"$1\" = get || exit 1; read server; echo \"$server\" >> \"$0.asked\"\n"
      "echo '{\"Username\": \"u\", \"Secret\": \"first\"}'");
  auto helper = script.helper();
  const auto first = helper.get({});
  REQUIRE(first);
  CHECK(*first == Login{.username = "u", .password = "first"});
  CHECK(helper.get({}) == *first);
  CHECK(script.lines("docker-credential-test.asked") == 1);

  script.write("echo '{\"Username\": \"u\", \"Secret\": \"second\"}'");
  CHECK(helper.get({}) == *first);
  CHECK(helper.get(Login{.username = "u", .password = "older"}) == *first);
  CHECK(helper.get(*first) == Login{.username = "u", .password = "second"});
  CHECK(helper.get(*first) == Login{.username = "u", .password = "second"});
}

TEST_CASE("a helper that is missing, slow or wrong is an outage, no verdict on the content") {
  CredentialHelper missing({.program = "docker-credential-none-such", .server = "r.example"});
  CHECK(missing.get({}).error().is_outage());
  const Script slow("sleep 60");
  CHECK(slow.helper(200ms).get({}).error().code() == ErrorCode::kTimeout);
  const Script wrong("echo no credentials");
  const auto answer = wrong.helper().get({});
  CHECK(answer.error().is_outage());
  CHECK(answer.error().message().ends_with(": its answer is no JSON object"));
}

TEST_CASE("a helper that fails is named with its server, and left alone for a while") {
  const Script script("echo x >> \"$0.asked\"; exit 3");
  auto helper = script.helper();
  const auto failed = helper.get({});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().describe() == "the credential helper " + script.path() +
                                         " gave no credentials for r.example: " + script.path() +
                                         " ended with status 3");
  CHECK(failed.error().is_outage());
  CHECK_FALSE(helper.get({}));
  CHECK(script.lines("docker-credential-test.asked") == 1);
}
