// docs/layover.schema.json, docs/configuration.md and the loader know the same keys, with the same defaults.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <string_view>

#include "config/document.h"
#include "config/show.h"
#include "config/units.h"
#include "tests/support/catch.h"
#include "tests/unit/config/every_key.h"
#include "tests/unit/config/fixture.h"

using namespace layover::config;

namespace {

std::string read_documentation(const std::string& name) {
  std::ifstream file(std::string(LAYOVER_DOCS) + "/" + name);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

Node parse(std::string_view text) {
  Report report("text");
  auto node = read_document(text, report);
  REQUIRE(report.is_empty());
  return std::move(*node);
}

const Node* member(const Node& object, std::string_view key) {
  const auto found = std::ranges::find(object.members, key, &Member::key);
  return found == object.members.end() ? nullptr : &found->value;
}

std::string join(const std::string& parent, const std::string& key) {
  return parent.empty() ? key : parent + "." + key;
}

/// Any registry's name but "*" is as good as another.
std::string general(const std::string& parent, const std::string& key) {
  return join(parent, parent == "registries" && key != "*" ? "NAME" : key);
}

/// As JSON, as far as defaults need it.
std::string text_of(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kText: return "\"" + node.text + "\"";
    case Node::Kind::kBoolean: return node.boolean ? "true" : "false";
    case Node::Kind::kList: return node.items.empty() ? "[]" : "[...]";
    default: return node.text;
  }
}

/// Every key that ends a path, such as "listen[].address" or "registries.NAME.url", and its default's text,
/// empty where it has none.
using Keys = std::map<std::string, std::string>;

void collect_schema(const Node& schema, const std::string& path, const Node& definitions, Keys& keys) {
  if (const Node* reference = member(schema, "$ref"); reference != nullptr) {
    const Node* target = member(definitions, reference->text.substr(reference->text.rfind('/') + 1));
    REQUIRE(target != nullptr);
    if (member(*target, "properties") != nullptr) return collect_schema(*target, path, definitions, keys);
  }
  if (const Node* items = member(schema, "items");
      items != nullptr && member(*items, "properties") != nullptr) {
    return collect_schema(*items, path + "[]", definitions, keys);
  }
  const Node* properties = member(schema, "properties");
  if (properties == nullptr) {
    CHECK(member(schema, "description") != nullptr);
    const Node* standard = member(schema, "default");
    keys[path] = standard == nullptr ? "" : text_of(*standard);
    return;
  }
  for (const Member& property : properties->members) {
    collect_schema(property.value, general(path, property.key), definitions, keys);
  }
  const Node* others = member(schema, "additionalProperties");
  REQUIRE(others != nullptr);
  if (others->kind == Node::Kind::kObject) collect_schema(*others, general(path, "any"), definitions, keys);
}

Keys schema_keys() {
  Keys keys;
  const Node schema = parse(read_documentation("layover.schema.json"));
  collect_schema(schema, "", *member(schema, "$defs"), keys);
  return keys;
}

/// The same of a configuration, with its values.
void collect_configuration(const Node& node, const std::string& path, Keys& keys) {
  if (node.kind == Node::Kind::kList && !node.items.empty() &&
      node.items.front().kind == Node::Kind::kObject) {
    for (const Node& item : node.items) collect_configuration(item, path + "[]", keys);
  } else if (node.kind == Node::Kind::kObject) {
    for (const Member& child : node.members) {
      collect_configuration(child.value, general(path, child.key), keys);
    }
  } else {
    keys.emplace(path, text_of(node));
  }
}

Keys configuration_keys(std::string_view text) {
  Keys keys;
  collect_configuration(parse(text), "", keys);
  return keys;
}

std::set<std::string> names(const Keys& keys) {
  std::set<std::string> result;
  for (const auto& [name, value] : keys) result.insert(name);
  return result;
}

/// Whether two JSON texts are one value: durations can be written in several ways.
bool is_same(const std::string& a, const std::string& b) {
  const auto duration = [](std::string_view text) {
    text.remove_prefix(std::min<std::size_t>(1, text.size()));
    return parse_duration(text.substr(0, text.find('"')));
  };
  return a == b || (duration(a) && duration(a) == duration(b));
}

constexpr std::string_view kUnknown = "zzzzzzzzzzzz";

/// "registries[\"a.example\"].mirrors[2].url" as "registries.NAME.mirrors[].url".
std::string general_path(const std::string& path) {
  static const std::regex kIndex(R"(\[\d+\])");
  static const std::regex kStar(R"(^registries\["\*"\])");
  static const std::regex kName(R"(^registries\["[^"]*"\])");
  const std::string any_item = std::regex_replace(path, kIndex, "[]");
  return std::regex_replace(std::regex_replace(any_item, kStar, "registries.*"), kName, "registries.NAME");
}

/// What the loader itself says it expects in each object, when it is shown a key that it cannot know.
std::set<std::string> keys_expected_by_loader(const EveryKey& every_key) {
  std::string text;
  for (const char c : EveryKey::kText) {
    text += c;
    if (c == '{') text += "\"" + std::string(kUnknown) + "\": 0, ";
  }
  std::set<std::string> keys;
  for (const Problem& problem : every_key.problems(text)) {
    const auto at = problem.path.find(kUnknown);
    if (at == std::string::npos || !problem.message.starts_with("unknown key; expected ")) continue;
    const auto parent = general_path(problem.path.substr(0, at == 0 ? 0 : at - 1));
    std::string_view rest = problem.message;
    for (auto quote = rest.find('"'); quote != std::string_view::npos; quote = rest.find('"')) {
      rest.remove_prefix(quote + 1);
      keys.insert(join(parent, std::string(rest.substr(0, rest.find('"')))));
      rest.remove_prefix(rest.find('"') + 1);
    }
  }
  return keys;
}

/// A file with just this key.
std::string file_with(const std::string& path) {
  std::string text;
  std::string closing;
  std::string_view rest = path;
  while (!rest.empty()) {
    const auto end = std::min(rest.find('.'), rest.size());
    std::string key(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const bool is_list = key.ends_with("[]");
    if (is_list) key.resize(key.size() - 2);
    text += "{\"" + (key == "NAME" ? "r.example" : key) + "\": " + (is_list ? "[" : "");
    closing = (is_list ? "]}" : "}") + closing;
  }
  return text + "null" + closing;
}

}  // namespace

TEST_CASE("every key of the schema is accepted, in the example that has them all") {
  const EveryKey every_key;
  every_key.load_all();
  CHECK(names(configuration_keys(EveryKey::kText)) == names(schema_keys()));
}

TEST_CASE("every key that the loader knows is in the schema, or refused as not supported yet") {
  const EveryKey every_key;
  const auto expected = keys_expected_by_loader(every_key);
  const auto keys = schema_keys();
  for (const auto& [key, standard] : keys) {
    INFO(key);
    CHECK(expected.contains(key));
  }
  const std::string documentation = read_documentation("configuration.md");
  const auto not_yet = documentation.substr(documentation.find("\n## Not supported yet"));
  for (const std::string& key : expected) {
    const bool is_section = std::ranges::any_of(keys, [&](const auto& entry) {
      return entry.first.starts_with(key + ".") || entry.first.starts_with(key + "[");
    });
    if (is_section || keys.contains(key)) continue;
    INFO(key);
    CHECK(problem_of(file_with(key)).ends_with(": not supported yet"));
    CHECK(not_yet.contains("`" + key.substr(key.starts_with("registries.NAME.") ? 16 : 0) + "`"));
  }
}

TEST_CASE("the schema's defaults are those that hold") {
  const auto shown = configuration_keys(show(load("{}"), Layout::kOneLine));
  // Resolved, and not set.
  const std::set<std::string> not_shown = {"threads", "cache.min_free"};
  for (const auto& [key, standard] : schema_keys()) {
    if (standard.empty() || not_shown.contains(key) || key.starts_with("registries.NAME.")) continue;
    INFO(key);
    REQUIRE(shown.contains(key));
    CHECK(is_same(shown.at(key), standard));
  }
}

TEST_CASE("docs/configuration.md has every key of the schema with its default") {
  const std::string documentation = read_documentation("configuration.md");
  for (const auto& [key, standard] : schema_keys()) {
    std::string shown = key;
    for (const std::string_view prefix : {"defaults.", "registries.NAME."}) {
      if (shown.starts_with(prefix)) shown.erase(0, prefix.size());
    }
    INFO(key);
    CHECK(documentation.contains("\n- `" + shown + "` (" + (standard.empty() ? "" : "`" + standard + "`")));
  }
}
