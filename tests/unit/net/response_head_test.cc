// ResponseHead: what is written, and that nothing can split it.
#include "net/response_head.h"

#include <string>

#include "tests/support/catch.h"

using layover::net::http_date_now;
using layover::net::ResponseHead;
using namespace std::string_literals;

TEST_CASE("a head has its status line, a date, its fields in order and an empty line") {
  ResponseHead head(206);
  head.add("Content-Type", "text/plain").add("Content-Length", 10U);
  const std::string text = std::move(head).finish();
  CHECK(text.starts_with("HTTP/1.1 206 Partial Content\r\nDate: "));
  CHECK(text.ends_with("\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n"));
}

TEST_CASE("a value that would split the head is left out") {
  for (const std::string& value : {"a\r\nX: y"s, "a\nb"s, "a\rb"s, "a\0b"s}) {
    ResponseHead head(200);
    head.add("X-Bad", value).add("X-Good", "c");
    const std::string text = std::move(head).finish();
    CHECK(text.find("X-Bad") == std::string::npos);
    CHECK(text.ends_with("X-Good: c\r\n\r\n"));
  }
}

TEST_CASE("a status without a phrase is written all the same") {
  CHECK(std::move(ResponseHead(299)).finish().starts_with("HTTP/1.1 299 Unknown\r\n"));
}

TEST_CASE("the date has the one form that HTTP wants") {
  const std::string date(http_date_now());
  REQUIRE(date.size() == 29);
  CHECK(date.substr(3, 2) == ", ");
  CHECK(date.ends_with(" GMT"));
}
