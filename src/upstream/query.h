// What a registry is asked.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "cache/prefetch.h"
#include "metrics/labels.h"
#include "net/client_connection.h"
#include "oci/reference.h"
#include "upstream/registry.h"

namespace layover::upstream {

/// A request for something in a repository.
struct Query {
  std::shared_ptr<const Registry> registry;
  oci::RepositoryName repository;
  std::string path;  // below the repository: "manifests/latest", "blobs/sha256:..."
  metrics::Kind kind = metrics::Kind::kOther;
  /// It is named by its digest, so that any mirror may be asked, whatever it holds of the registry's names.
  bool is_by_digest = false;
  bool is_head = false;
  std::vector<std::string> accept;
  std::string range;            // the Range header's value; empty: none
  std::string if_none_match{};  // the If-None-Match header's value: a 304 is then an answer; empty: none
  /// Whether a 200 or 206 can be the answer: the error says what is wrong with it. Empty: any can.
  std::function<Result<void>(const net::ResponseInfo&)> vet{};
  /// Something stored can stand in for the answer: a registry that is known to be down is not waited for.
  bool has_fallback = false;
  /// One more stream of a download that others bring: a registry that gives no more of them, or limits their
  /// rate, is asked for other content as before.
  bool is_extra = false;
  /// For the download that this belongs to, as long as no client has asked for that: it waits for no
  /// connection, and is told where somebody waits for its own. Null where a client has asked.
  std::shared_ptr<cache::Prefetch> prefetch{};
  std::string cdn_loop;
};

}  // namespace layover::upstream
