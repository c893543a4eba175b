// The specification's list of tags ("Listing Tags"): {"name": "...", "tags": ["...", ...]}.
#pragma once

#include <string>
#include <string_view>

namespace layover::oci {

/// Whether registries' clients would take `text` for a list of tags: a JSON object whose "tags" is an array
/// of strings, or null. Any input, in time that grows with its length only.
bool is_tag_list(std::string_view text);

/// The list of no tags.
std::string empty_tag_list(std::string_view name);

}  // namespace layover::oci
