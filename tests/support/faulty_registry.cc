// The registry's answers without a fault, and the choice between these and the fault's.
#include "tests/support/faulty_registry.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/ascii.h"
#include "tests/support/running_proxy.h"

namespace layover::test {

namespace {

/// The first byte of "bytes=N-"; nothing where there is no such range.
std::optional<std::size_t> first_byte(const UpstreamRequest& request) {
  constexpr std::string_view kUnit = "bytes=";
  const std::string range = request.header("range");
  if (!range.starts_with(kUnit)) return std::nullopt;
  return parse_decimal<std::uint64_t>(
      std::string_view(range).substr(kUnit.size(), range.find('-') - kUnit.size()));
}

}  // namespace

FaultyRegistry::FaultyRegistry(std::string bytes, std::size_t fault_at, Fault fault, Lasting lasting)
    : bytes_(std::move(bytes)), fault_at_(fault_at), fault_(std::move(fault)), lasting_(lasting) {
  digest_ = upstream_.add_blob("a", bytes_);
  upstream_.on("GET", path(),
               [this](const UpstreamRequest& request, Reply& reply) { answer(request, reply); });
  upstream_.on("GET", "/token", [this](const UpstreamRequest&, Reply& reply) {
    reply.answer(200, {{"Content-Type", "application/json"}}, fmt::format(R"({{"token":"t{}"}})", ++tokens_));
  });
  if (fault_.handshake)
    tls_ = std::make_unique<TlsFront>(upstream_.port(), [this] { return next_handshake(); });
  if (fault_.way == Way::kRefused || fault_.way == Way::kBlackHole) {
    upstream_.go_down();
    held_ = std::make_unique<HeldPort>(
        upstream_.port(), fault_.way == Way::kRefused ? HeldPort::Answer::kRefuse : HeldPort::Answer::kNone);
  }
}

// The gates live as long as anybody may wait at them.
FaultyRegistry::~FaultyRegistry() {
  about_to_strike_.open();
  silence_.open();
  tls_.reset();
  cdn_.go_down();
  upstream_.go_down();
}

std::string FaultyRegistry::path() const { return blob_path("a", digest_); }

config::Registry FaultyRegistry::settings() const {
  config::Registry registry = registry_at("r.test", upstream_);
  if (tls_) {
    registry.url.is_tls = true;
    registry.url.port = tls_->port();
    registry.ca_file = trusted_authority_file();
  }
  if (fault_.way == Way::kNoName) registry.url.host = "no-such-host.invalid";
  return registry;
}

void FaultyRegistry::heal() {
  is_healed_ = true;
  if (!held_) return;
  held_.reset();
  upstream_.come_back();
}

bool FaultyRegistry::is_spoiled(int request) const {
  if (is_healed_) return false;
  return lasting_ == Lasting::kStays || request <= fault_.spoils;
}

Handshake FaultyRegistry::next_handshake() {
  if (!is_spoiled(++requests_)) return Handshake::kGood;
  hold();
  return *fault_.handshake;
}

void FaultyRegistry::answer(const UpstreamRequest& request, Reply& reply) {
  const auto first = first_byte(request);
  Play play{.registry = *this,
            .request = request,
            .reply = reply,
            .number = fault_.handshake ? 0 : ++requests_,
            .begin = std::min(first.value_or(0), bytes_.size()),
            .is_ranged = first.has_value()};
  if (!fault_.handshake && is_spoiled(play.number)) {
    fault_.answer(play);
  } else {
    answer_well(play);
  }
}

void FaultyRegistry::send_head(Play& play, const HeaderList& framing) const {
  HeaderList headers = framing;
  headers.emplace_back("Content-Type", "application/octet-stream");
  headers.emplace_back("Docker-Content-Digest", digest_);
  headers.emplace_back("ETag", "\"" + digest_ + "\"");
  if (play.is_ranged) {
    headers.emplace_back("Content-Range",
                         fmt::format("bytes {}-{}/{}", play.begin, bytes_.size() - 1, bytes_.size()));
  }
  play.reply.head(play.is_ranged ? 206 : 200, headers);
}

std::string_view FaultyRegistry::good_part(const Play& play) const {
  return std::string_view(bytes_).substr(play.begin, std::max(fault_at_, play.begin) - play.begin);
}

// RFC 9110 13.1.5: a range counts only if If-Range names what there is.
void FaultyRegistry::answer_well(Play& play) const {
  const std::string condition = play.request.header("if-range");
  if (!condition.empty() && condition != "\"" + digest_ + "\"") play.is_ranged = false;
  if (!play.is_ranged) play.begin = 0;
  if (play.is_ranged && play.begin >= bytes_.size()) {
    play.reply.answer(416, {{"Content-Range", fmt::format("bytes */{}", bytes_.size())}}, "");
    return;
  }
  send_head(play, length(rest(play).size()));
  play.reply.write(rest(play));
}

void FaultyRegistry::challenge(Play& play) const {
  play.reply.answer(
      401, {{"WWW-Authenticate", fmt::format("Bearer realm=\"{}/token\",service=\"s\"", upstream_.url())}},
      "");
}

}  // namespace layover::test
