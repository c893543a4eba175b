// ASCII text: case, white space, numbers.
#include "base/ascii.h"

#include <cstdint>

#include "tests/support/catch.h"

using layover::equals_ignoring_case;
using layover::parse_decimal;
using layover::trim;

TEST_CASE("trimming takes spaces and tabs, nothing else") {
  CHECK(trim(" \ta b\t ") == "a b");
  CHECK(trim("\r\na") == "\r\na");
  CHECK(trim(" \t ").empty());
  CHECK(trim("").empty());
}

TEST_CASE("control characters are those below the space, and DEL") {
  for (int c = 0; c < 256; ++c) {
    CAPTURE(c);
    CHECK(layover::is_control(static_cast<char>(c)) == (c < 0x20 || c == 0x7f));
  }
  CHECK(layover::has_control_character("a\tb"));
  CHECK_FALSE(layover::has_control_character("a b\xc3\xa9"));
  CHECK_FALSE(layover::has_control_character(""));
}

TEST_CASE("only ASCII letters are equal without case") {
  CHECK(equals_ignoring_case("AbC-1", "aBc-1"));
  CHECK_FALSE(equals_ignoring_case("a", "ab"));
  CHECK_FALSE(equals_ignoring_case("[", "{"));
}

TEST_CASE("a number is decimal digits and nothing else, and fits its type") {
  CHECK(parse_decimal<std::uint16_t>("65535") == 65535);
  CHECK(parse_decimal<std::uint16_t>("007") == 7);
  for (const char* wrong : {"", "65536", "-1", "+1", " 1", "1 ", "1.0", "0x1", "1e1"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_decimal<std::uint16_t>(wrong));
  }
}

TEST_CASE("a token has no separators, spaces or bytes beyond ASCII") {
  CHECK(layover::is_token("X-Cache!#$%&'*+.^_`|~09"));
  for (const char* wrong : {"", "a b", "a,b", "a:b", "a/b", "\"a\"", "\xc3\xa4", "a\x7f"}) {
    CAPTURE(wrong);
    CHECK_FALSE(layover::is_token(wrong));
  }
}
