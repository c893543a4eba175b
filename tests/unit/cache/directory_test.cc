// Directory: one owner, everything in place from the start, and errors that say what to do.
#include "cache/directory.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>

#include "tests/support/catch.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/temporary_directory.h"

using namespace layover;
using cache::Directory;
using test::Call;
using test::FaultyFileSystem;
using test::TemporaryDirectory;

namespace {

oci::Digest digest() {
  return *oci::Digest::parse("sha256:ab00000000000000000000000000000000000000000000000000000000000000");
}

}  // namespace

TEST_CASE("a new cache directory is made with all its folders") {
  const TemporaryDirectory parent;
  FaultyFileSystem files;
  const std::string path = parent.path() + "/var/cache";
  const auto directory = Directory::open(files, path);
  REQUIRE(directory);
  CHECK((*directory)->blob_file(digest()) == path + "/blobs/sha256/ab/" + digest().hex());
  CHECK(std::filesystem::is_directory((*directory)->blob_folder(digest())));
  CHECK(std::filesystem::is_directory(path + "/blobs/sha512/ff"));
  CHECK(std::filesystem::is_directory(path + "/fills"));
  CHECK((*directory)->new_fill_file(digest()) != (*directory)->new_fill_file(digest()));
}

TEST_CASE("a directory in use names its owner and what to do") {
  const TemporaryDirectory parent;
  FaultyFileSystem files;
  auto first = Directory::open(files, parent.path());
  REQUIRE(first);
  const auto second = Directory::open(files, parent.path());
  REQUIRE_FALSE(second);
  CHECK(second.error().code() == ErrorCode::kBusy);
  const std::string message = second.error().describe();
  CHECK(message.find(parent.path()) != std::string::npos);
  CHECK(message.find(fmt::format("process {}", ::getpid())) != std::string::npos);
  CHECK(message.find("cache.path") != std::string::npos);
  first->reset();
  CHECK(Directory::open(files, parent.path()));
}

TEST_CASE("a path that cannot be a directory is named in the error") {
  const TemporaryDirectory parent;
  FaultyFileSystem files;
  const std::string file = parent.path() + "/file";
  std::ofstream(file) << "x";
  for (const std::string& path : {file, file + "/below", std::string("/proc/layover")}) {
    INFO(path);
    const auto directory = Directory::open(files, path);
    REQUIRE_FALSE(directory);
    CHECK(directory.error().describe().find(path) != std::string::npos);
    CHECK(directory.error().source() == ErrorSource::kDisk);
  }
}

TEST_CASE("each step that fails at the start fails the start, and leaves the lock free") {
  for (const Call call : {Call::kMakeDirectories, Call::kOpen, Call::kWriteAt, Call::kSyncDirectory}) {
    const TemporaryDirectory parent;
    FaultyFileSystem files;
    files.fail(call, 0, ErrorCode::kIo);
    const auto directory = Directory::open(files, parent.path());
    INFO("call " << static_cast<int>(call));
    REQUIRE_FALSE(directory);
    CHECK(directory.error().code() == ErrorCode::kIo);
    CHECK(Directory::open(files, parent.path()));
  }
}
