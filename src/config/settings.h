// The settings as plain structs: what the rest of the program knows of the configuration file. Made and
// checked by the loader, never changed afterwards; share them as shared_ptr<const Settings>.
//
// `registries` starts from the well-known public registries (well_known.h). Entries of the file are added
// to them or override the settings of the one they name; none is taken away.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/log.h"
#include "config/credentials.h"
#include "config/network.h"
#include "config/space.h"
#include "oci/registry_name.h"

namespace layover::config {

using Duration = std::chrono::milliseconds;

struct Listener {
  Endpoint address{"127.0.0.1", 5000};
  /// Where a request goes that names no registry. Always one of Settings::registries.
  oci::RegistryName default_registry = oci::RegistryName::docker_io();
};

struct Admin {
  Endpoint listen{"127.0.0.1", 5001};
};

struct Cache {
  std::string path = "/var/lib/layover";
  Space max_size = Space::share(80);    // of all that the cache stores; never zero
  std::optional<Space> min_free{};      // what the cache leaves to others, as given; see min_free_of()
  Space max_object = Space::share(25);  // of one blob: what is larger is not stored; a share is of max_size
  Bytes scrub_rate = 10_MiB;            // a second, to find stored content that has rotted; 0: none
  bool prefetch = true;                 // of what a client that pulls an image will ask for
  bool complete_abandoned = true;       // a fill goes on when its last client has left

  /// What the cache leaves free on a file system of `total` bytes: as given, else 5 GiB but no more than a
  /// twentieth of it, so that a small disk can be used.
  Bytes min_free_of(Bytes total) const;
};

/// More descriptors than Linux gives a process unless it is told to (fs.nr_open).
inline constexpr unsigned kMostConnections = 1U << 20;

/// What clients may take; no time and no size is zero.
struct Limits {
  Duration header_timeout = std::chrono::seconds(10);  // from a request's first byte to its last header
  Duration send_timeout = std::chrono::seconds(60);    // without a byte taken by the client
  Duration keep_alive = std::chrono::seconds(75);      // an idle connection between requests
  Bytes max_header_bytes = 32_KiB;
  unsigned max_connections = 0;             // 0: as many as the descriptors allow
  unsigned max_connections_per_client = 0;  // 0: as many as there may be
};

struct Shutdown {
  Duration delay = std::chrono::seconds(0);   // from SIGTERM until the listeners close
  Duration grace = std::chrono::seconds(25);  // for transfers to finish after that
};

enum class AccessMode : std::uint8_t { kOpen };

struct Access {
  AccessMode mode = AccessMode::kOpen;
};

struct LogSettings {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kText;  // of both logs
  bool requests = true;                 // a line a request on standard output
};

/// The times of `defaults`, each of which a registry may override. The timeouts are never zero.
struct Times {
  Duration tag_ttl = std::chrono::minutes(1);          // how long a tag is served without asking upstream
  Duration stale_ttl = std::chrono::days(30);          // how long a tag is served when it cannot be confirmed
  Duration not_found_ttl = std::chrono::seconds(5);    // how long upstream's 404 is believed
  Duration grant_ttl = std::chrono::hours(24);         // how long a grant holds before it is confirmed again
  Duration connect_timeout = std::chrono::seconds(5);  // one attempt: TCP and TLS
  Duration response_timeout = std::chrono::seconds(10);  // from a request to its response's headers
  Duration confirm_timeout = std::chrono::seconds(2);    // confirming a tag of which there is a servable copy
  Duration idle_timeout = std::chrono::seconds(30);      // without a byte of a body
  Duration first_byte_budget = std::chrono::seconds(20);  // everything before our first response byte

  friend bool operator==(const Times&, const Times&) = default;
};

/// Another place where a registry's content may be had.
struct Mirror {
  RegistryUrl url{};         // given by the file: the permission for what it names
  bool may_resolve = false;  // it may be asked for tags too, not by digest alone
  std::string ca_file{};     // as a registry's
  std::optional<Credentials> credentials{};
};

struct Registry {
  oci::RegistryName name;
  RegistryUrl url{};
  /// The file gave `url`: it is the permission for what it names, plain HTTP or a private address. Where it
  /// is false, only public addresses over https may be dialled.
  bool is_url_explicit = false;
  std::string ca_file{};                     // PEM, readable at load; empty: the system's
  std::optional<Credentials> credentials{};  // for `url` only
  std::vector<Mirror> mirrors{};             // asked in this order, before `url`
  bool shared = false;                       // every client may read what any of the credentials can read
  std::vector<oci::Authority> built_in_token_hosts{};  // of a well-known registry, besides its own host
  std::vector<oci::Authority> token_realms{};          // see oci::Authority::covers
  std::vector<Network> allow_addresses{};              // where redirects and realms may lead besides public
  unsigned streams = 8;          // at most so many ranges of a blob are downloaded at once
  bool prefetch = true;          // see Cache::prefetch, which can forbid it
  unsigned max_connections = 0;  // in use at once to its url, and to each mirror; 0: as many as it takes
  Times times{};
};

/// The registries that have no entry: the file's `"*"`.
struct OtherRegistries {
  bool enabled = false;
};

struct Settings {
  std::vector<Listener> listen{Listener{}};  // at least one, no address twice
  Admin admin;
  Cache cache;
  Limits limits;
  Shutdown shutdown;
  unsigned threads = 1;  // loops; "auto" is resolved
  Times defaults;        // what a registry's times are where it does not say otherwise
  std::map<oci::RegistryName, Registry> registries;
  OtherRegistries others;
  Access access;
  LogSettings log;

  /// Null where the registry has no entry; valid as long as the settings.
  const Registry* find(const oci::RegistryName& name) const;
  /// A registry without an entry, reached over https at its own name and at public addresses only. Nothing
  /// unless `"*"` is enabled, nor for an IP address or a name on this machine, which nobody but the
  /// configuration may name.
  std::optional<Registry> find_other(const oci::RegistryName& name) const;
};

}  // namespace layover::config
