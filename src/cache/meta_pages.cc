// The layout is that of LMDB 0.9 on 64-bit machines, which has not changed since its first release
// (mdb.c: MDB_page, MDB_meta, MDB_db).
#include "cache/meta_pages.h"

#include <fcntl.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "base/unique_fd.h"

namespace layover::cache {

namespace {

static_assert(sizeof(std::size_t) == 8 && MDB_VERSION_MAJOR == 0 && MDB_VERSION_MINOR == 9,
              "the layout of LMDB's meta pages is known for 0.9 on 64-bit machines only");

/// MDB_db.
struct Database {
  std::uint32_t pad;  // of the first one: the size of a page
  std::uint16_t flags;
  std::uint16_t depth;
  std::uint64_t branch_pages;
  std::uint64_t leaf_pages;
  std::uint64_t overflow_pages;
  std::uint64_t entries;
  std::uint64_t root;
};

/// What stands on a meta page behind the page's own header.
struct Meta {
  std::uint32_t magic;
  std::uint32_t version;
  std::uint64_t address;
  std::uint64_t map_size;
  std::array<Database, 2> databases;
  std::uint64_t last_page;
  std::uint64_t transaction;
};

constexpr off_t kPageHeader = 16;
constexpr std::uint32_t kMagic = 0xBEEFC0DE;
constexpr std::uint64_t kNoPage = ~std::uint64_t{0};
constexpr std::uint64_t kMetaPages = 2;
constexpr std::uint32_t kSmallestPage = 512;
constexpr std::uint32_t kLargestPage = 32768;
/// Pages that one transaction takes and gives up again are counted and not written.
constexpr std::uint64_t kUnwritten = std::uint64_t{1} << 20;

std::optional<Meta> read_meta(int fd, off_t page) {
  Meta meta{};
  const ssize_t n = ::pread(fd, &meta, sizeof meta, page + kPageHeader);
  if (n != static_cast<ssize_t>(sizeof meta) || meta.magic != kMagic) return std::nullopt;
  return meta;
}

bool is_sound(const Meta& meta, std::uint32_t page_size, std::uint64_t file_size) {
  const std::uint64_t most_pages = (file_size + kUnwritten) / page_size;
  if (meta.last_page >= most_pages) return false;
  for (const Database& database : meta.databases) {
    const bool is_page = database.root >= kMetaPages && database.root <= meta.last_page;
    if (database.root != kNoPage && !is_page) return false;
  }
  return true;
}

}  // namespace

Result<void> check_meta_pages(const std::string& data) {
  const UniqueFd fd(::open(data.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status{};
  if (!fd.is_open() || ::fstat(fd.get(), &status) != 0 || status.st_size == 0) return {};
  const auto first = read_meta(fd.get(), 0);
  if (!first) return {};
  const std::uint32_t page_size = first->databases[0].pad;
  const bool is_page_size =
      std::has_single_bit(page_size) && page_size >= kSmallestPage && page_size <= kLargestPage;
  const auto second = is_page_size ? read_meta(fd.get(), page_size) : std::nullopt;
  // The other one may be half of a write that failed: LMDB goes by the newer.
  const Meta& newer = second && second->transaction > first->transaction ? *second : *first;
  const bool have_one_size = !second || second->databases[0].pad == page_size;
  if (is_page_size && have_one_size && is_sound(newer, page_size, static_cast<std::uint64_t>(status.st_size)))
    return {};
  return failure(ErrorCode::kCorrupt, ErrorSource::kDisk,
                 fmt::format("the first pages of {} ask for what is not there", data));
}

}  // namespace layover::cache
