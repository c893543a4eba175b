// Bearer tokens for a scripted upstream: its token service, and its check of what requests show.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include <fmt/format.h>

#include "tests/support/scripted_upstream.h"

namespace layover::test {

/// A token service and the registry's check, on the upstream itself. The scripts own what they use: they may
/// outlive this.
class TokenService {
 public:
  explicit TokenService(ScriptedUpstream& upstream) {
    upstream.before_all([state = state_, url = upstream.url()](const UpstreamRequest& request, Reply& reply) {
      return check(*state, url, request, reply);
    });
    upstream.on("GET", "/token",
                [state = state_](const UpstreamRequest&, Reply& reply) { give(*state, reply); });
  }

  /// Tokens that were given out are refused from now on.
  void revoke() {
    const std::lock_guard lock(state_->mutex);
    state_->good.clear();
  }
  /// The service answers with this status; 0: with tokens.
  void refuse(int status) { state_->refusal = status; }
  /// What the registry answers, without a challenge, to tokens that are no longer good; 0: a 401 with one.
  void reject_with(int status) { state_->rejection = status; }
  void set_lifetime(int seconds) { state_->lifetime = seconds; }

 private:
  struct State {
    std::mutex mutex;
    std::set<std::string> good;
    std::atomic<int> given{0};
    std::atomic<int> refusal{0};
    std::atomic<int> rejection{0};
    std::atomic<int> lifetime{300};
  };

  static bool check(State& state, const std::string& url, const UpstreamRequest& request, Reply& reply) {
    if (request.path() == "/token") return false;
    const std::string authorization = request.header("authorization");
    {
      const std::lock_guard lock(state.mutex);
      if (state.good.contains(authorization)) return false;
    }
    if (!authorization.empty() && state.rejection != 0) {
      reply.answer(state.rejection, {}, "{}");
      return true;
    }
    const std::string challenge =
        fmt::format("Bearer realm=\"{}/token?x=1\",service=\"test, service\",scope=\"repository:{}:pull\"",
                    url, repository_of(request.path()));
    reply.answer(401, {{"WWW-Authenticate", challenge}}, "{}");
    return true;
  }

  static void give(State& state, Reply& reply) {
    if (state.refusal != 0) {
      reply.answer(state.refusal, {}, "{}");
      return;
    }
    const std::string token = fmt::format("token{}", ++state.given);
    {
      const std::lock_guard lock(state.mutex);
      state.good.insert("Bearer " + token);
    }
    reply.answer(200, {{"Content-Type", "application/json"}},
                 fmt::format(R"({{"token":"{}","expires_in":{}}})", token, state.lifetime.load()));
  }

  static std::string repository_of(const std::string& path) {
    const auto end = std::min(path.find("/blobs/"), path.find("/manifests/"));
    return path.substr(4, end - 4);
  }

  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace layover::test
