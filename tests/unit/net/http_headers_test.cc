// HttpHeaders: look-ups without case, lists, and fields in order.
#include "net/http_headers.h"

#include <string_view>
#include <vector>

#include "tests/support/catch.h"

using layover::net::equals_ignoring_case;
using layover::net::HttpHeaders;
using layover::net::trim;

TEST_CASE("fields are found by name whatever its case, the first one first") {
  HttpHeaders headers;
  headers.add("Accept", "a");
  headers.add("X-Other", "");
  headers.add("accept", "b");
  CHECK(headers.size() == 3);
  CHECK(headers.get("ACCEPT") == "a");
  CHECK(headers.get("x-other") == "");
  CHECK_FALSE(headers.get("absent"));
  CHECK(headers.count("accept") == 2);
  CHECK(headers.all("Accept") == std::vector<std::string_view>{"a", "b"});
  CHECK(headers.at(1).name == "X-Other");
  headers.clear();
  CHECK(headers.size() == 0);
  CHECK_FALSE(headers.get("accept"));
}

TEST_CASE("a token is found in any field of that name, between commas and spaces") {
  HttpHeaders headers;
  headers.add("Connection", "keep-alive ,\tUpgrade");
  headers.add("connection", ",,x");
  CHECK(headers.has_token("connection", "upgrade"));
  CHECK(headers.has_token("connection", "keep-alive"));
  CHECK(headers.has_token("connection", "X"));
  CHECK_FALSE(headers.has_token("connection", "keep"));
  CHECK_FALSE(headers.has_token("upgrade", "upgrade"));
}

TEST_CASE("trimming takes spaces and tabs, nothing else") {
  CHECK(trim(" \ta b\t ") == "a b");
  CHECK(trim("\r\na") == "\r\na");
  CHECK(trim(" \t ").empty());
  CHECK(trim("").empty());
}

TEST_CASE("only ASCII letters are equal without case") {
  CHECK(equals_ignoring_case("AbC-1", "aBc-1"));
  CHECK_FALSE(equals_ignoring_case("a", "ab"));
  CHECK_FALSE(equals_ignoring_case("[", "{"));
}
