// What is made once for each endpoint.
#include "upstream/endpoint.h"

#include <cstdint>
#include <utility>

#include <fmt/format.h>

namespace layover::upstream {

namespace {

std::string next_identity(const net::Url& url) {
  static std::atomic<std::uint64_t> count{0};
  return fmt::format("{}#{}", url.authority(), count.fetch_add(1, std::memory_order_relaxed));
}

}  // namespace

Endpoint::Endpoint(EndpointParts parts)
    : parts_(std::move(parts)),
      identity_(next_identity(parts_.destinations.url)),
      policy_(parts_.destinations) {
  if (parts_.credentials && parts_.credentials->helper) {
    helper_ = std::make_shared<CredentialHelper>(*parts_.credentials->helper);
  }
}

}  // namespace layover::upstream
