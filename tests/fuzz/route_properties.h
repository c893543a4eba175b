// What must hold for any target of a request that is taken apart into a route.
#pragma once

#include <string_view>

namespace layover::fuzz {

void check_route(std::string_view target);

}  // namespace layover::fuzz
