// The value of the Authorization header for a user name and a password (RFC 7617).
#pragma once

#include <string>
#include <string_view>

namespace layover::upstream {

std::string basic_authorization(std::string_view username, std::string_view password);

}  // namespace layover::upstream
