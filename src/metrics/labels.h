// The label values of our metrics. All of them are bounded: enumerations, the registries that the
// configuration names, and a fixed list of HTTP status codes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace layover::metrics {

enum class Kind { kManifest, kBlob, kTags, kReferrers, kPing, kOther };
enum class CacheResult { kHit, kMiss, kJoined, kStale, kRevalidated, kBypass, kNone };
enum class Method { kGet, kHead, kOther };
enum class Side { kClient, kUpstream };
enum class FillResult { kCommitted, kMismatch, kShort, kUpstreamError, kDiskError, kAbandoned };
/// How a download that no client had asked for ended.
enum class PrefetchResult {
  kAsked,    // a client asked for it while it ran
  kUnasked,  // it was complete before any client did
  kStopped,  // it gave way, found no room, or no client asked in time
  kFailed,
};
enum class UpstreamReason { kDns, kConnect, kTls, kTimeout, kReset, kProtocol, kStatus, kRateLimited };
/// Why a client was refused by us.
enum class DenialReason {
  kRegistry,     // not on the allow list
  kRepository,   // not among the registry's `repositories`
  kGrant,        // not readable under this repository upstream
  kCredentials,  // the client's own are missing or wrong
};

/// How many values each has.
inline constexpr std::size_t kKinds = 6;
inline constexpr std::size_t kCacheResults = 7;
inline constexpr std::size_t kMethods = 3;
inline constexpr std::size_t kSides = 2;
inline constexpr std::size_t kFillResults = 6;
inline constexpr std::size_t kPrefetchResults = 4;
inline constexpr std::size_t kUpstreamReasons = 8;
inline constexpr std::size_t kDenialReasons = 4;

/// The label's value, such as "manifest".
std::string_view to_string(Kind kind);
std::string_view to_string(CacheResult result);
std::string_view to_string(Method method);
std::string_view to_string(Side side);
std::string_view to_string(FillResult result);
std::string_view to_string(PrefetchResult result);
std::string_view to_string(UpstreamReason reason);
std::string_view to_string(DenialReason reason);

/// A registry of the configuration, resolved once by Metrics::registry; the default is "other".
struct RegistryLabel {
  std::uint16_t index = 0;

  friend bool operator==(RegistryLabel, RegistryLabel) = default;
};

/// HTTP status codes have a dense index, below kStatusCodes. Codes that are not on our list share one
/// index per class, printed as "4xx", so that `code=~"4.."` still finds them; what is no status is "other".
inline constexpr std::size_t kStatusCodes = 49;
std::size_t status_code_index(int code);
std::string_view status_code_label(std::size_t index);

/// The `reason` of an error that came from upstream. Codes that are no trouble of the transport count as
/// kStatus where upstream answered, else as kProtocol.
UpstreamReason reason_of(const Error& error);
/// The `result` of a fill that ended with this error.
FillResult fill_result_of(const Error& error);

}  // namespace layover::metrics
