// The cache's Source for one digest in one repository of a registry.
#pragma once

#include <memory>
#include <string>

#include "cache/source.h"
#include "oci/digest.h"
#include "upstream/client.h"

namespace layover::upstream {

/// `query.path` names the content by `digest`. Lives on the client's loop, and not longer than the client.
std::shared_ptr<cache::Source> make_content_source(Client& client, Query query, oci::Digest digest);

}  // namespace layover::upstream
