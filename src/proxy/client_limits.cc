// Counting: one counter of all, and one a client in a keyed table.
#include "proxy/client_limits.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string_view>

namespace layover::proxy {

namespace {

/// Each holds a descriptor, and at most the head of a request, for 2 s.
constexpr std::size_t kMostRefusals = 64;

constexpr std::size_t kPrefixBytes = 8;

/// The address that all of a client's connections are counted by.
net::IpAddress counted_as(const std::optional<net::IpAddress>& client) {
  using V4 = net::IpAddress::V4;
  using V6 = net::IpAddress::V6;
  if (!client) return net::IpAddress(V4{});
  if (!client->is_v6()) return *client;
  V6 bytes = client->bytes();
  constexpr V6 kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::equal(bytes.begin(), bytes.begin() + 12, kMapped.begin())) {
    return net::IpAddress(V4{bytes[12], bytes[13], bytes[14], bytes[15]});
  }
  std::fill(bytes.begin() + kPrefixBytes, bytes.end(), std::uint8_t{0});
  return net::IpAddress(bytes);
}

}  // namespace

ClientLimits::Share::Share(Share&& other) noexcept
    : limits_(std::exchange(other.limits_, nullptr)), verdict_(other.verdict_), client_(other.client_) {}

ClientLimits::Share& ClientLimits::Share::operator=(Share&& other) noexcept {
  std::swap(limits_, other.limits_);
  std::swap(verdict_, other.verdict_);
  std::swap(client_, other.client_);
  return *this;
}

ClientLimits::Share::~Share() {
  if (limits_ != nullptr) limits_->give_back(*this);
}

std::size_t ClientLimits::Hash::operator()(const net::IpAddress& address) const {
  const auto& bytes = address.bytes();
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

void ClientLimits::set(Bounds bounds) {
  total_.store(bounds.total, std::memory_order_relaxed);
  per_client_.store(bounds.per_client, std::memory_order_relaxed);
}

ClientLimits::Share ClientLimits::admit(const std::optional<net::IpAddress>& client) {
  const net::IpAddress key = counted_as(client);
  // A client over its own limit hears of that one: the other is nothing that it could mend.
  if (!take_for(key)) return refuse(Verdict::kTooManyOfClient, key);
  Share share(*this, Verdict::kServe, key);
  if (served_.fetch_add(1, std::memory_order_relaxed) < total_.load(std::memory_order_relaxed)) return share;
  return refuse(Verdict::kTooMany, key);
}

bool ClientLimits::take_for(const net::IpAddress& client) {
  const std::size_t limit = per_client_.load(std::memory_order_relaxed);
  return clients_.update(client, [limit](std::shared_ptr<std::size_t>& count) {
    if (count == nullptr) count = std::make_shared<std::size_t>(0);
    if (limit != 0 && *count >= limit) return false;
    ++*count;
    return true;
  });
}

ClientLimits::Share ClientLimits::refuse(Verdict verdict, const net::IpAddress& client) {
  const bool is_told = refused_.fetch_add(1, std::memory_order_relaxed) < kMostRefusals;
  return {*this, is_told ? verdict : Verdict::kDrop, client};
}

void ClientLimits::give_back(const Share& share) {
  if (share.verdict_ != Verdict::kServe) {
    refused_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  served_.fetch_sub(1, std::memory_order_relaxed);
  clients_.update(share.client_, [](std::shared_ptr<std::size_t>& count) {
    if (--*count == 0) count.reset();
    return true;
  });
}

}  // namespace layover::proxy
