// What is a list of tags.
#include "oci/tag_list.h"

#include <string>

#include "tests/support/catch.h"

using layover::oci::is_tag_list;

TEST_CASE("a list of tags is an object with an array of strings, or with null for none") {
  for (const char* good :
       {R"({"name":"a","tags":["1","2"]})", R"({"tags":[],"name":"a"})", R"({"name":"a","tags":null})",
        R"( {"x":{"tags":1},"y":[[{}],null],"tags":["a"],"z":1.5} )",
        R"({"manifest":{"sha256:x":{"tag":["a"]}},"tags":["a"]})"}) {
    CAPTURE(good);
    CHECK(is_tag_list(good));
  }
}

TEST_CASE("anything else is none") {
  for (const char* wrong :
       {"", "null", "[]", "\"tags\"", "{}", R"({"name":"a"})", R"({"tags":"a"})", R"({"tags":1})",
        R"({"tags":{}})", R"({"tags":[1]})", R"({"tags":[["a"]]})", R"({"tags":[{}]})", R"({"tags":[null]})",
        R"({"x":{"tags":["a"]}})", R"([{"tags":["a"]}])", R"({"tags":["a"]} x)", R"({"tags":["a")",
        "<html></html>"}) {
    CAPTURE(wrong);
    CHECK_FALSE(is_tag_list(wrong));
  }
  CHECK_FALSE(is_tag_list(std::string("{\"tags\":[]}\0", 12)));
  CHECK_FALSE(is_tag_list(std::string(100'000, '[')));
  CHECK_FALSE(is_tag_list(R"({"tags":)" + std::string(100'000, '[')));
}

TEST_CASE("the list of no tags is one, whatever the name") {
  CHECK(layover::oci::empty_tag_list("library/nginx") == R"({"name":"library/nginx","tags":[]})");
  CHECK(is_tag_list(layover::oci::empty_tag_list("a")));
}
