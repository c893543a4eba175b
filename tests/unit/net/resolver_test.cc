// Look-ups: one at a time for each name, whoever asks on whatever loop.
#include "net/resolver.h"

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/catch.h"
#include "tests/support/test_loop.h"

using namespace layover;
using net::SocketAddress;
using std::chrono::milliseconds;
using test::LoopThread;

namespace {

using Answer = Result<std::vector<SocketAddress>>;

/// Name servers: those of "silent.test" answer once they are told to, all others at once.
class NameServers {
 public:
  net::LookUp look_up() {
    return [state = state_](const std::string& host, std::uint16_t port) -> Answer {
      ++state->asked;
      if (host == "silent.test") state->answered.wait();
      return net::numeric_address("192.0.2.1", port);
    };
  }
  void answer() { state_->answer.set_value(); }
  int asked() const { return state_->asked; }

 private:
  struct State {
    std::promise<void> answer;
    std::shared_future<void> answered = answer.get_future().share();
    std::atomic<int> asked = 0;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

std::future<Answer> ask(LoopThread& loop, NameServers& servers, std::string host,
                        milliseconds patience = test::kPatience) {
  return loop.start([look_up = servers.look_up(), host = std::move(host), patience] {
    return net::resolve_host(host, 5000, Deadline::after(patience), look_up);
  });
}

}  // namespace

TEST_CASE("a name whose servers are silent is looked up once for all who ask, and holds up no other name") {
  LoopThread first(0);
  LoopThread second(1);
  NameServers servers;
  constexpr int kMoreThanThreads = 8;
  std::vector<std::future<Answer>> waiting;
  for (int i = 0; i < kMoreThanThreads; ++i) {
    waiting.push_back(ask(i % 2 == 0 ? first : second, servers, "silent.test"));
  }
  const auto impatient = LoopThread::wait_for(ask(first, servers, "silent.test", milliseconds(20)));
  REQUIRE_FALSE(impatient.has_value());
  CHECK(impatient.error().code() == ErrorCode::kDns);
  CHECK(impatient.error().message() == "the name silent.test was not resolved in time");

  const auto other = LoopThread::wait_for(ask(second, servers, "other.test"));
  REQUIRE(other.has_value());
  CHECK(other->at(0).to_string() == "192.0.2.1:5000");
  CHECK(servers.asked() == 2);

  servers.answer();
  for (auto& waiter : waiting) {
    const auto found = LoopThread::wait_for(std::move(waiter));
    REQUIRE(found.has_value());
    CHECK(found->at(0).to_string() == "192.0.2.1:5000");
  }
  CHECK(servers.asked() == 2);
}

TEST_CASE("an address needs no look-up, and a name's answer is not remembered") {
  LoopThread loop(0);
  NameServers servers;
  CHECK(LoopThread::wait_for(ask(loop, servers, "192.0.2.7"))->at(0).ip() == "192.0.2.7");
  CHECK(servers.asked() == 0);
  for (const int asked : {1, 2}) {
    CHECK(LoopThread::wait_for(ask(loop, servers, "other.test")).has_value());
    CHECK(servers.asked() == asked);
  }
}
