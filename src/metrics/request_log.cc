// From a request's record to its line, on the stack and in one pass.
#include "metrics/request_log.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include "base/ascii.h"
#include "base/log_text.h"

namespace layover::metrics {

namespace {

/// Of each text that others choose.
constexpr std::size_t kMaxText = 256;
constexpr Bytes kWaiting = 1_MiB;
/// A line may be late by this much, so that a busy second costs a hundred writes and not a write a request.
constexpr std::chrono::milliseconds kGather{10};

/// A field's name with what separates it from the field before and from its value, in either form.
template <std::size_t N>
struct FieldName {
  char text[N + 1]{};
  char json[N + 3]{};

  // NOLINTNEXTLINE(*-explicit-*): so that a literal can be one
  consteval FieldName(const char (&name)[N]) {
    text[0] = ' ';
    std::ranges::copy_n(name, N - 1, text + 1);
    text[N] = '=';
    json[0] = ',';
    json[1] = '"';
    std::ranges::copy_n(name, N - 1, json + 2);
    json[N + 1] = '"';
    json[N + 2] = ':';
  }
};

/// Appends fields in one of the two forms: `name=value ...` (logfmt), or the members of a JSON object.
class Fields {
 public:
  Fields(LogBuffer& line, LogFormat format) : line_(line), is_json_(format == LogFormat::kJson) {
    if (is_json_) line_.push_back('{');
  }
  void end() {
    if (is_json_) line_.push_back('}');
  }

  template <FieldName Name>
  void time(WallTime value) {
    begin<Name>();
    if (is_json_) line_.push_back('"');
    append_time(line_, value);
    if (is_json_) line_.push_back('"');
  }
  template <FieldName Name>
  void text(std::string_view value) {
    begin<Name>();
    const std::string_view part = value.substr(0, kMaxText);
    if (part.empty()) {
      append(line_, is_json_ ? "null" : "-");
    } else if (is_json_) {
      append_json_string(line_, part);
    } else if (std::ranges::all_of(part, is_plain) && part != "-") {
      append(line_, part);
    } else {
      append_quoted(line_, part);
    }
  }
  template <FieldName Name>
  void number(std::uint64_t value) {
    begin<Name>();
    append_number(value);
  }
  template <FieldName Name>
  void boolean(bool value) {
    begin<Name>();
    append(line_, value ? "true" : "false");
  }
  template <FieldName Name>
  void milliseconds(std::optional<std::chrono::nanoseconds> value) {
    begin<Name>();
    if (!value) {
      append(line_, is_json_ ? "null" : "-");
      return;
    }
    const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(*value).count();
    append_number(static_cast<std::uint64_t>(microseconds) / 1000);
    const auto rest = static_cast<unsigned>(microseconds % 1000);
    const char digits[] = {'.', static_cast<char>('0' + rest / 100), static_cast<char>('0' + rest / 10 % 10),
                           static_cast<char>('0' + rest % 10)};
    append(line_, {digits, sizeof digits});
  }

 private:
  /// Needs no quotes in logfmt.
  static bool is_plain(char c) { return is_visible(c) && c != '"' && c != '=' && c != '\\'; }

  template <FieldName Name>
  void begin() {
    std::string_view text = is_json_ ? std::string_view(Name.json, sizeof Name.json)
                                     : std::string_view(Name.text, sizeof Name.text);
    text.remove_prefix(std::exchange(is_first_, false) ? 1 : 0);
    append(line_, text);
  }
  void append_number(std::uint64_t value) {
    const fmt::format_int digits(value);
    append(line_, {digits.data(), digits.size()});
  }

  LogBuffer& line_;
  const bool is_json_;
  bool is_first_ = true;
};

void append_line(LogBuffer& out, LogFormat format, WallTime now, const RequestLine& line) {
  const RequestRecord& record = line.record;
  Fields fields(out, format);
  fields.time<"time">(now);
  fields.text<"client">(line.client);
  fields.text<"method">(line.method);
  fields.text<"kind">(to_string(record.kind));
  fields.text<"registry">(line.registry);
  fields.text<"repository">(line.repository);
  fields.text<"reference">(line.reference);
  fields.number<"status">(static_cast<std::uint64_t>(std::max(record.code, 0)));
  fields.number<"bytes">(record.sent.count);
  fields.milliseconds<"duration_ms">(record.duration);
  fields.milliseconds<"first_byte_ms">(record.time_to_first_byte);
  fields.text<"cache">(to_string(record.cache));
  fields.boolean<"upstream">(line.is_upstream_asked);
  fields.text<"ending">(to_string(line.ending));
  fields.text<"user_agent">(line.user_agent);
  fields.text<"request_id">(line.request_id);
  if (!line.path.empty()) fields.text<"path">(line.path);
  fields.end();
}

}  // namespace

std::string_view to_string(Ending ending) {
  switch (ending) {
    case Ending::kComplete: return "complete";
    case Ending::kClientLeft: return "client_left";
    case Ending::kCutOff: return "cut_off";
  }
  return "cut_off";
}

RequestLog::RequestLog(int fd, LogFormat format, const Clock& clock)
    : format_(format),
      clock_(clock),
      writer_(fd, {.capacity = kWaiting, .gather = kGather, .on_dropped = [](std::uint64_t lines) {
                     log_warning(
                         "{} lines of the request log were dropped: standard output is taken too "
                         "slowly, or cannot be written",
                         lines);
                   }}) {}

void RequestLog::write(const RequestLine& line) {
  LogBuffer text;
  append_line(text, format_.load(std::memory_order_relaxed), clock_.wall_now(), line);
  writer_.add(view(text));
}

}  // namespace layover::metrics
