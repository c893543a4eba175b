// Byte ranges: every form of the Range header, its meaning for a size, and Content-Range.
#include "net/range.h"

#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/catch.h"

using layover::ByteRange;
using layover::ErrorCode;
using layover::net::ContentRange;
using layover::net::format_content_range;
using layover::net::format_range;
using layover::net::format_unsatisfied_range;
using layover::net::kMostRanges;
using layover::net::parse_content_range;
using layover::net::parse_range;
using layover::net::RangeRequest;
using layover::net::RangeSpec;
using layover::net::resolve;
using layover::net::ResolvedRange;
using Outcome = ResolvedRange::Kind;

namespace {

constexpr auto kLargest = std::numeric_limits<std::uint64_t>::max();

ResolvedRange asked(std::string_view header, std::uint64_t size) {
  return resolve(parse_range(header), size);
}

RangeSpec from(std::uint64_t begin, std::optional<std::uint64_t> end = std::nullopt) {
  return {.begin = begin, .end = end, .suffix_length = {}};
}
RangeSpec last(std::uint64_t length) { return {.begin = 0, .end = {}, .suffix_length = length}; }

ResolvedRange parts(std::vector<ByteRange> ranges) { return {Outcome::kParts, {}, std::move(ranges)}; }
ResolvedRange part(std::uint64_t begin, std::uint64_t end) { return {Outcome::kPart, {begin, end}}; }
ResolvedRange whole(std::uint64_t size) { return {Outcome::kWhole, {0, size}}; }

}  // namespace

TEST_CASE("one range is read with both ends, open-ended, or as a suffix") {
  CHECK(parse_range("bytes=0-499") == RangeRequest{from(0, 500)});
  CHECK(parse_range("bytes=7-7") == RangeRequest{from(7, 8)});
  CHECK(parse_range("bytes=500-") == RangeRequest{from(500)});
  CHECK(parse_range("bytes=-20") == RangeRequest{last(20)});
  CHECK(parse_range(" Bytes= 0-1 , ") == RangeRequest{from(0, 2)});
  CHECK(parse_range("bytes=,0-1") == RangeRequest{from(0, 2)});
}

TEST_CASE("several ranges are read in their order, and none of them where one is invalid") {
  CHECK(parse_range("bytes=5-6,0-1") == RangeRequest{from(5, 7), from(0, 2)});
  CHECK(parse_range("bytes=0-1 ,\t-6") == RangeRequest{from(0, 2), last(6)});
  CHECK(parse_range("bytes=0-1,-0,2-") == RangeRequest{from(0, 2), last(0), from(2)});
  CHECK(parse_range("bytes=0-1,x").empty());
  CHECK(parse_range("bytes=0-1,5-2").empty());
}

TEST_CASE("too many ranges are ignored") {
  std::string value = "bytes=0-0";
  for (std::size_t i = 1; i < kMostRanges; ++i) value += ",1-1";
  CHECK(parse_range(value).size() == kMostRanges);
  CHECK(parse_range(value + ", ,").size() == kMostRanges);
  CHECK(parse_range(value + ",1-1").empty());
}

TEST_CASE("an invalid Range or another unit is ignored") {
  const auto* value =
      GENERATE("", "bytes", "bytes=", "bytes=,", "bytes=-", "bytes=a-b", "bytes=500-0", "bytes=0-1x",
               "bytes=x0-1", "bytes=+1-2", "bytes=1", "bytes=--1", "bytes=1--2", "bytes 0-1", "bytes =0-1",
               "items=0-1", "bytesx=0-1", "bytes=0 - 1", "bytes=0x1-2", "bytes=0-1;2-3");
  CAPTURE(value);
  CHECK(parse_range(value).empty());
}

TEST_CASE("numbers beyond 64 bits stand for the largest") {
  CHECK(asked("bytes=0-99999999999999999999999999", 10) == part(0, 10));
  CHECK(asked("bytes=0-18446744073709551615", 10) == part(0, 10));
  CHECK(asked("bytes=18446744073709551616-", kLargest).kind == Outcome::kUnsatisfiable);
  CHECK(asked("bytes=-99999999999999999999999999", 10) == part(0, 10));
  CHECK(asked("bytes=00000000000000000000000000001-1", 10) == part(1, 2));
}

