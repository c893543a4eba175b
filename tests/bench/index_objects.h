// A large index for the benchmarks: its objects by their number, and how it is filled.
#pragma once

#include <memory>
#include <string>

#include "base/error.h"
#include "cache/index.h"

namespace layover::bench {

/// Object `number`: the digest of its name. It is a blob of a repository of bench.test.
oci::Digest object_digest(unsigned number);
cache::Scope object_scope(unsigned number);

/// An index in `directory` with that many objects, each with one grant. None has a file.
Result<std::unique_ptr<cache::Index>> make_index(const std::string& directory, unsigned objects);

}  // namespace layover::bench
