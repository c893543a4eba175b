// All of it happens under the digest's claim: two registries may deliver the same content at the same
// time, and eviction may be about to remove it.
#include "cache/committer.h"

#include <fcntl.h>

#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/log.h"
#include "net/offload.h"

namespace layover::cache {

namespace {

/// Adds a registry to the origins kept on a file. They help only where the index is lost, so a file
/// system without attributes is no failure.
void note_origin(FileSystem& files, int fd, const std::string& known_from, const std::string& registry) {
  std::string origins = files.attribute(known_from, kOriginAttribute).value_or("");
  if (("\n" + origins).find("\n" + registry + "\n") != std::string::npos) return;
  origins += registry + "\n";
  auto noted = files.set_attribute(fd, kOriginAttribute, origins);
  if (!noted && noted.error().code() != ErrorCode::kUnsupported) log_warning("{}", noted.error().describe());
}

Result<std::string> read_small(FileSystem& files, int fd, Bytes size) {
  std::string bytes(size.count, '\0');
  auto n = files.read_at(fd, std::as_writable_bytes(std::span(bytes)), 0);
  if (!n) return std::unexpected(n.error());
  bytes.resize(*n);
  return bytes;
}

/// Puts the file into place and gives what goes beside the index. `is_stored`: the index has the content
/// already.
Result<std::optional<std::string>> place(const Directory& directory, const FillState& state,
                                         const std::string& path, bool is_stored) {
  FileSystem& files = directory.files();
  const FillView view = state.view();
  const oci::Digest& digest = state.key().digest;
  const std::string target = directory.blob_file(digest);

  note_origin(files, view.fd, target, state.key().registry.str());
  if (auto synced = files.sync_data(view.fd); !synced) return std::unexpected(synced.error());
  auto renamed = files.rename(path, target);
  const bool may_lack_folder = !renamed && renamed.error().code() == ErrorCode::kNotFound;
  if (may_lack_folder && directory.remake_folder_of(digest)) renamed = files.rename(path, target);
  if (!renamed) return std::unexpected(renamed.error());
  if (auto synced = files.sync_directory(directory.blob_folder(digest)); !synced) {
    // Whether the name would last is unknown: better none. But where one was before, either has the right
    // bytes.
    if (!is_stored) (void)files.remove(target);
    return std::unexpected(synced.error());
  }
  if (*view.size > kSmallContent) return std::nullopt;
  auto small = read_small(files, view.fd, *view.size);
  if (!small) return std::unexpected(small.error());
  return std::optional(std::move(*small));
}

}  // namespace

net::Task<Result<void>> Committer::commit(std::shared_ptr<FillState> state, std::string path,
                                          Reservation reserved) {
  // The job shares the claim: it may outlive the task.
  auto claimed = co_await directory_.claims().claim(state->key().digest);
  const auto claim = std::make_shared<const Claim>(std::move(claimed));
  auto placed = co_await net::offload(net::Work::kSync, [this, state, path, claim] {
    auto result = place(directory_, *state, path, index_.knows(state->key().digest));
    if (!result) (void)directory_.files().remove(path);
    return result;
  });
  if (!placed) {
    co_await settle_orphan(claim);
    co_return std::unexpected(placed.error());
  }

  const FillView view = state->view();
  const oci::Digest digest = state->key().digest;
  const WallTime now = clock_.wall_now();
  const std::string media_type = state->media_type();
  std::vector<Change> changes;
  changes.emplace_back(PutContent{.digest = digest,
                                  .kind = state->kind(),
                                  .size = *view.size,
                                  .now = now,
                                  .origins = {state->key().registry}});
  for (const auto& [scope, kind] : state->close_admissions()) {
    changes.emplace_back(PutGrant{.scope = scope,
                                  .digest = digest,
                                  .kind = kind,
                                  .record = {.confirmed = now, .media_type = media_type}});
  }
  for (PutTag& tag : state->tags()) changes.emplace_back(std::move(tag));
  if (*placed) changes.emplace_back(PutSmall{.digest = digest, .bytes = std::move(**placed)});
  const DiskBudget::Entering entering(budget_, reserved.size());
  auto written = co_await writer_.write(std::move(changes));
  if (written) {
    budget_.forget_orphan(digest);  // perhaps it replaced one
    reserved.shrink_to(Bytes{0});   // the index counts it now
  } else {
    co_await settle_orphan(claim);
  }
  co_return written;
}

// After a failure: a file that is there without an entry is counted as such.
net::Task<void> Committer::settle_orphan(std::shared_ptr<const Claim> claim) {
  auto orphan = co_await net::offload(net::Work::kDisk, [this, claim]() -> std::optional<Bytes> {
    if (index_.knows(claim->digest())) return std::nullopt;
    const auto status = directory_.files().status(directory_.blob_file(claim->digest()));
    if (!status) return std::nullopt;
    return status->size;
  });
  if (orphan) {
    budget_.note_orphan(claim->digest(), *orphan);
  } else {
    budget_.forget_orphan(claim->digest());
  }
}

}  // namespace layover::cache
