// What is wrong with a file: each kind of mistake, at its place, all of them at once.
#include <algorithm>
#include <string>
#include <vector>

#include "config/load.h"
#include "config/nearest.h"
#include "tests/support/catch.h"
#include "tests/unit/config/fixture.h"

using namespace layover::config;

TEST_CASE("all problems are reported at once, in the order of the file") {
  const auto lines = problems_of(R"({
  "listn": [],
  "threads": 0,
  "registries": {
    "docker.io": {"shared": "yes", "tags": []},
    "10.0.0.1": {}
  },
  "cache": {"max_size": "80", "path": 5},
  "defaults": {"idle_timeout": 30},
  "cache": {}
})");
  CHECK(lines ==
        std::vector<std::string>{
            "f:2:3: listn: unknown key; did you mean \"listen\"?",
            "f:3:14: threads: expected \"auto\" or a whole number from 1 to 1024",
            "f:5:29: registries[\"docker.io\"].shared: expected true or false, not a string",
            "f:5:36: registries[\"docker.io\"].tags: not supported yet",
            "f:6:17: registries[\"10.0.0.1\"]: a private address is reached only where it is named by "
            "\"url\"; add \"url\": \"https://10.0.0.1\"",
            "f:8:25: cache.max_size: expected a share or a size with its unit, such as "
            "\"80%\" or \"100GiB\", not \"80\"",
            "f:8:39: cache.path: expected the path of a directory, not the bare number 5",
            "f:9:32: defaults.idle_timeout: expected a duration with its unit, such as \"30s\", \"1h30m\" or "
            "\"250ms\", not the bare number 30",
            "f:10:3: cache: given twice, first on line 8",
        });
}

TEST_CASE("keys of later releases are refused as not supported yet") {
  CHECK(problem_of(R"({"listen": [{"tls": {}}]})") == "f:1:14: listen[0].tls: not supported yet");
  CHECK(problem_of(R"({"admin": {"token_file": null}})") == "f:1:12: admin.token_file: not supported yet");
  for (const char* mode : {"basic", "mtls", "passthrough"}) {
    CHECK(problem_of(std::string("{\"access\": {\"mode\": \"") + mode + "\"}}") ==
          std::string("f:1:21: access.mode: \"") + mode + "\" is not supported yet; only \"open\" is");
  }
  CHECK(problem_of(R"({"access": {"mode": "closed"}})") == "f:1:21: access.mode: expected \"open\"");
}

