// A registry with one blob and one fault: which requests the fault spoils, and what a registry without faults
// answers to all others. What the faults do is in faults.cc.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "config/settings.h"
#include "tests/support/held_port.h"
#include "tests/support/scripted_upstream.h"
#include "tests/support/tls_front.h"

namespace layover::test {

class FaultyRegistry;

/// One request for the blob, as a fault sees it.
struct Play {
  FaultyRegistry& registry;
  const UpstreamRequest& request;
  Reply& reply;
  int number;         // among the requests for the blob, from 1; 0 where handshakes are counted
  std::size_t begin;  // the first byte that is asked for; to the end, as layover asks
  bool is_ranged;     // by a Range header
};

/// What is wrong on the way to the registry, below HTTP.
enum class Way { kOpen, kRefused, kBlackHole, kNoName };

struct Fault {
  std::string name;
  /// Answers a request that has the fault; nothing where the fault is below HTTP.
  std::function<void(Play&)> answer{};
  /// How many requests of the first ones it spoils where it passes by: those that come after a break in the
  /// body need that break first.
  int spoils = 1;
  /// It strikes when the first half of the body, about, has been sent.
  bool is_in_body = false;
  /// It is silence: only a time limit ends it.
  bool is_silent = false;
  std::optional<Handshake> handshake{};  // TLS; the handshake that connections with the fault have
  Way way = Way::kOpen;
};

class FaultyRegistry {
 public:
  enum class Lasting { kPasses, kStays };

  /// The fault strikes at byte `fault_at`, if it strikes in the body.
  FaultyRegistry(std::string bytes, std::size_t fault_at, Fault fault, Lasting lasting);
  FaultyRegistry(const FaultyRegistry&) = delete;
  FaultyRegistry& operator=(const FaultyRegistry&) = delete;
  ~FaultyRegistry();

  /// Its entry under the name r.test, with the usual times.
  config::Registry settings() const;
  /// Of the blob, for clients.
  std::string path() const;
  const std::string& bytes() const { return bytes_; }
  const std::string& digest() const { return digest_; }
  std::size_t fault_at() const { return fault_at_; }
  ScriptedUpstream& upstream() { return upstream_; }
  ScriptedUpstream& cdn() { return cdn_; }
  /// GETs of the blob, or handshakes, that have come.
  int requests() const { return requests_; }

  /// No fault from now on. Once.
  void heal();
  /// The first request that has the fault waits here when the fault is about to strike, unless it is silent.
  Gate& about_to_strike() { return about_to_strike_; }
  void hold() {
    if (!fault_.is_silent) about_to_strike_.wait();
  }
  /// Says nothing more until the end.
  void fall_silent() { silence_.wait(); }

  /// The head of a right answer: 200, or 206 with its Content-Range. `framing` tells the body's length.
  void send_head(Play& play, const HeaderList& framing) const;
  static HeaderList length(std::size_t size) { return {{"Content-Length", std::to_string(size)}}; }
  /// The rest of the body from `play.begin`.
  std::string_view rest(const Play& play) const { return std::string_view(bytes_).substr(play.begin); }
  /// Its part before the fault; nothing where what is asked for lies behind it.
  std::string_view good_part(const Play& play) const;
  void answer_well(Play& play) const;
  /// 401, with the realm of a token service that gives a token to everybody.
  void challenge(Play& play) const;

 private:
  bool is_spoiled(int request) const;
  void answer(const UpstreamRequest& request, Reply& reply);
  Handshake next_handshake();

  const std::string bytes_;
  const std::size_t fault_at_;
  const Fault fault_;
  const Lasting lasting_;
  std::atomic<int> requests_{0};
  std::atomic<int> tokens_{0};
  std::atomic<bool> is_healed_{false};
  ScriptedUpstream cdn_;
  ScriptedUpstream upstream_;
  Gate& about_to_strike_ = upstream_.gate();
  Gate& silence_ = upstream_.gate();
  std::string digest_;
  std::unique_ptr<HeldPort> held_;
  std::unique_ptr<TlsFront> tls_;
};

}  // namespace layover::test