TEST_CASE("a range is cut to the content and unsatisfiable behind it") {
  CHECK(asked("bytes=0-", 10) == part(0, 10));
  CHECK(asked("bytes=9-9", 10) == part(9, 10));
  CHECK(asked("bytes=9-100", 10) == part(9, 10));
  CHECK(asked("bytes=10-", 10).kind == Outcome::kUnsatisfiable);
  CHECK(asked("bytes=10-20", 10).kind == Outcome::kUnsatisfiable);
  CHECK(asked("bytes=-3", 10) == part(7, 10));
  CHECK(asked("bytes=-100", 10) == part(0, 10));
  CHECK(asked("bytes=-0", 10).kind == Outcome::kUnsatisfiable);
}

TEST_CASE("without a valid range the whole content is meant") {
  CHECK(asked("", 10) == whole(10));
  CHECK(asked("bytes=5-2", 10) == whole(10));
}

TEST_CASE("several ranges are given as they were asked for, neither merged nor sorted") {
  CHECK(asked("bytes=0-1,4-5", 10) == parts({{0, 2}, {4, 6}}));
  CHECK(asked("bytes=0-1,2-3", 10) == parts({{0, 2}, {2, 4}}));
  CHECK(asked("bytes=8-,0-0,-1", 10) == parts({{8, 10}, {0, 1}, {9, 10}}));
  CHECK(asked("bytes=0-4,5-9", 10) == parts({{0, 5}, {5, 10}}));
}

TEST_CASE("of several ranges only those within the content count") {
  CHECK(asked("bytes=0-1,10-,-0,4-5", 10) == parts({{0, 2}, {4, 6}}));
  CHECK(asked("bytes=4-5,10-", 10) == part(4, 6));
  CHECK(asked("bytes=-0,10-,20-30", 10).kind == Outcome::kUnsatisfiable);
}

TEST_CASE("ranges that overlap until they are more than the content get all of it") {
  CHECK(asked("bytes=0-,0-0", 10) == whole(10));
  CHECK(asked("bytes=0-5,3-8", 10) == whole(10));
  CHECK(asked("bytes=0-,0-", kLargest) == whole(kLargest));
}

TEST_CASE("empty content has no range but a suffix, which is all of it") {
  CHECK(asked("bytes=0-", 0).kind == Outcome::kUnsatisfiable);
  CHECK(asked("bytes=0-0", 0).kind == Outcome::kUnsatisfiable);
  CHECK(asked("bytes=-5", 0) == whole(0));
  CHECK(asked("bytes=0-0,-5", 0) == whole(0));
  CHECK(asked("bytes=0-0,1-", 0).kind == Outcome::kUnsatisfiable);
  CHECK(asked("bytes=-0", 0).kind == Outcome::kUnsatisfiable);
}

TEST_CASE("ranges are written as the wire has them, with inclusive ends") {
  CHECK(format_range(5) == "bytes=5-");
  CHECK(format_range(5, 10) == "bytes=5-9");
  CHECK(format_content_range({0, 10}, 100) == "bytes 0-9/100");
  CHECK(format_content_range({5, 6}, std::nullopt) == "bytes 5-5/*");
  CHECK(format_unsatisfied_range(0) == "bytes */0");
}

TEST_CASE("an answer's Content-Range is read with a range, a size, or both") {
  CHECK(*parse_content_range("bytes 0-9/100") == ContentRange{ByteRange{0, 10}, 100});
  CHECK(*parse_content_range("Bytes 5-5/*") == ContentRange{ByteRange{5, 6}, std::nullopt});
  CHECK(*parse_content_range("bytes */7") == ContentRange{std::nullopt, 7});
  CHECK(*parse_content_range(" bytes 0-9/10 ") == ContentRange{ByteRange{0, 10}, 10});
}

TEST_CASE("a Content-Range that makes no sense is upstream's protocol error") {
  const auto* value =
      GENERATE("", "bytes", "bytes ", "bytes */*", "bytes 0-9", "bytes 0-9/", "bytes 9-0/100",
               "bytes 0-10/10", "bytes 5-/10", "bytes -5/10", "items 0-9/10", "bytes=0-9/10", "bytes 0-9/10x",
               "bytes 0-18446744073709551615/*", "bytes 0-9/18446744073709551615",
               "bytes 0-9/99999999999999999999", "bytes 0 - 9/10", "bytes 0-9 / 10", "bytes 0-9/-1");
  CAPTURE(value);
  const auto parsed = parse_content_range(value);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().code() == ErrorCode::kProtocol);
}
