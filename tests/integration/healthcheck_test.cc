// The health check, against a running layover and against what may be in its place.
#include "proxy/healthcheck.h"

#include <chrono>
#include <string>

#include "tests/support/catch.h"
#include "tests/support/running_proxy.h"
#include "tests/support/scripted_upstream.h"

using layover::Deadline;
using layover::ErrorCode;
using layover::Result;
using layover::config::parse_endpoint;
using layover::proxy::check_health;
using layover::test::Reply;
using layover::test::ScriptedUpstream;
using layover::test::Site;
using layover::test::UpstreamRequest;
using namespace std::chrono_literals;

namespace {

Result<void> check_at(const std::string& address, std::chrono::milliseconds patience = 20s) {
  return check_health(*parse_endpoint(address), Deadline::after(patience));
}

Result<void> check_against(ScriptedUpstream::Script script, std::chrono::milliseconds patience = 20s) {
  ScriptedUpstream server;
  server.on("GET", "/livez", std::move(script));
  return check_at(server.authority(), patience);
}

}  // namespace

TEST_CASE("a layover that runs is healthy, also where its admin listener has no address of its own") {
  const Site site;
  const std::string address = site.proxy.admin_address();
  CHECK(check_at(address));
  CHECK(check_at("0.0.0.0" + address.substr(address.find(':'))));
}

TEST_CASE("where nobody listens, the complaint names the address") {
  ScriptedUpstream server;
  server.go_down();
  const auto health = check_at(server.authority());
  REQUIRE_FALSE(health);
  CHECK(health.error().code() == ErrorCode::kConnect);
  CHECK(health.error().describe().find(server.authority()) != std::string::npos);
}

TEST_CASE("any answer but 200 is unhealthy, and is told") {
  const auto health = check_against(
      [](const UpstreamRequest&, Reply& reply) { reply.answer(503, {}, "a loop does not answer\n"); });
  REQUIRE_FALSE(health);
  CHECK(health.error().code() == ErrorCode::kStatus);
  CHECK(health.error().describe().find("503") != std::string::npos);
}

TEST_CASE("what is no HTTP is unhealthy, also where it has no end") {
  for (const std::string& answer : {std::string("SSH-2.0-OpenSSH_9.2\n"), std::string("200 OK\r\n"),
                                    std::string(), std::string(100'000, 'x')}) {
    INFO(answer.substr(0, 40));
    const auto health = check_against([&](const UpstreamRequest&, Reply& reply) {
      reply.write(answer);
      reply.close();
    });
    CHECK_FALSE(health);
  }
}

TEST_CASE("a server that accepts and says nothing is unhealthy when the time is over") {
  ScriptedUpstream server;
  layover::test::Gate& gate = server.gate();
  server.on("GET", "/livez", [&](const UpstreamRequest&, Reply&) { gate.wait(); });
  const auto began = std::chrono::steady_clock::now();
  const auto health = check_at(server.authority(), 100ms);
  REQUIRE_FALSE(health);
  CHECK(health.error().code() == ErrorCode::kTimeout);
  CHECK(std::chrono::steady_clock::now() - began < 10s);
}
