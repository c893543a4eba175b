// From the file to the socket by sendfile; what is not in memory is read by the pool first. What the disk
// could not take is sent from memory.
#include "proxy/body_sender.h"

#include <algorithm>
#include <limits>
#include <string>

#include <fmt/format.h>

#include "cache/page_cache.h"
#include "net/offload.h"

namespace layover::proxy {

namespace {

/// How much is looked at, and if need be read ahead, at a time.
constexpr std::uint64_t kPiece = std::uint64_t{4} << 20;

net::Task<Result<void>> send_piece(Exchange& exchange, const cache::Reader& reader, ByteRange piece) {
  if (const auto bytes = reader.in_memory(); !bytes.empty()) {
    co_return co_await exchange.send_fetched(bytes.first(piece.length()));
  }
  if (!cache::is_in_memory(reader.fd(), piece)) {
    UniqueFd own = UniqueFd::another(reader.fd());
    // Out of descriptors, sendfile waits for the disk itself: better than a short body.
    if (own.is_open()) {
      auto read = co_await net::offload(net::Work::kDisk, [fd = std::move(own), piece] {
        return cache::bring_into_memory(fd.get(), piece);
      });
      if (!read) co_return read;
    }
  }
  co_return co_await exchange.send_file(reader.fd(), piece);
}

}  // namespace

net::Task<Result<void>> send_range(Exchange& exchange, cache::Reader& reader, ByteRange range) {
  while (!range.empty()) {
    auto ready = co_await reader.next(range.begin, range.end);
    if (!ready) co_return std::unexpected(ready.error());
    if (ready->empty()) {
      co_return failure(ErrorCode::kShortBody, ErrorSource::kUpstream,
                        "the content is shorter than announced");
    }
    const ByteRange piece{.begin = ready->begin, .end = std::min(ready->end, ready->begin + kPiece)};
    auto sent = co_await send_piece(exchange, reader, piece);
    if (!sent) co_return sent;
    range.begin = piece.end;
  }
  co_return Result<void>{};
}

net::Task<Result<void>> send_chunked(Exchange& exchange, cache::Reader& reader) {
  for (std::uint64_t offset = 0;;) {
    auto ready = co_await reader.next(offset, std::numeric_limits<std::uint64_t>::max());
    if (!ready) co_return std::unexpected(ready.error());
    if (ready->empty()) break;
    const ByteRange piece{.begin = ready->begin, .end = std::min(ready->end, ready->begin + kPiece)};
    const std::string size_line = fmt::format("{:x}\r\n", piece.length());
    auto sent = co_await exchange.send_text(size_line);
    if (!sent) co_return sent;
    sent = co_await send_piece(exchange, reader, piece);
    if (!sent) co_return sent;
    sent = co_await exchange.send_text("\r\n");
    if (!sent) co_return sent;
    offset = piece.end;
  }
  co_return co_await exchange.send_text("0\r\n\r\n");
}

}  // namespace layover::proxy
