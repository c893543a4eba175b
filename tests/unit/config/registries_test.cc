// The keys of a registry: what they set, what they refuse, and what happens to credentials.
#include <string>

#include "config/load.h"
#include "tests/support/catch.h"
#include "tests/unit/config/certificate.h"
#include "tests/unit/config/fixture.h"

using namespace layover;
using namespace layover::config;
using namespace std::chrono_literals;

namespace {

std::string with_registry(const std::string& name, const std::string& keys) {
  return R"({"registries": {")" + name + R"(": {)" + keys + "}}}";
}

}  // namespace

TEST_CASE("every key of a registry goes to its setting") {
  const TemporaryDirectory directory;
  directory.write("ca.pem", layover::test::kCertificate);
  directory.write("password", "s3cret \n");
  const auto settings = load(R"({
    "defaults": {"idle_timeout": "9s", "grant_ttl": "8s"},
    "registries": {"Registry.Internal:5000": {
      "url": "http://10.0.0.5:5001", "ca_file": "ca.pem", "shared": true,
      "credentials": {"username": "u", "password_file": "password"},
      "token_realms": ["auth.example", "Auth.example:8443"],
      "allow_addresses": ["10.0.0.0/8", "fd00::1"],
      "tag_ttl": "11s", "not_found_ttl": "0s", "stale_ttl": "1s", "grant_ttl": "2s", "connect_timeout": "3s", "response_timeout": "4s",
      "confirm_timeout": "5s", "first_byte_budget": "7s"}}})",
                             {}, directory.path() + "/layover.json");
  const auto& registry = registry_in(settings, "registry.internal:5000");
  CHECK(registry.name.str() == "registry.internal:5000");
  CHECK(to_string(registry.url) == "http://10.0.0.5:5001");
  CHECK(registry.is_url_explicit);
  CHECK(registry.ca_file == directory.path() + "/ca.pem");
  CHECK(registry.shared);
  REQUIRE(registry.credentials);
  CHECK(registry.credentials->username == "u");
  CHECK(registry.credentials->password == "s3cret ");
  REQUIRE(registry.token_realms.size() == 2);
  CHECK(registry.token_realms[0].to_string() == "auth.example");
  CHECK(registry.token_realms[1].to_string() == "auth.example:8443");
  REQUIRE(registry.allow_addresses.size() == 2);
  CHECK(registry.allow_addresses[0].text == "10.0.0.0/8");
  CHECK(registry.allow_addresses[1].prefix_length == 128);
  CHECK(registry.times == Times{11s, 1s, 0s, 2s, 3s, 4s, 5s, 9s, 7s});
  // The others have the defaults, and are still there.
  CHECK(registry_in(settings, "docker.io").times.grant_ttl == 8s);
}

TEST_CASE("an entry without keys allows a registry at its own name") {
  const auto settings = load(with_registry("registry.example:5000", ""));
  const auto& registry = registry_in(settings, "registry.example:5000");
  CHECK(to_string(registry.url) == "https://registry.example:5000");
  CHECK_FALSE(registry.is_url_explicit);
}

TEST_CASE("an entry for a well-known registry keeps what it does not override") {
  const auto settings = load(with_registry("index.docker.io", R"("connect_timeout": "1s")"));
  const auto& hub = registry_in(settings, "docker.io");
  CHECK(hub.times.connect_timeout == 1s);
  CHECK(to_string(hub.url) == "https://registry-1.docker.io");
  CHECK(hub.built_in_token_hosts.size() == 1);
}

TEST_CASE("two names of one registry are a mistake") {
  CHECK(problem_of("{\"registries\": {\"docker.io\": {},\n \"registry-1.docker.io\": {}}}") ==
        "f:2:2: registries[\"registry-1.docker.io\"]: the same registry as \"docker.io\" on line 1");
  CHECK(problem_of(R"({"registries": {"ghcr.io": {}, "GHCR.io": {}}})") ==
        "f:1:32: registries[\"GHCR.io\"]: the same registry as \"ghcr.io\" on line 1");
}

