// The ways in which a registry fails, each by its name.
#pragma once

#include <string_view>
#include <vector>

#include "tests/support/faulty_registry.h"

namespace layover::test {

/// All of them. The names are unique.
const std::vector<Fault>& faults();
/// Throws where there is none of that name.
const Fault& fault(std::string_view name);

}  // namespace layover::test
