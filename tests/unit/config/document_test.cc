// The tree and its positions: every node must know where it stands, whatever stands between.
#include "config/document.h"

#include <string>
#include <vector>

#include "tests/support/catch.h"

using namespace layover::config;

namespace {

std::string at(Position position) {
  return std::to_string(position.line) + ":" + std::to_string(position.column);
}

Node read(std::string_view text) {
  Report report("f");
  auto root = read_document(text, report);
  if (!root) FAIL(to_string(report.take()));
  CHECK(report.is_empty());
  return std::move(*root);
}

std::string problem(std::string_view text) {
  Report report("f");
  const bool is_read = read_document(text, report).has_value();
  CHECK((is_read || !report.is_empty()));
  std::string lines = to_string(report.take());
  if (!lines.empty()) lines.pop_back();
  return lines;
}

}  // namespace

TEST_CASE("keys and values know where they stand") {
  const auto root = read(
      "// first\n"
      "{ /* a, \"b\": { */ \"a\" : 1 , // }\n"
      "  \"b\":[true,null,\n"
      "\t-1.5e3, \"x\\\"\\\\\"  ,{}],\"c\":{\"d\":false}}\n");
  CHECK(at(root.position) == "2:1");
  REQUIRE(root.members.size() == 3);
  CHECK(at(root.members[0].position) == "2:19");
  CHECK(at(root.members[0].value.position) == "2:25");
  CHECK(root.members[0].value.text == "1");
  CHECK(at(root.members[1].position) == "3:3");
  const auto& items = root.members[1].value.items;
  REQUIRE(items.size() == 5);
  CHECK(at(root.members[1].value.position) == "3:7");
  CHECK(at(items[0].position) == "3:8");
  CHECK(items[0].boolean);
  CHECK(at(items[1].position) == "3:13");
  CHECK(at(items[2].position) == "4:2");
  CHECK(items[2].text == "-1.5e3");
  CHECK(at(items[3].position) == "4:10");
  CHECK(items[3].text == "x\"\\");
  CHECK(at(items[4].position) == "4:20");
  CHECK(at(root.members[2].position) == "4:24");
  CHECK(at(root.members[2].value.members[0].value.position) == "4:33");
}

TEST_CASE("columns count characters, lines may end in CR LF") {
  const auto root = read("\xef\xbb\xbf{\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\": 1,\r\n\"b\":\r\n 2}");
  CHECK(at(root.members[0].value.position) == "1:9");
  CHECK(at(root.members[1].position) == "2:1");
  CHECK(at(root.members[1].value.position) == "3:2");
}

TEST_CASE("a number next to a comment or a bracket ends there") {
  const auto root = read("[1/**/,2//\n,3]");
  REQUIRE(root.items.size() == 3);
  CHECK(root.items[0].text == "1");
  CHECK(root.items[1].text == "2");
  CHECK(root.items[2].text == "3");
  CHECK(at(root.items[2].position) == "2:2");
}

TEST_CASE("a key given twice names the line of the first, wherever it is") {
  CHECK(problem("{\"a\": 1,\n \"b\": 2,\n \"a\": 3}") == "f:3:2: a: given twice, first on line 1");
  CHECK(problem("{\"r\": {\"docker.io\": {},\n\"docker.io\": {\"x\": [1, {}]}}}") ==
        "f:2:1: r[\"docker.io\"]: given twice, first on line 1");
  CHECK(problem("{\"l\": [{}, {\"a\": 1, \"a\": 1}]}") == "f:1:21: l[1].a: given twice, first on line 1");
  // An escaped spelling is the same key.
  // Also inside of what is dropped for being a repetition.
  CHECK(
      problem(
          R"({"a": 1, "a": {"b": {"c": {}, "c": {"d": 1, "e": 2}, "f": 3}, "b": {"g": [1, 2]}, "h": 4}})") ==
      "f:1:10: a: given twice, first on line 1\n"
      "f:1:31: a.b.c: given twice, first on line 1\n"
      "f:1:63: a.b: given twice, first on line 1");
  CHECK(problem("{\"a\": 1, \"\\u0061\": 1}") == "f:1:10: a: given twice, first on line 1");
}