TEST_CASE("a key that is no host is refused") {
  for (const char* name : {"", "https://ghcr.io", "ghcr.io/org", "a b", "host:0", "127.1"}) {
    INFO(name);
    const auto problem = problem_of(with_registry(name, ""));
    CHECK(problem.find("f:1:17: registries[") == 0);
    CHECK(problem.find("expected a registry's host with an optional port") != std::string::npos);
  }
}

TEST_CASE("a private address needs a url to say that it is meant") {
  CHECK(problem_of(with_registry("10.0.0.5:5000", "")) ==
        "f:1:34: registries[\"10.0.0.5:5000\"]: a private address is reached only where it is named by "
        "\"url\"; add "
        "\"url\": \"https://10.0.0.5:5000\"");
  for (const char* name :
       {"localhost", "localhost:5000", "127.0.0.1", "[::1]:5000", "192.168.0.1", "169.254.169.254"}) {
    INFO(name);
    CHECK(problem_of(with_registry(name, "")).find("add \"url\"") != std::string::npos);
    CHECK(problem_of(with_registry(name, R"("url": "http://localhost:5000")")) == "none");
  }
}

TEST_CASE("a bad url is one problem, at the url") {
  for (const char* url :
       {"", "ftp://host", "https://host/v2", "https://user:hunter2@host", "https://host:99999", "a b"}) {
    INFO(url);
    const auto problem = problem_of(with_registry("localhost", std::string(R"("url": ")") + url + "\""));
    CHECK(problem ==
          "f:1:38: registries.localhost.url: expected a URL of scheme, host and port, such as "
          "\"https://registry.example:5000\", without a path, a query or a user");
  }
  CHECK(problem_of(with_registry("localhost", R"("url": 5)")).find("not the bare number 5") !=
        std::string::npos);
}

TEST_CASE("files that are named must be readable") {
  const TemporaryDirectory directory;
  const auto rubbish = directory.write("rubbish", "no certificate");
  const auto missing = directory.path() + "/missing";
  auto problem = problem_of(with_registry("a.example", R"("ca_file": ")" + missing + "\""));
  CHECK(problem.find("f:1:42: registries[\"a.example\"].ca_file: ") == 0);
  CHECK(problem.find(missing) != std::string::npos);
  CHECK(problem.find("No such file") != std::string::npos);
  CHECK(problem_of(with_registry("a.example", R"("ca_file": ")" + rubbish + "\"")) ==
        "f:1:42: registries[\"a.example\"].ca_file: " + rubbish + " has no certificate in PEM form");
  const auto broken =
      directory.write("broken", "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n");
  CHECK(problem_of(with_registry("a.example", R"("ca_file": ")" + broken + "\"")) ==
        "f:1:42: registries[\"a.example\"].ca_file: " + broken +
            " has a certificate that cannot be read: bad base64 decode");
  CHECK(
      problem_of(with_registry("a.example", R"("ca_file": ")" + directory.path() + "\"")).find("directory") !=
      std::string::npos);
  problem = problem_of(
      with_registry("a.example", R"("credentials": {"username": "u", "password_file": ")" + missing + "\"}"));
  CHECK(problem.find(".credentials.password_file: ") != std::string::npos);
  CHECK(problem.find("No such file") != std::string::npos);
}

TEST_CASE("a password may come from the environment") {
  TestEnvironment environment;
  const auto text = with_registry("a.example", R"("credentials": {"username": "u", "password_env": "PW"})");
  CHECK(problem_of(text, environment) ==
        "f:1:80: registries[\"a.example\"].credentials.password_env: the environment variable \"PW\" is not "
        "set");
  environment.variables["PW"] = "";
  CHECK(problem_of(text, environment).find("is empty; expected a password") != std::string::npos);
  environment.variables["PW"] = "s3cret";
  const auto settings = load(text, environment);
  CHECK(registry_in(settings, "a.example").credentials->password == "s3cret");
}

