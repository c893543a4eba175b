// The configuration file: every problem has a place and tells no secret, and what was loaded is shown as a
// file that loads as the same.
#include <algorithm>

#include "base/ascii.h"
#include "config/load.h"
#include "config/show.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/one_text_files.h"

namespace layover::fuzz {
namespace {

using namespace config;

/// What every file holds that a configuration names: it passes for a password, for certificates and for
/// Docker's configuration.
constexpr std::string_view kFile =
    R"({"auths":{"docker.io":{"auth":"dTpzZWNyZXQtMQ=="},"ghcr.io":{"auth":"dTpzZWNyZXQtMQ=="}},)"
    R"("HttpHeaders":{"secret-2":"-----BEGIN CERTIFICATE-----"}})";

/// Names are shown in lower case, however they were written.
bool tells_a_secret(std::string_view text) {
  const std::string lower = to_lower(text);
  return lower.contains("secret-1") || lower.contains("secret-2") || lower.contains("secret-3");
}

Environment environment() {
  static OneTextFiles files(kFile);
  return {.files = &files,
          .variable = [](const std::string& name) -> std::optional<std::string> {
            if (name.starts_with('X')) return std::nullopt;
            return "secret-3";
          },
          .processors = 3};
}

void check_problems(const Problems& problems, std::string_view text) {
  require(!problems.empty(), "a text that does not load has a problem");
  const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
  for (const Problem& problem : problems) {
    require(problem.line >= 1 && problem.line <= lines, "a problem is on a line of the file");
    require(problem.column >= 1 && problem.column <= text.size() + 1, "a problem is in a column of the file");
    require(!problem.message.empty(), "a problem says what it is");
    const std::string message = to_string(problem);
    require(!has_control_character(message), "a problem is one line");
    require(!tells_a_secret(message) || tells_a_secret(text), "a problem tells no secret");
  }
}

void check_settings(const Settings& settings, std::string_view text) {
  const std::string shown = show(settings, Layout::kIndented);
  require(!tells_a_secret(shown) || tells_a_secret(text), "settings are shown without secrets");
  const auto again = load_text(shown, "layover.json", environment());
  require(again.has_value(), "settings are shown as a file that loads");
  require(show(*again, Layout::kIndented) == shown, "settings are shown as a file that loads as the same");
}

}  // namespace

void fuzz(std::string_view input) {
  const auto settings = load_text(input, "layover.json", environment());
  if (settings) {
    check_settings(*settings, input);
  } else {
    check_problems(settings.error(), input);
  }
}

}  // namespace layover::fuzz
