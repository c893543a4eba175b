// Hasher and page cache: the small tools of the store.
#include "cache/page_cache.h"

#include <unistd.h>

#include <fstream>
#include <string>

#include <fcntl.h>

#include "base/file_system.h"
#include "cache/hasher.h"
#include "tests/support/catch.h"
#include "tests/support/temporary_directory.h"

using namespace layover;

TEST_CASE("a digest does not depend on how the bytes came") {
  const std::string bytes = "abc";
  const auto whole = cache::digest_of(oci::Algorithm::kSha256, std::as_bytes(std::span(bytes)));
  CHECK(whole.to_string() == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  cache::Hasher hasher(oci::Algorithm::kSha256);
  for (const char& byte : bytes) hasher.update(std::as_bytes(std::span(&byte, 1)));
  CHECK(hasher.finish() == whole);
  CHECK(cache::digest_of(oci::Algorithm::kSha512, {}).hex().starts_with("cf83e1357eefb8bd"));
}

TEST_CASE("what was just read is in memory, and reading past the end is told") {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  std::ofstream(path, std::ios::binary) << std::string(100'000, 'x');
  auto fd = FileSystem::system().open(path, O_RDONLY, 0);
  REQUIRE(fd);
  CHECK(cache::bring_into_memory(fd->get(), {.begin = 10, .end = 100'000}));
  CHECK(cache::is_in_memory(fd->get(), {.begin = 10, .end = 100'000}));
  CHECK(cache::is_in_memory(fd->get(), {.begin = 5, .end = 5}));
  const auto beyond = cache::bring_into_memory(fd->get(), {.begin = 0, .end = 100'001});
  REQUIRE_FALSE(beyond);
  CHECK(beyond.error().code() == ErrorCode::kCorrupt);
}
