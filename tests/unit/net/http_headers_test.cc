// HttpHeaders: look-ups without case, lists, and fields in order.
#include "net/http_headers.h"

#include <string_view>
#include <vector>

#include "tests/support/catch.h"

using layover::net::HttpHeaders;

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
