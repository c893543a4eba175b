// Link header fields (RFC 8288 3), as registries page with.
#pragma once

#include <optional>
#include <string_view>

namespace layover::net {

/// The target, as it stands between < and >, of the first link in a field's value that has this relation
/// type; nothing where none has, or where the value is malformed before it. A view into `field`.
std::optional<std::string_view> find_link(std::string_view field, std::string_view relation);

}  // namespace layover::net
