// HTTP/1.1 messages taken apart by the letter of RFC 9112, with none of layover's code and, for requests, no
// tolerance: where layover reads a message, and reads it otherwise, two readings exist, and that is how
// requests are smuggled.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace layover::fuzz {

struct StrictField {
  std::string_view name;
  std::string_view value;
};

struct StrictMessage {
  std::string_view start_line;
  std::vector<StrictField> fields;
  std::string body;
  std::size_t size = 0;  // of all of it, in bytes of the input
};

/// Answers may have what harms nobody but the registry that sends it: lines that go on in the next one
/// (RFC 9112 5.2), any reason phrase, and chunk extensions in which a CR and any byte is the end.
enum class Kind { kRequest, kAnswer };

enum class BodyRule {
  kAsAnnounced,  // by Transfer-Encoding or Content-Length; else none
  kNone,         // whatever the fields announce
};

/// The message at the front of `text`; nothing where it is not complete, or is not one by the letter.
std::optional<StrictMessage> read_strictly(std::string_view text, BodyRule rule, Kind kind);

}  // namespace layover::fuzz
