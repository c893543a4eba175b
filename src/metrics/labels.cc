// Label values: names of the enumerations, the list of status codes, and what an error counts as.
#include "metrics/labels.h"

#include <array>

namespace layover::metrics {
namespace {

// What layover sends itself and what registries, their CDNs and load balancers send; then the classes
// of all others, 1xx to 5xx, and what is no status.
constexpr std::string_view kCodeLabels[] = {
    "200", "202", "204", "206", "301", "302", "303", "304", "307", "308",  "400", "401", "402",
    "403", "404", "405", "406", "408", "409", "410", "411", "412", "413",  "414", "415", "416",
    "417", "421", "425", "426", "428", "429", "431", "451", "499", "500",  "501", "502", "503",
    "504", "505", "507", "508", "1xx", "2xx", "3xx", "4xx", "5xx", "other"};
static_assert(std::size(kCodeLabels) == kStatusCodes);

constexpr std::size_t kOtherCode = kStatusCodes - 1;
constexpr std::size_t kFirstClass = kOtherCode - 5;
constexpr std::size_t kCodesEnd = 600;

constexpr auto kCodeIndexes = [] {
  std::array<std::uint8_t, kCodesEnd> indexes{};
  for (std::size_t code = 0; code < kCodesEnd; ++code) {
    indexes[code] = static_cast<std::uint8_t>(code < 100 ? kOtherCode : kFirstClass + code / 100 - 1);
  }
  for (std::size_t index = 0; index < kFirstClass; ++index) {
    const std::string_view digits = kCodeLabels[index];
    const int code = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
    indexes[static_cast<std::size_t>(code)] = static_cast<std::uint8_t>(index);
  }
  return indexes;
}();

template <std::size_t Count, typename Value>
std::string_view name_at(const std::string_view (&names)[Count], Value value) {
  const auto index = static_cast<std::size_t>(value);
  return index < Count ? names[index] : "other";
}

}  // namespace

std::string_view to_string(Kind kind) {
  static constexpr std::string_view kNames[kKinds] = {"manifest",  "blob", "tags",
                                                      "referrers", "ping", "other"};
  return name_at(kNames, kind);
}

std::string_view to_string(CacheResult result) {
  static constexpr std::string_view kNames[kCacheResults] = {"hit",         "miss",   "joined", "stale",
                                                             "revalidated", "bypass", "none"};
  return name_at(kNames, result);
}

std::string_view to_string(Method method) {
  static constexpr std::string_view kNames[kMethods] = {"GET", "HEAD", "other"};
  return name_at(kNames, method);
}

std::string_view to_string(Side side) {
  static constexpr std::string_view kNames[kSides] = {"client", "upstream"};
  return name_at(kNames, side);
}

std::string_view to_string(FillResult result) {
  static constexpr std::string_view kNames[kFillResults] = {"committed",      "mismatch",   "short",
                                                            "upstream_error", "disk_error", "abandoned"};
  return name_at(kNames, result);
}

std::string_view to_string(PrefetchResult result) {
  static constexpr std::string_view kNames[kPrefetchResults] = {"asked", "unasked", "stopped", "failed"};
  return name_at(kNames, result);
}

std::string_view to_string(UpstreamReason reason) {
  static constexpr std::string_view kNames[kUpstreamReasons] = {"dns",   "connect",  "tls",    "timeout",
                                                                "reset", "protocol", "status", "ratelimited"};
  return name_at(kNames, reason);
}

std::string_view to_string(DenialReason reason) {
  static constexpr std::string_view kNames[kDenialReasons] = {"registry", "repository", "grant",
                                                              "credentials"};
  return name_at(kNames, reason);
}

std::size_t status_code_index(int code) {
  if (code < 0 || code >= static_cast<int>(kCodesEnd)) return kOtherCode;
  return kCodeIndexes[static_cast<std::size_t>(code)];
}

std::string_view status_code_label(std::size_t index) { return name_at(kCodeLabels, index); }

UpstreamReason reason_of(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kDns: return UpstreamReason::kDns;
    case ErrorCode::kConnect: return UpstreamReason::kConnect;
    case ErrorCode::kTls: return UpstreamReason::kTls;
    case ErrorCode::kTimeout: return UpstreamReason::kTimeout;
    case ErrorCode::kReset:
    case ErrorCode::kClosed:
    case ErrorCode::kShortBody: return UpstreamReason::kReset;
    case ErrorCode::kRateLimited: return UpstreamReason::kRateLimited;
    case ErrorCode::kStatus:
    case ErrorCode::kUnauthorized:
    case ErrorCode::kNotFound: return UpstreamReason::kStatus;
    default: return error.answer() != nullptr ? UpstreamReason::kStatus : UpstreamReason::kProtocol;
  }
}

FillResult fill_result_of(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kDigestMismatch: return FillResult::kMismatch;
    case ErrorCode::kShortBody: return FillResult::kShort;
    case ErrorCode::kCancelled: return FillResult::kAbandoned;
    case ErrorCode::kTooLarge:  // for the cache, by its own limits; or for a manifest
      return error.source() == ErrorSource::kSelf ? FillResult::kAbandoned : FillResult::kUpstreamError;
    case ErrorCode::kNoSpace:
    case ErrorCode::kIo: return FillResult::kDiskError;
    default:
      return error.source() == ErrorSource::kDisk ? FillResult::kDiskError : FillResult::kUpstreamError;
  }
}

}  // namespace layover::metrics
