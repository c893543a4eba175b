// The system's file system behind the door: what each call does, and the codes of its failures.
#include "base/file_system.h"

#include <fcntl.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "tests/support/catch.h"
#include "tests/support/temporary_directory.h"

using namespace layover;
using test::TemporaryDirectory;

namespace {

FileSystem& files() { return FileSystem::system(); }

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

UniqueFd make(const std::string& path, std::string_view content) {
  auto fd = files().open(path, O_RDWR | O_CREAT | O_EXCL, 0640);
  REQUIRE(fd);
  REQUIRE(files().write_at(fd->get(), bytes_of(content), 0));
  return std::move(*fd);
}

std::string content_of(const std::string& path) {
  return read_file(files(), path, 1_MiB).value_or("unreadable");
}

}  // namespace

TEST_CASE("bytes are written and read at an offset") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  const UniqueFd fd = make(path, "hello");
  REQUIRE(files().write_at(fd.get(), bytes_of("LL"), 2));
  REQUIRE(files().write_at(fd.get(), bytes_of("!"), 8));
  CHECK(content_of(path) == std::string("heLLo\0\0\0!", 9));
  std::string read(4, '?');
  auto n = files().read_at(fd.get(), std::as_writable_bytes(std::span(read)), 3);
  REQUIRE(n);
  CHECK(*n == 4);
  CHECK(read == std::string("Lo\0\0", 4));
  CHECK(files().read_at(fd.get(), std::as_writable_bytes(std::span(read)), 9) == std::size_t{0});
  CHECK(files().sync_data(fd.get()));
  CHECK(files().status(fd.get())->size == Bytes{9});
}

TEST_CASE("what is not there is kNotFound, and every failure is the disk's and names the path") {
  const TemporaryDirectory directory;
  const std::string missing = directory.path() + "/missing";
  const auto opened = files().open(missing, O_RDONLY, 0);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code() == ErrorCode::kNotFound);
  CHECK(opened.error().source() == ErrorSource::kDisk);
  CHECK(opened.error().message().find(missing) != std::string::npos);
  CHECK(files().status(missing).error().code() == ErrorCode::kNotFound);
  CHECK(files().list(missing).error().code() == ErrorCode::kNotFound);
  CHECK(files().rename(missing, directory.path() + "/to").error().code() == ErrorCode::kNotFound);
  CHECK(files().remove(missing));  // gone is gone
  const UniqueFd fd = make(directory.path() + "/file", "");
  CHECK_FALSE(files().make_directories(directory.path() + "/file/below"));
  CHECK_FALSE(files().open(directory.path() + "/file", O_RDWR | O_CREAT | O_EXCL, 0640));
}

TEST_CASE("what is in memory is opened at once, for reading, and what is not there is not") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  make(path, "content");
  // The kernel may decline now and then, as where names are just being changed.
  std::optional<UniqueFd> file;
  for (int i = 0; i < 1000 && !file; ++i) file = files().open_at_once(path);
  REQUIRE(file);
  std::string bytes(7, ' ');
  CHECK(files().read_at(file->get(), std::as_writable_bytes(std::span(bytes)), 0) == 7U);
  CHECK(bytes == "content");
  CHECK_FALSE(files().write_at(file->get(), bytes_of("other"), 0));
  CHECK_FALSE(files().open_at_once(directory.path() + "/none"));
}

TEST_CASE("a full disk is kNoSpace") {
  const auto fd = files().open("/dev/full", O_WRONLY, 0);
  if (!fd) return;
  const auto written = files().write_at(fd->get(), bytes_of("x"), 0);
  REQUIRE_FALSE(written);
  CHECK(written.error().code() == ErrorCode::kNoSpace);
}

TEST_CASE("a rename replaces what was there") {
  const TemporaryDirectory directory;
  make(directory.path() + "/new", "new");
  make(directory.path() + "/old", "old");
  REQUIRE(files().rename(directory.path() + "/new", directory.path() + "/old"));
  CHECK(content_of(directory.path() + "/old") == "new");
  CHECK_FALSE(files().status(directory.path() + "/new"));
  CHECK(files().sync_directory(directory.path()));
}

TEST_CASE("directories are made with their parents, and listed without dots") {
  const TemporaryDirectory directory;
  REQUIRE(files().make_directories(directory.path() + "/a/b/c"));
  REQUIRE(files().make_directories(directory.path() + "/a/b/c"));
  make(directory.path() + "/a/file", "");
  auto names = files().list(directory.path() + "/a");
  REQUIRE(names);
  std::ranges::sort(*names);
  CHECK(*names == std::vector<std::string>{"b", "file"});
  CHECK(files().status(directory.path() + "/a/b")->is_directory);
  CHECK_FALSE(files().status(directory.path() + "/a/file")->is_directory);
}

TEST_CASE("attributes are kept with the file, where there are any") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  const UniqueFd fd = make(path, "");
  CHECK_FALSE(files().attribute(path, "user.test"));
  const auto set = files().set_attribute(fd.get(), "user.test", "value");
  if (!set && set.error().code() == ErrorCode::kUnsupported) return;
  REQUIRE(set);
  CHECK(files().attribute(path, "user.test") == "value");
  CHECK(files().attribute(path, "user.other").error().code() == ErrorCode::kNotFound);
}

TEST_CASE("a small file is read whole, up to its limit") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  make(path, std::string(100'000, 'x'));
  CHECK(read_file(files(), path, Bytes{100'000})->size() == 100'000);
  const auto over = read_file(files(), path, Bytes{99'999});
  REQUIRE_FALSE(over);
  CHECK(over.error().code() == ErrorCode::kTooLarge);
}