TEST_CASE("a password is used without the line break at its end, and never shown") {
  const TemporaryDirectory directory;
  const auto file = directory.write("password", "hunter2\r\n\n");
  const auto text =
      with_registry("a.example", R"("credentials": {"username": "u", "password_file": ")" + file + "\"}");
  CHECK(registry_in(load(text), "a.example").credentials->password == "hunter2");

  directory.write("password", "hunter2\nhunter3\n");
  const auto problem = problem_of(text);
  CHECK(problem.find("line break") != std::string::npos);
  CHECK(problem.find("hunter") == std::string::npos);
  directory.write("password", "\n");
  CHECK(problem_of(text).find("is empty") != std::string::npos);
}

TEST_CASE("credentials are a user name and one password") {
  TestEnvironment environment;
  environment.variables["PW"] = "p";
  const auto credentials = [&](const std::string& keys) {
    return problem_of(with_registry("a.example", R"("credentials": {)" + keys + "}"), environment);
  };
  const std::string at = "f:1:46: registries[\"a.example\"].credentials: ";
  CHECK(credentials(R"("username": "u", "password_env": "PW")") == "none");
  CHECK(credentials(R"("password_env": "PW")") == at + "expected \"username\"");
  CHECK(credentials(R"("username": "u")") ==
        at + "expected \"password_file\" or \"password_env\", one of the two");
  CHECK(credentials(R"("username": "u", "password_env": "PW", "password_file": "/dev/null")")
            .find("one of the two") != std::string::npos);
  for (const char* username : {"", "a:b", "a\\nb", "a\\u0000b"}) {
    INFO(username);
    CHECK(credentials(std::string(R"("username": ")") + username + R"(", "password_env": "PW")") != "none");
  }
  // Whoever writes a secret in the wrong place does not find it in the log.
  const auto inline_password = credentials(R"("username": "u", "password": "hunter2")");
  CHECK(inline_password.find("unknown key; did you mean \"password_file\"?") != std::string::npos);
  CHECK(inline_password.find("hunter2") == std::string::npos);
  const auto text = problem_of(with_registry("a.example", R"("credentials": "u:hunter2")"), environment);
  CHECK(text == at + "expected an object, not a string");
}

TEST_CASE("credentials that are not shared are refused where strangers could use them") {
  TestEnvironment environment;
  environment.variables["PW"] = "p";
  const auto text = [](const std::string& address, const std::string& shared) {
    return R"({"listen": [{"address": ")" + address + R"("}], "registries": {"a.example": {)" + shared +
           R"("credentials": {"username": "u", "password_env": "PW"}}}})";
  };
  CHECK(problem_of(text("127.0.0.1:5000", ""), environment) == "none");
  CHECK(problem_of(text("[::1]:5000", ""), environment) == "none");
  CHECK(problem_of(text("0.0.0.0:5000", "\"shared\": true, "), environment) == "none");
  CHECK(problem_of(text("0.0.0.0:5000", ""), environment) ==
        "f:1:72: registries[\"a.example\"].credentials: under access.mode \"open\" everybody who reaches "
        "0.0.0.0:5000 "
        "could read what the credentials for a.example can read: say \"shared\": true beside them if that is "
        "meant, or "
        "listen on a loopback address");
  CHECK(problem_of(text("192.168.0.1:5000", "\"shared\": false, "), environment) != "none");
}

TEST_CASE("token realms are hosts, allowed addresses are networks") {
  CHECK(problem_of(with_registry("a.example",
                                 R"("token_realms": ["ok.example", "https://x:hunter2@y/token", 5])")) ==
        "f:1:62: registries[\"a.example\"].token_realms[1]: expected a host with an optional port, such as "
        "\"auth.example:8443\"\n"
        "f:1:91: registries[\"a.example\"].token_realms[2]: expected a host with an optional port, such as "
        "\"auth.example:8443\", not the bare number 5");
  CHECK(problem_of(with_registry("a.example", R"("token_realms": "auth.example")"))
            .find("expected a list of strings") != std::string::npos);
  CHECK(problem_of(with_registry("a.example", R"("allow_addresses": ["10.0.0.5/8"])")) ==
        "f:1:51: registries[\"a.example\"].allow_addresses[0]: expected a network, such as \"10.0.0.0/8\" or "
        "\"fd00::/8\", without bits after its prefix");
}

TEST_CASE("registries without an entry are refused, unless \"*\" enables them") {
  const auto name = *oci::RegistryName::parse("other.example");
  CHECK_FALSE(load("{}").find_other(name));
  CHECK_FALSE(load(with_registry("*", "")).find_other(name));
  CHECK_FALSE(load(with_registry("*", R"("enabled": false)")).find_other(name));
  const auto settings = load(R"({"defaults": {"tag_ttl": "3s"}, "registries": {"*": {"enabled": true}}})");
  const auto other = settings.find_other(name);
  REQUIRE(other);
  CHECK(to_string(other->url) == "https://other.example");
  CHECK_FALSE(other->is_url_explicit);
  CHECK(other->times.tag_ttl == 3s);
  CHECK(settings.find(name) == nullptr);
}

TEST_CASE("\"*\" says yes or no and nothing else") {
  CHECK(problem_of(with_registry("*", R"("enabled": "no")")) ==
        "f:1:34: registries[\"*\"].enabled: expected true or false, not a string");
  CHECK(problem_of(with_registry("*", R"("url": "https://a.example")")) ==
        "f:1:23: registries[\"*\"].url: unknown key; expected \"enabled\"");
  CHECK(problem_of(R"({"registries": {"*": false}})") ==
        "f:1:22: registries[\"*\"]: expected an object, not false");
}

TEST_CASE("a mirror is a URL, or an object with what belongs to it") {
  const TemporaryDirectory directory;
  directory.write("ca.pem", layover::test::kCertificate);
  directory.write("password", "s3cret");
  // Docker's configuration has an entry for the registry too, which is not the mirror's.
  directory.write("docker.json", R"({"auths": {
    "a.example": {"auth": "b3duOndyb25n"}, "third.example:8443": {"auth": "dGhpcmQ6cmlnaHQ="}}})");
  const auto settings = load(with_registry("a.example", R"("mirrors": [
      "http://10.0.0.1:5000/",
      {"url": "https://second.example", "capabilities": ["pull", "resolve"], "ca_file": "ca.pem",
       "credentials": {"username": "second", "password_file": "password"}},
      {"url": "https://third.example:8443", "capabilities": ["pull"],
       "credentials": {"docker_config": "docker.json"}}])"),
                             {}, directory.path() + "/layover.json");
  const auto& mirrors = registry_in(settings, "a.example").mirrors;
  REQUIRE(mirrors.size() == 3);
  CHECK(to_string(mirrors[0].url) == "http://10.0.0.1:5000");
  CHECK_FALSE(mirrors[0].may_resolve);
  CHECK_FALSE(mirrors[0].credentials);
  CHECK(mirrors[1].may_resolve);
  CHECK(mirrors[1].ca_file == directory.path() + "/ca.pem");
  REQUIRE(mirrors[1].credentials);
  CHECK(mirrors[1].credentials->password == "s3cret");
  CHECK_FALSE(mirrors[2].may_resolve);
  REQUIRE(mirrors[2].credentials);
  CHECK(mirrors[2].credentials->username == "third");
  CHECK(registry_in(load(with_registry("a.example", R"("mirrors": [])")), "a.example").mirrors.empty());
}

TEST_CASE("a mirror that could not be used is refused") {
  struct Case {
    const char* mirrors;
    const char* problem;
  };
  for (const auto& [mirrors, problem] : std::vector<Case>{
           {R"("https://m.example")", ": expected a list of mirrors, not a string"},
           {R"([5])", "[0]: expected a URL, or an object with \"url\", not the bare number 5"},
           {R"([{}])", "[0]: expected \"url\""},
           {R"(["https://m.example/path"])",
            "[0]: expected a URL of scheme, host and port, such as \"https://registry.example:5000\", "
            "without a "
            "path, a query or a user"},
           {R"(["https://m.example", "https://M.example:443"])", "[1]: https://m.example is asked already"},
           {R"(["https://a.example"])", "[0]: https://a.example is asked already"},
           {R"([{"url": "https://m.example", "capabilities": ["resolve"]}])",
            "[0].capabilities: a mirror without \"pull\" would be of no use"},
           {R"([{"url": "https://m.example", "capabilities": ["pull", "push"]}])",
            "[0].capabilities[1]: expected \"pull\", with or without \"resolve\""},
           {R"([{"url": "https://m.example", "cafile": "x"}])",
            "[0].cafile: unknown key; did you mean \"ca_file\"?"},
       }) {
    INFO(mirrors);
    const std::string found = problem_of(with_registry("a.example", std::string("\"mirrors\": ") + mirrors));
    CHECK(found.substr(found.find(" ") + 1) == std::string("registries[\"a.example\"].mirrors") + problem);
  }
}

TEST_CASE("a mirror's credentials are no more for everybody than a registry's own") {
  const std::string open = R"({"listen": [{"address": "0.0.0.0:5000"}], "registries": {"a.example": {)";
  const std::string mirrors = R"("mirrors": [{"url": "https://m.example",
      "credentials": {"username": "u", "password_env": "PW"}}])";
  TestEnvironment environment;
  environment.variables["PW"] = "secret";
  const auto refused = load_text(open + mirrors + "}}}", "f", environment.get());
  REQUIRE_FALSE(refused);
  REQUIRE(refused.error().size() == 1);
  CHECK(refused.error().front().path == "registries[\"a.example\"].mirrors");
  CHECK(load_text(open + R"("shared": true, )" + mirrors + "}}}", "f", environment.get()));
}

TEST_CASE("streams is a whole number from 1 to 32, 8 unless it is given") {
  CHECK(registry_in(load(with_registry("a.example", R"("streams": 3)")), "a.example").streams == 3);
  CHECK(registry_in(load(with_registry("a.example", "")), "a.example").streams == 8);
  for (const char* value : {"0", "33", "-1", "1.5", "\"3\"", "true"}) {
    INFO(value);
    CHECK(problem_of(with_registry("a.example", std::string("\"streams\": ") + value)) ==
          "f:1:42: registries[\"a.example\"].streams: expected a whole number from 1 to 32");
  }
}

TEST_CASE("a registry's max_connections") {
  const auto most = [](const std::string& keys) {
    return registry_in(load(with_registry("a.example", keys)), "a.example").max_connections;
  };
  CHECK(most("") == 0);
  CHECK(most(R"("max_connections": 3)") == 3);
  for (const char* value : {"-1", "1.5", "1048577", "\"3\""}) {
    INFO(value);
    CHECK(problem_of(with_registry("a.example", std::string("\"max_connections\": ") + value)) ==
          "f:1:50: registries[\"a.example\"].max_connections: expected a whole number from 0 to 1048576");
  }
}

TEST_CASE("what a registry cannot have yet is told from what it never has") {
  for (const char* key :
       {"client_certificate", "client_key", "repositories", "tags", "on_deleted", "enabled"}) {
    INFO(key);
    CHECK(problem_of(with_registry("a.example", std::string("\"") + key + "\": null")) ==
          std::string("f:1:31: registries[\"a.example\"].") + key + ": not supported yet");
  }
  CHECK(problem_of(with_registry("a.example", R"("cafile": "x")")) ==
        "f:1:31: registries[\"a.example\"].cafile: unknown key; did you mean \"ca_file\"?");
}