TEST_CASE("unknown keys name the nearest right one, or all where none is near") {
  CHECK(problem_of(R"({"regsitries": {}})") ==
        "f:1:2: regsitries: unknown key; did you mean \"registries\"?");
  CHECK(problem_of(R"({"Threads": 1})") == "f:1:2: Threads: unknown key; did you mean \"threads\"?");
  CHECK(problem_of(R"({"admin": {"address": "x"}})") ==
        "f:1:12: admin.address: unknown key; expected one of \"listen\" or \"token_file\"");
  CHECK(problem_of(R"({"access": {"file": "x"}})") == "f:1:13: access.file: unknown key; expected \"mode\"");
  CHECK(problem_of(R"({"cache": {"": 1}})").find("f:1:12: cache[\"\"]: unknown key; expected one of") == 0);
  CHECK(problem_of(R"({"defaults": {"idle_timout": "5s"}})").find("did you mean \"idle_timeout\"?") !=
        std::string::npos);
  CHECK(problem_of("{\"" + std::string(100'000, 'x') + "\": 1}").find("unknown key; expected one of") !=
        std::string::npos);
}

TEST_CASE("the nearest word is the one with the fewest changes") {
  const std::vector<std::string_view> words = {"url", "ca_file", "password_file", "password_env"};
  CHECK(nearest("ur", words) == "url");
  CHECK(nearest("URL", words) == "url");
  CHECK(nearest("ca-file", words) == "ca_file");
  CHECK(nearest("passwd_env", words) == "password_env");
  CHECK(nearest("password", words) == "password_file");
  CHECK_FALSE(nearest("x", words));
  CHECK_FALSE(nearest("", words));
  CHECK_FALSE(nearest("certificate", words));
}

TEST_CASE("bare numbers are no durations and no sizes") {
  CHECK(problem_of(R"({"limits": {"keep_alive": 75}})") ==
        "f:1:27: limits.keep_alive: expected a duration with its unit, such as \"30s\", \"1h30m\" or "
        "\"250ms\", not the "
        "bare number 75");
  CHECK(problem_of(R"({"limits": {"keep_alive": "75"}})") ==
        "f:1:27: limits.keep_alive: expected a duration with its unit, such as \"30s\", \"1h30m\" or "
        "\"250ms\", of at most 100 years, not \"75\"");
  CHECK(problem_of(R"({"limits": {"max_header_bytes": 32768}})") ==
        "f:1:33: limits.max_header_bytes: expected a size with its unit, such as \"32KiB\", \"5GiB\" or "
        "\"100GB\", not "
        "the bare number 32768");
  CHECK(problem_of(R"({"limits": {"max_header_bytes": "32k"}})").find("not \"32k\"") != std::string::npos);
}

TEST_CASE("values out of range say the range") {
  CHECK(problem_of(R"({"limits": {"max_header_bytes": "1023B"}})") ==
        "f:1:33: limits.max_header_bytes: expected a size from 1024 to 1048576 bytes, not \"1023B\"");
  for (const char* number : {"-1", "1.5", "\"100\"", "1048577", "99999999999999999999", "true"}) {
    CHECK(problem_of(std::string(R"({"limits": {"max_connections": )") + number + "}}") ==
          "f:1:32: limits.max_connections: expected a whole number from 0 to 1048576");
  }
  CHECK(problem_of(R"({"limits": {"max_header_bytes": "2MiB"}})").find("1048576") != std::string::npos);
  CHECK(problem_of(R"({"limits": {"send_timeout": "0s"}})") ==
        "f:1:29: limits.send_timeout: expected a duration longer than nothing, not \"0s\"");
  for (const char* key :
       {"connect_timeout", "response_timeout", "confirm_timeout", "idle_timeout", "first_byte_budget"}) {
    CHECK(problem_of(std::string("{\"defaults\": {\"") + key + "\": \"0ms\"}}").find("longer than nothing") !=
          std::string::npos);
  }
  for (const char* threads : {"0", "-1", "1025", "1.5", "1e1", "\"4\"", "\"many\"", "true", "null", "[]",
                              "{}", "18446744073709551617"}) {
    INFO(threads);
    CHECK(problem_of(std::string("{\"threads\": ") + threads + "}") ==
          "f:1:13: threads: expected \"auto\" or a whole number from 1 to 1024");
  }
}

TEST_CASE("the cache's space is a share or a size, and its limit is not nothing") {
  const std::string expected =
      "expected a share or a size with its unit, such as \"80%\" or \"100GiB\", not ";
  for (const char* text : {"", "%", "101%", "-1%", "1.5%", "80 %", "80%%", "80", "5gb"}) {
    INFO(text);
    CHECK(problem_of(std::string(R"({"cache": {"max_size": ")") + text + "\"}}") ==
          "f:1:24: cache.max_size: " + expected + "\"" + text + "\"");
  }
  CHECK(problem_of(R"({"cache": {"min_free": 5}})") ==
        "f:1:24: cache.min_free: " + expected + "the bare number 5");
  for (const char* text : {"0%", "0B"}) {
    CHECK(problem_of(std::string(R"({"cache": {"max_size": ")") + text + "\"}}") ==
          std::string("f:1:24: cache.max_size: expected more than nothing, not \"") + text + "\"");
  }
}

TEST_CASE("values of the wrong type say what is there") {
  CHECK(problem_of("[]") == "f:1:1: expected an object, not a list");
  CHECK(problem_of("// just a comment\n 5") == "f:2:2: expected an object, not the bare number 5");
  CHECK(problem_of(R"({"cache": null})") == "f:1:11: cache: expected an object, not null");
  CHECK(problem_of(R"({"cache": {"complete_abandoned": 1}})") ==
        "f:1:34: cache.complete_abandoned: expected true or false, not the bare number 1");
  CHECK(problem_of(R"({"cache": {"path": ""}})") ==
        "f:1:20: cache.path: expected the path of a directory, not an empty string");
  CHECK(problem_of(R"({"cache": {"path": "a\u0000b"}})") ==
        "f:1:20: cache.path: expected the path of a directory, not a string with a NUL character");
  CHECK(problem_of(R"({"listen": {}})") == "f:1:12: listen: expected a list of objects, not an object");
  CHECK(problem_of(R"({"listen": []})") == "f:1:12: listen: expected at least one listener");
  CHECK(problem_of(R"({"listen": ["0.0.0.0:5000"]})") ==
        "f:1:13: listen[0]: expected an object, not a string");
  CHECK(problem_of(R"({"registries": []})") ==
        "f:1:16: registries: expected an object with a key for each registry, not a list");
  CHECK(problem_of(R"({"registries": {"a.example": null}})") ==
        "f:1:30: registries[\"a.example\"]: expected an object, not null");
  CHECK(problem_of(R"({"log": {"level": "loud"}})") ==
        "f:1:19: log.level: expected one of \"trace\", \"debug\", \"info\", \"warning\" or \"error\", not "
        "\"loud\"");
  CHECK(problem_of(R"({"log": {"format": "xml"}})") ==
        "f:1:20: log.format: expected one of \"text\" or \"json\", not \"xml\"");
  CHECK(problem_of(R"({"log": {"requests": "yes"}})") ==
        "f:1:22: log.requests: expected true or false, not a string");
  CHECK(problem_of(R"({"access": {"mode": true}})") == "f:1:21: access.mode: expected \"open\", not true");
}

TEST_CASE("a malformed address says what one looks like") {
  for (const char* address : {"", "5000", ":5000", "host:5000", "127.0.0.1", "127.0.0.1:70000"}) {
    INFO(address);
    CHECK(problem_of(std::string(R"({"listen": [{"address": ")") + address + "\"}]}") ==
          std::string(
              "f:1:25: listen[0].address: expected an IP address and a port, such as \"0.0.0.0:5000\" or "
              "\"[::]:5000\", not \"") +
              address + "\"");
  }
  CHECK(problem_of(R"({"admin": {"listen": 5001}})").find("not the bare number 5001") != std::string::npos);
}

TEST_CASE("a listener with a mistake is not blamed for its stand-in address too") {
  CHECK(problems_of(R"({"listen": [{"address": "a"}, {"address": "b"}, {"address": "127.0.0.1:5000"}]})")
            .size() == 2);
}

TEST_CASE("an address can be listened on once") {
  const auto two = [](const std::string& a, const std::string& b) {
    return problem_of(R"({"listen": [{"address": ")" + a + R"("}, {"address": ")" + b + "\"}]}");
  };
  CHECK(two("127.0.0.1:80", "127.0.0.1:80") ==
        "f:1:42: listen[1]: 127.0.0.1:80 and 127.0.0.1:80 cannot both be listened on");
  CHECK(two("localhost:80", "127.0.0.1:80") != "none");
  CHECK(two("0.0.0.0:80", "127.0.0.1:80") != "none");
  CHECK(two("[::1]:80", "[::]:80") != "none");
  CHECK(two("127.0.0.1:80", "127.0.0.1:81") == "none");
  CHECK(two("127.0.0.1:80", "127.0.0.2:80") == "none");
  CHECK(two("0.0.0.0:80", "[::]:80") == "none");
  CHECK(two("127.0.0.1:0", "127.0.0.1:0") == "none");
  CHECK(problem_of(R"({"listen": [{"address": "0.0.0.0:5001"}]})") ==
        "f:1:12: listen: 0.0.0.0:5001 cannot be listened on both for admin (127.0.0.1:5001) and for clients");
  CHECK(problem_of(R"({"admin": {"listen": "127.0.0.1:5000"}})").find("f:1:11: admin: ") == 0);
}

TEST_CASE("a default registry must be one that is allowed") {
  CHECK(problem_of(R"({"listen": [{"default_registry": "a.example"}]})") ==
        "f:1:34: listen[0].default_registry: a.example is not an allowed registry; add \"a.example\": {} to "
        "\"registries\"");
  CHECK(problem_of(R"({"listen": [{"default_registry": "a.example"}], "registries": {"a.example": {}}})") ==
        "none");
  CHECK(problem_of(R"({"listen": [{"default_registry": "https://ghcr.io"}]})")
            .find("expected the name of a registry") != std::string::npos);
}

TEST_CASE("a file that is no JSON gives the place of the syntax error") {
  CHECK(problem_of("{\n  \"threads\": 1,\n}").find("f:3:1: not valid JSON: ") == 0);
  CHECK(problem_of("{\"threads\": \"\xff\"}").find("f:1:14: not valid JSON: ") == 0);
  CHECK(problem_of(std::string(1'000'000, '[')) == "f:1:33: nested deeper than 32 levels");
  CHECK(problem_of("").find("the file is empty") != std::string::npos);
}

TEST_CASE("a problem reads as file, place, path and message, as far as it has them") {
  CHECK(to_string(Problem{"f", 3, 5, "a.b", "expected x"}) == "f:3:5: a.b: expected x");
  CHECK(to_string(Problem{"f", 3, 5, "", "expected x"}) == "f:3:5: expected x");
  CHECK(to_string(Problem{"f", 0, 0, "", "not there"}) == "f: not there");
  CHECK(to_string(Problem{"", 0, 0, "--listen", "expected x"}) == "--listen: expected x");
  CHECK(to_string(Problems{{"f", 1, 1, "a", "x"}, {"f", 2, 1, "b", "y"}}) == "f:1:1: a: x\nf:2:1: b: y\n");
}

TEST_CASE("a problem that repeats what the file says is one line all the same") {
  CHECK(problem_of(R"({"log": {"level": "\u001b[2J\n\u007f"}})").find(R"(not "\x1b[2J\x0a\x7f")") !=
        std::string::npos);
  CHECK(to_string(Problem{"f\n", 3, 5, "", "a\tb"}) == "f\\x0a:3:5: a\\x09b");
}
