// Targets of requests, taken apart into routes.
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/route_properties.h"

namespace layover::fuzz {

void fuzz(std::string_view input) { check_route(input); }

}  // namespace layover::fuzz
