// The keys of `defaults`, which a registry may have too: the one table for reading and showing them.
#pragma once

#include <array>
#include <string_view>

#include "config/section.h"
#include "config/settings.h"

namespace layover::config {

struct TimeKey {
  std::string_view key;
  Duration Times::* member;
  Zero zero;
};

inline constexpr std::array kTimeKeys = {
    TimeKey{"tag_ttl", &Times::tag_ttl, Zero::kAllowed},
    TimeKey{"not_found_ttl", &Times::not_found_ttl, Zero::kAllowed},
    TimeKey{"stale_ttl", &Times::stale_ttl, Zero::kAllowed},
    TimeKey{"grant_ttl", &Times::grant_ttl, Zero::kAllowed},
    TimeKey{"connect_timeout", &Times::connect_timeout, Zero::kRefused},
    TimeKey{"response_timeout", &Times::response_timeout, Zero::kRefused},
    TimeKey{"confirm_timeout", &Times::confirm_timeout, Zero::kRefused},
    TimeKey{"idle_timeout", &Times::idle_timeout, Zero::kRefused},
    TimeKey{"first_byte_budget", &Times::first_byte_budget, Zero::kRefused},
};

}  // namespace layover::config
