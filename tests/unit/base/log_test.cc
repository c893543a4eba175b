// The program's log as it comes out of standard error, in both forms.
#include "base/log.h"

#include <unistd.h>

#include <regex>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/support/captured_output.h"
#include "tests/support/catch.h"

using namespace layover;
using namespace layover::test;

namespace {

/// Standard error goes to `output` as long as this lives.
class Redirected {
 public:
  explicit Redirected(const CapturedOutput& output) : before_(::dup(STDERR_FILENO)) {
    ::dup2(output.fd(), STDERR_FILENO);
  }
  Redirected(const Redirected&) = delete;
  Redirected& operator=(const Redirected&) = delete;
  ~Redirected() { ::dup2(before_.get(), STDERR_FILENO); }

 private:
  UniqueFd before_;
};

std::vector<std::string> logged(LogFormat format) {
  CapturedOutput output;
  const Redirected redirected(output);
  start_logging(LogLevel::kInfo, format);
  log_debug("below the level");
  log_info("serves on {}", "http://127.0.0.1:5000");
  log_warning("a \"name\"\nforged \xff");
  log_error("{}", "{no format}");
  stop_logging();
  return output.lines();
}

}  // namespace

TEST_CASE("only lines at or above the level are logged") {
  set_log_level(LogLevel::kWarning);
  CHECK(is_logged(LogLevel::kError));
  CHECK(is_logged(LogLevel::kWarning));
  CHECK_FALSE(is_logged(LogLevel::kInfo));
  set_log_level(LogLevel::kInfo);
}

TEST_CASE("a text line has time, level and message") {
  const auto lines = logged(LogFormat::kText);
  REQUIRE(lines.size() == 3);
  const std::regex first(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info serves on http://127\.0\.0\.1:5000)");
  CHECK(std::regex_match(lines[0], first));
  CHECK(lines[1].substr(25) == "warning a \"name\"\\x0aforged \xff");
  CHECK(lines[2].substr(25) == "error {no format}");
}

TEST_CASE("a JSON line is one object with time, level and message") {
  const auto lines = logged(LogFormat::kJson);
  REQUIRE(lines.size() == 3);
  const auto first = nlohmann::json::parse(lines[0]);
  CHECK(first.size() == 3);
  CHECK(first["level"] == "info");
  CHECK(first["message"] == "serves on http://127.0.0.1:5000");
  CHECK(first["time"].get<std::string>().size() == 24);
  CHECK(nlohmann::json::parse(lines[1])["message"] == "a \"name\"\nforged \xef\xbf\xbd");
  CHECK(nlohmann::json::parse(lines[2])["message"] == "{no format}");
}

TEST_CASE("lines from before the start and after the stop are not lost") {
  CapturedOutput output;
  const Redirected redirected(output);
  log_warning("early");
  start_logging(LogLevel::kInfo, LogFormat::kText);
  log_warning("in time");
  stop_logging();
  log_warning("late");
  const auto lines = output.lines();
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].find("early") != std::string::npos);
  CHECK(lines[1].find("in time") != std::string::npos);
  CHECK(lines[2].find("late") != std::string::npos);
}