TEST_CASE("syntax errors tell where and what was due") {
  CHECK(
      problem("{\"a\": 1,}") ==
      "f:1:9: not valid JSON: unexpected '}'; expected string literal (the comma before it is one too many)");
  CHECK(problem("[1,\n]").starts_with("f:2:1: not valid JSON: unexpected ']'"));
  CHECK(problem("{\"a\": 1\n \"b\": 2}") == "f:2:2: not valid JSON: unexpected string literal; expected '}'");
  CHECK(problem("{\"a\" 1}") == "f:1:6: not valid JSON: unexpected number literal; expected ':'");
  CHECK(problem("{\"a\": 1").starts_with("f:1:8: not valid JSON: unexpected end of input"));
  CHECK(problem("{} {}").starts_with("f:1:4: not valid JSON: unexpected '{'"));
  CHECK(problem("{\"a\": tru}") == "f:1:10: not valid JSON: invalid literal");
  CHECK(problem("{'a': 1}").starts_with("f:1:2: not valid JSON: invalid literal"));
  CHECK(problem("{\"a\": \"x\n\"}").starts_with("f:1:9: not valid JSON: invalid string"));
  CHECK(problem("{\"a\": /* never closed").starts_with("f:1:22: not valid JSON: invalid comment"));
  CHECK(problem("{\"a\": 1e999}").find("number overflow") != std::string::npos);
}

TEST_CASE("an empty file says what to write") {
  for (const char* text : {"", " \n\t\r\n", "\xef\xbb\xbf"}) {
    CHECK(problem(text).ends_with("the file is empty; write {} for the defaults"));
  }
}

TEST_CASE("bytes that are not UTF-8 are refused and not shown") {
  const auto text = problem("{\"a\": \"\xff\xfe\"}");
  CHECK(text == "f:1:8: not valid JSON: invalid string: ill-formed UTF-8 byte");
  CHECK_FALSE(problem("\xff").empty());
  CHECK_FALSE(problem("{\"a\": \"\xed\xa0\x80\"}").empty());
}

TEST_CASE("nothing is left unread behind a NUL") {
  CHECK(problem(std::string_view("{\"a\": \0}", 8)) == "f:1:7: not valid JSON: a NUL character");
  CHECK(problem(std::string_view("{}\n\0 rest", 9)) == "f:2:1: not valid JSON: a NUL character");
  CHECK(problem(std::string_view("{} // \0 x\n", 10)) == "f:1:7: not valid JSON: a NUL character");
}

TEST_CASE("deep nesting is refused where it gets too deep") {
  CHECK(problem(std::string(100'000, '[')) == "f:1:33: nested deeper than 32 levels");
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  CHECK(problem(objects) == "f:1:161: nested deeper than 32 levels");
  CHECK(problem(std::string(32, '[') + std::string(32, ']')).empty());
}

TEST_CASE("wide files are read in reasonable time") {
  std::string wide = "{";
  for (int i = 0; i < 100'000; ++i) wide += "\"" + std::to_string(i) + "\":[],\n";
  wide += "\"x\":0}";
  CHECK(read(wide).members.size() == 100'001);
}

TEST_CASE("paths quote what is no plain word") {
  CHECK(member_path("", "listen") == "listen");
  CHECK(member_path("registries", "docker.io") == "registries[\"docker.io\"]");
  CHECK(member_path("registries[\"docker.io\"]", "url") == "registries[\"docker.io\"].url");
  CHECK(member_path("a", "\"\n") == "a[\"\\\"\\n\"]");
  CHECK(member_path("a", "") == "a[\"\"]");
  CHECK(item_path("listen", 0) == "listen[0]");
}
