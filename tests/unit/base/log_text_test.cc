// Texts of others in the lines of the logs: nothing forges a line, breaks a parser or reaches a terminal.
#include "base/log_text.h"

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/support/catch.h"

using namespace layover;

namespace {

template <typename Append>
std::string made_by(Append append_text, std::string_view text) {
  LogBuffer line;
  append_text(line, text);
  return std::string(view(line));
}

std::string json(std::string_view text) { return made_by(append_json_string, text); }
std::string in_quotes(std::string_view text) { return made_by(append_quoted, text); }

}  // namespace

TEST_CASE("times are RFC 3339 in UTC with milliseconds") {
  const auto at = [](std::int64_t milliseconds) {
    LogBuffer line;
    append_time(line, WallTime(std::chrono::milliseconds(milliseconds)));
    return std::string(view(line));
  };
  CHECK(at(0) == "1970-01-01T00:00:00.000Z");
  CHECK(at(1'709'210'096'007) == "2024-02-29T12:34:56.007Z");
  CHECK(at(-1) == "1969-12-31T23:59:59.999Z");
}

TEST_CASE("a JSON string keeps text and escapes what JSON cannot hold") {
  CHECK(json("") == R"("")");
  CHECK(json("containerd/2.0 (linux)") == "\"containerd/2.0 (linux)\"");
  CHECK(json("a\"b\\c") == R"("a\"b\\c")");
  CHECK(json("\n\r\t\x01\x1f\x7f") == R"("\n\r\t\u0001\u001f\u007f")");
  CHECK(json(std::string_view("a\0b", 3)) == R"("a\u0000b")");
  CHECK(json("grüße €  \U0001F980") == "\"grüße €  \U0001F980\"");
  CHECK(json("\xc2\x9b\x32J") == R"("\u009b2J")");  // a terminal's "clear the screen"
}

TEST_CASE("what is no UTF-8 is replaced in JSON") {
  const std::string replaced = "\xef\xbf\xbd";
  CHECK(json("a\xff\x62") == "\"a" + replaced + "b\"");
  CHECK(json("\xc3") == "\"" + replaced + "\"");                                // cut short
  CHECK(json("\xc0\x80") == "\"" + replaced + replaced + "\"");                 // longer than needed
  CHECK(json("\xe0\x9f\xbf") == "\"" + replaced + replaced + replaced + "\"");  // the same, of three
  CHECK(json("\xed\xa0\x80") == "\"" + replaced + replaced + replaced + "\"");  // a surrogate
  CHECK(json("\xf4\x90\x80\x80") == "\"" + replaced + replaced + replaced + replaced + "\"");
  CHECK(json("\xe2\x82\x22") == "\"" + replaced + replaced + "\\\"\"");
}

TEST_CASE("any two bytes make JSON that says what nlohmann would say") {
  for (unsigned first = 0; first < 256; ++first) {
    for (unsigned second = 0; second < 256; ++second) {
      const std::string text{static_cast<char>(first), static_cast<char>(second), 'x'};
      const std::string ours = json(text);
      const auto parsed = nlohmann::json::parse(ours, nullptr, false);
      if (parsed.is_discarded()) FAIL("no JSON: " << ours);
      const auto theirs = nlohmann::json::parse(
          nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
      // Of a sequence cut short nlohmann makes one replacement where we make one a byte.
      const bool is_valid = theirs.get<std::string>() == text;
      if (is_valid != (parsed.get<std::string>() == text)) FAIL(first << " " << second);
    }
  }
  SUCCEED("all of them");
}

TEST_CASE("quoted text is printable ASCII") {
  CHECK(in_quotes("podman/4 x") == R"("podman/4 x")");
  CHECK(in_quotes("a\"b\\c\n\x1b[2J\x7f") == R"("a\"b\\c\x0a\x1b[2J\x7f")");
  CHECK(in_quotes("\xc3\xbc\xff") == R"("\xc3\xbc\xff")");
}

TEST_CASE("a line of text keeps all but control characters") {
  CHECK(made_by(append_printable, "grüße\nforged line\x1b[2J") == "grüße\\x0aforged line\\x1b[2J");
}

TEST_CASE("a long text fits") {
  CHECK(json(std::string(10'000, 'a')).size() == 10'002);
  CHECK(in_quotes(std::string(10'000, '\n')).size() == 40'002);
}
