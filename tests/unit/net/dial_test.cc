// Dialling and accepting on loopback: the way through the look-up, the policy, and the errors' names.
#include "net/dial.h"

#include <sys/resource.h>

#include <future>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/acceptor.h"
#include "net/offload.h"
#include "tests/support/catch.h"
#include "tests/support/held_port.h"
#include "tests/support/test_loop.h"

using namespace layover;
using net::DialTarget;
using net::SocketAddress;
using net::Task;
using std::chrono::milliseconds;
using test::TestLoop;

namespace {

UniqueFd listening() {
  auto fd = net::listen_on(net::numeric_address("127.0.0.1", 0).at(0));
  REQUIRE(fd.has_value());
  return std::move(*fd);
}

Task<Result<std::string>> dial_and_read(net::Loop& loop, DialTarget target, milliseconds patience) {
  auto connection = co_await net::dial(loop, std::move(target), patience, Deadline::after(patience * 2));
  if (!connection) co_return std::unexpected(connection.error());
  std::vector<std::byte> bytes(100);
  auto n = co_await connection->read(bytes, Deadline::after(milliseconds(20'000)));
  if (!n) co_return std::unexpected(n.error());
  co_return std::string(reinterpret_cast<const char*>(bytes.data()), *n);
}

Task<Result<void>> dial_within(net::Loop& loop, DialTarget target, milliseconds an_attempt,
                               Deadline deadline) {
  auto connection = co_await net::dial(loop, std::move(target), an_attempt, deadline);
  if (!connection) co_return std::unexpected(connection.error());
  co_return Result<void>{};
}

/// A resolver from which no answer comes: all its threads are taken, as dead name servers take them.
class ResolverHang {
 public:
  Task<void> begin() {
    constexpr int kMoreThanThreads = 16;
    for (int i = 0; i < kMoreThanThreads; ++i) {
      net::offload_detached(net::Work::kResolve, [answered = answered_] { answered.wait(); });
    }
    co_return;
  }
  void end() { answer_.set_value(); }

 private:
  std::promise<void> answer_;  // its end without a value ends the waiting as well
  std::shared_future<void> answered_ = answer_.get_future().share();
};

DialTarget target_of(const UniqueFd& fd, std::string host = "127.0.0.1") {
  return {.host = std::move(host), .port = net::local_address(fd.get()).port(), .tls = nullptr, .permit = {}};
}

}  // namespace

TEST_CASE("an accepted connection and a dialled one talk to each other") {
  TestLoop loop;
  UniqueFd fd = listening();
  const DialTarget target = target_of(fd);
  std::vector<UniqueFd> accepted;
  std::optional<net::Acceptor> acceptor(std::in_place, loop.loop(), std::move(fd),
                                        [&accepted](UniqueFd peer, const SocketAddress& address) {
                                          CHECK(address.ip() == "127.0.0.1");
                                          CHECK(::write(peer.get(), "hello", 5) == 5);
                                          accepted.push_back(std::move(peer));
                                        });
  auto read = loop.run(dial_and_read(loop.loop(), target, milliseconds(20'000)));
  REQUIRE(read.has_value());
  CHECK(*read == "hello");
  CHECK(accepted.size() == 1);

  acceptor.reset();
  loop.run_for(milliseconds(1));
  auto refused = loop.run(dial_and_read(loop.loop(), target, milliseconds(20'000)));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code() == ErrorCode::kConnect);
}

TEST_CASE("a name is looked up, and one that does not exist is a DNS error") {
  TestLoop loop;
  UniqueFd fd = listening();
  net::Acceptor acceptor(loop.loop(), std::move(fd), [](UniqueFd, const SocketAddress&) {});
  auto unknown = loop.run(
      dial_and_read(loop.loop(), {.host = "no-such-host.invalid", .port = 1, .tls = nullptr, .permit = {}},
                    milliseconds(20'000)));
  REQUIRE_FALSE(unknown.has_value());
  CHECK(unknown.error().code() == ErrorCode::kDns);
  CHECK(unknown.error().source() == ErrorSource::kUpstream);
  CHECK(unknown.error().message().find("no-such-host.invalid") != std::string::npos);
}

TEST_CASE("a look-up or a connection for which there is no descriptor is an overload of ours") {
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  TestLoop loop;
  const auto code_at = [&loop](const std::string& host) {
    auto dialled = loop.run(dial_and_read(
        loop.loop(), {.host = host, .port = 1, .tls = nullptr, .permit = {}}, milliseconds(20'000)));
    REQUIRE_FALSE(dialled.has_value());
    CHECK(dialled.error().source() == ErrorSource::kSelf);
    return dialled.error().code();
  };
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto of_name = code_at("no-such-host.invalid");
  const auto of_address = code_at("127.0.0.1");
  ::setrlimit(RLIMIT_NOFILE, &before);
  CHECK(of_name == ErrorCode::kOverloaded);
  CHECK(of_address == ErrorCode::kOverloaded);
}

TEST_CASE("a look-up that does not end in time is a DNS error, and holds up no address that needs none") {
  TestLoop loop;
  UniqueFd fd = listening();
  const DialTarget numeric = target_of(fd);
  const DialTarget named = target_of(fd, "localhost");
  const net::Acceptor acceptor(loop.loop(), std::move(fd), [](UniqueFd peer, const SocketAddress&) {
    CHECK(::write(peer.get(), "hello", 5) == 5);
  });
  ResolverHang hang;
  loop.run(hang.begin());
  for (const bool is_attempt_short : {true, false}) {
    const milliseconds shorter(50);
    const milliseconds longer(60'000);
    auto late = loop.run(dial_within(loop.loop(), named, is_attempt_short ? shorter : longer,
                                     Deadline::after(is_attempt_short ? longer : shorter)));
    REQUIRE_FALSE(late.has_value());
    CHECK(late.error().code() == ErrorCode::kDns);
    CHECK(late.error().source() == ErrorSource::kUpstream);
    CHECK(late.error().message() == "the name localhost was not resolved in time");
  }
  CHECK(loop.run(dial_and_read(loop.loop(), numeric, milliseconds(20'000))) == "hello");
  hang.end();
  CHECK(loop.run(dial_and_read(loop.loop(), named, milliseconds(20'000))) == "hello");
}

TEST_CASE("an address that is not permitted is not connected to") {
  TestLoop loop;
  UniqueFd fd = listening();
  DialTarget target = target_of(fd);
  int accepted = 0;
  net::Acceptor acceptor(loop.loop(), std::move(fd), [&](UniqueFd, const SocketAddress&) { ++accepted; });
  std::vector<std::string> asked;
  target.permit = [&](const SocketAddress& address) -> Result<void> {
    asked.push_back(address.to_string());
    return failure(ErrorCode::kDenied, ErrorSource::kUpstream, "not there");
  };
  auto refused = loop.run(dial_and_read(loop.loop(), target, milliseconds(20'000)));
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().code() == ErrorCode::kDenied);
  CHECK(asked.size() == 1);
  loop.run_for(milliseconds(5));
  CHECK(accepted == 0);
}

TEST_CASE("an address that does not answer delays the next by little, and no attempt is left behind") {
  TestLoop loop;
  UniqueFd fd = listening();
  const DialTarget target = target_of(fd);
  const SocketAddress good = net::local_address(fd.get());
  const net::Acceptor acceptor(loop.loop(), std::move(fd), [](UniqueFd peer, const SocketAddress&) {
    CHECK(::write(peer.get(), "hello", 5) == 5);
  });
  const SocketAddress silent = net::local_address(listening().get());
  const test::HeldPort held(silent.port(), test::HeldPort::Answer::kNone);
  for (const auto& addresses :
       {std::vector{silent, good}, std::vector{good, silent}, std::vector{silent, silent, good}}) {
    const auto begun = std::chrono::steady_clock::now();
    auto dialled = loop.run(net::dial_any(loop.loop(), target, addresses, milliseconds(20'000),
                                          Deadline::after(milliseconds(20'000))));
    REQUIRE(dialled.has_value());
    CHECK(net::peer_address(dialled->fd()).port() == good.port());
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(5));
  }
}

TEST_CASE("where every address fails, the dial ends with the last one's failure, in time") {
  TestLoop loop;
  const SocketAddress silent = net::local_address(listening().get());
  const test::HeldPort held(silent.port(), test::HeldPort::Answer::kNone);
  const SocketAddress refusing = net::local_address(listening().get());
  const DialTarget target{.host = "127.0.0.1", .port = 0, .tls = nullptr, .permit = {}};
  const auto code_of = [&](std::vector<SocketAddress> addresses) {
    auto dialled = loop.run(net::dial_any(loop.loop(), target, std::move(addresses), milliseconds(300),
                                          Deadline::after(milliseconds(20'000))));
    REQUIRE_FALSE(dialled.has_value());
    return dialled.error().code();
  };
  CHECK(code_of({refusing}) == ErrorCode::kConnect);
  CHECK(code_of({silent, refusing}) == ErrorCode::kTimeout);
  CHECK(code_of({refusing, silent}) == ErrorCode::kTimeout);
  CHECK(code_of({}) == ErrorCode::kDns);
}

TEST_CASE("addresses are tried in turn by their families") {
  const auto address = [](const char* text) { return net::numeric_address(text, 80).at(0); };
  const auto mixed =
      net::interleave_families({address("2001:db8::1"), address("2001:db8::2"), address("2001:db8::3"),
                                address("192.0.2.1"), address("192.0.2.2")});
  std::vector<std::string> order;
  for (const SocketAddress& one : mixed) order.push_back(one.ip());
  CHECK(order ==
        std::vector<std::string>{"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"});
  CHECK(net::interleave_families({}).empty());
}

TEST_CASE("a port that is in use is said to be") {
  const UniqueFd fd = listening();
  auto second = net::listen_on(net::local_address(fd.get()));
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().code() == ErrorCode::kBusy);
  CHECK(second.error().message().find(net::local_address(fd.get()).to_string()) != std::string::npos);
}

TEST_CASE("an address that is not this machine's is refused with its name") {
  auto fd = net::listen_on(net::numeric_address("203.0.113.7", 0).at(0));
  REQUIRE_FALSE(fd.has_value());
  CHECK(fd.error().message().find("203.0.113.7") != std::string::npos);
}
