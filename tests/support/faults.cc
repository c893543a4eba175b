// What each fault answers. Where the good part of the body comes first, a request that carries on behind it
// meets the fault at once: the byte at which it strikes never comes.
#include "tests/support/faults.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

namespace layover::test {

namespace {

using Answer = std::function<void(Play&)>;

/// A right head and the body up to the fault, of which `strike` is the rest.
Answer in_body(Answer strike) {
  return [strike = std::move(strike)](Play& play) {
    const FaultyRegistry& registry = play.registry;
    registry.send_head(play, FaultyRegistry::length(registry.rest(play).size()));
    play.reply.write(registry.good_part(play));
    play.registry.hold();
    strike(play);
  };
}

void reset(Play& play) { play.reply.reset(); }

void close_early(Play& play) { play.reply.close(); }

void stop_sending(Play& play) {
  play.registry.fall_silent();
  play.reply.close();
}

/// The body breaks; what asks for the rest of it is answered by `carry_on`.
Answer breaks_then(Answer carry_on) {
  return [broken = in_body(reset), carry_on = std::move(carry_on)](Play& play) {
    if (play.begin == 0) {
      broken(play);
    } else {
      carry_on(play);
    }
  };
}

Answer status(int code, HeaderList headers = {}) {
  return [code, headers = std::move(headers)](Play& play) {
    play.registry.hold();
    HeaderList all = headers;
    all.emplace_back("Content-Type", "application/json");
    play.reply.answer(code, all, R"({"errors":[{"code":"UNKNOWN","message":"a fault"}]})");
  };
}

void be_slow(Play& play) {
  constexpr std::chrono::milliseconds kDelay{100};
  std::this_thread::sleep_for(kDelay);
  play.registry.send_head(play, FaultyRegistry::length(play.registry.rest(play).size()));
  play.reply.write(play.registry.good_part(play));
  play.registry.hold();
  std::this_thread::sleep_for(kDelay);
  play.reply.write(play.registry.rest(play).substr(play.registry.good_part(play).size()));
}

void send_wrong_bytes(Play& play) {
  std::string body(play.registry.rest(play));
  const std::size_t good = play.registry.good_part(play).size();
  body[good] = static_cast<char>(~body[good]);
  play.registry.send_head(play, FaultyRegistry::length(body.size()));
  play.reply.write(std::string_view(body).substr(0, good));
  play.registry.hold();
  play.reply.write(std::string_view(body).substr(good));
}

/// The announced length is what comes, and it is not the blob's.
void send_too_little(Play& play) {
  const std::string_view body = play.registry.good_part(play);
  play.registry.send_head(play, FaultyRegistry::length(body.size()));
  play.reply.write(body.substr(0, body.size() / 2));
  play.registry.hold();
  play.reply.write(body.substr(body.size() / 2));
}

void send_too_much(Play& play) {
  std::string body(play.registry.rest(play));
  const std::size_t good = play.registry.good_part(play).size();
  body.append(1000, 'x');
  play.registry.send_head(play, FaultyRegistry::length(body.size()));
  play.reply.write(std::string_view(body).substr(0, good));
  play.registry.hold();
  play.reply.write(std::string_view(body).substr(good));
}

void send_chunks_until_fault(Play& play) {
  constexpr std::size_t kChunk = 50'000;
  play.registry.send_head(play, {{"Transfer-Encoding", "chunked"}});
  std::string_view body = play.registry.good_part(play);
  for (; !body.empty(); body.remove_prefix(std::min(kChunk, body.size())))
    play.reply.chunk(body.substr(0, kChunk));
  play.registry.hold();
}

void send_chunked(Play& play) {
  send_chunks_until_fault(play);
  play.reply.chunk(play.registry.rest(play).substr(play.registry.good_part(play).size()));
  play.reply.chunk("");
}

void send_bad_chunk(Play& play) {
  send_chunks_until_fault(play);
  play.reply.write("no-number\r\nand no chunk\r\n");
  play.reply.close();
}

void send_until_close(Play& play) {
  play.registry.send_head(play, {{"Connection", "close"}});
  play.reply.write(play.registry.good_part(play));
  play.registry.hold();
  play.reply.write(play.registry.rest(play).substr(play.registry.good_part(play).size()));
  play.reply.close();
}

void speak_http_1_0(Play& play) {
  play.reply.write(
      fmt::format("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", play.registry.bytes().size()));
  play.reply.write(std::string_view(play.registry.bytes()).substr(0, play.registry.fault_at()));
  play.registry.hold();
  play.reply.write(std::string_view(play.registry.bytes()).substr(play.registry.fault_at()));
  play.reply.close();
}

void send_huge_headers(Play& play) {
  play.registry.hold();
  HeaderList framing = FaultyRegistry::length(play.registry.rest(play).size());
  for (int i = 0; i < 100; ++i) framing.emplace_back(fmt::format("X-Filler-{}", i), std::string(4000, 'x'));
  play.registry.send_head(play, framing);
  play.reply.close();
}

void ignore_range(Play& play) {
  play.is_ranged = false;
  play.begin = 0;
}

void break_once_and_ignore_ranges(Play& play) {
  ignore_range(play);
  play.number == 1 ? in_body(reset)(play) : play.registry.answer_well(play);
}

void break_and_ignore_ranges(Play& play) {
  ignore_range(play);
  in_body(reset)(play);
}

/// 206 with another range than was asked for: it begins too early.
void send_another_range(Play& play) {
  constexpr std::size_t kShift = 1;
  Play another = play;
  another.begin -= kShift;
  play.registry.send_head(another, FaultyRegistry::length(play.registry.rest(another).size()));
  play.reply.write(play.registry.rest(another));
}

/// The right bytes of the range, as part of a blob that is longer than it was.
void tell_another_size(Play& play) {
  const std::size_t size = play.registry.bytes().size();
  const std::string_view body = play.registry.rest(play);
  HeaderList headers = FaultyRegistry::length(body.size());
  headers.emplace_back("Content-Range", fmt::format("bytes {}-{}/{}", play.begin, size - 1, size + 1));
  play.reply.head(206, headers);
  play.reply.write(body);
}

/// The right bytes of the range, under a status that says that they are all.
void say_200_to_a_range(Play& play) {
  const std::string_view body = play.registry.rest(play);
  play.reply.answer(200, {{"Content-Type", "application/octet-stream"}}, body);
}

void send_html(Play& play) {
  play.registry.hold();
  play.reply.answer(200, {{"Content-Type", "text/html; charset=utf-8"}}, "<html>Please log in</html>");
}

void challenge(Play& play) {
  play.registry.hold();
  play.registry.challenge(play);
}

/// The first token gives the body's beginning, and nothing gives the rest.
void let_token_expire(Play& play) {
  if (play.request.header("authorization").empty() || play.begin > 0) {
    play.registry.challenge(play);
  } else {
    in_body(reset)(play);
  }
}

/// The registry sends its clients to another host, where `at_cdn` answers.
Answer redirect(Answer at_cdn) {
  return [at_cdn = std::move(at_cdn)](Play& play) {
    const std::string target = "/store?signature=secret";
    play.registry.cdn().on("GET", "/store",
                           [&registry = play.registry, at_cdn, number = play.number, begin = play.begin,
                            is_ranged = play.is_ranged](const UpstreamRequest& request, Reply& reply) {
                             Play there{.registry = registry,
                                        .request = request,
                                        .reply = reply,
                                        .number = number,
                                        .begin = begin,
                                        .is_ranged = is_ranged};
                             at_cdn(there);
                           });
    play.reply.answer(307, {{"Location", play.registry.cdn().url() + target}}, "");
  };
}

void redirect_to_itself(Play& play) {
  play.registry.hold();
  play.reply.answer(307, {{"Location", play.registry.path()}}, "");
}

std::vector<Fault> make_faults() {
  std::vector<Fault> all{
      {.name = "delay", .answer = be_slow, .is_in_body = true},
      {.name = "reset before the answer",
       .answer =
           [](Play& play) {
             play.registry.hold();
             play.reply.reset();
           }},
      {.name = "reset at N", .answer = in_body(reset), .is_in_body = true},
      {.name = "reset once, ranges ignored",
       .answer = break_once_and_ignore_ranges,
       .spoils = 2,
       .is_in_body = true},
      {.name = "reset at N, ranges ignored",
       .answer = break_and_ignore_ranges,
       .spoils = 2,
       .is_in_body = true},
      {.name = "short body, right length", .answer = in_body(close_early), .is_in_body = true},
      {.name = "short body, wrong length", .answer = send_too_little, .is_in_body = true},
      {.name = "wrong bytes at N", .answer = send_wrong_bytes, .is_in_body = true},
      {.name = "another size", .answer = send_too_much, .is_in_body = true},
      {.name = "chunked", .answer = send_chunked, .is_in_body = true},
      {.name = "bad chunk", .answer = send_bad_chunk, .is_in_body = true},
      {.name = "no length", .answer = send_until_close, .is_in_body = true},
      {.name = "HTTP/1.0", .answer = speak_http_1_0, .is_in_body = true},
      {.name = "huge headers", .answer = send_huge_headers},
      {.name = "an HTML page with 200", .answer = send_html},
      {.name = "401 loop", .answer = challenge},
      {.name = "403", .answer = status(403)},
      {.name = "404", .answer = status(404)},
      {.name = "429", .answer = status(429, {{"Retry-After", "1"}})},
      {.name = "redirect loop", .answer = redirect_to_itself, .spoils = 6},
      {.name = "redirect to a CDN that answers 503", .answer = redirect(status(503))},
      {.name = "redirect to a CDN that breaks off", .answer = redirect(in_body(reset)), .is_in_body = true},
      {.name = "black hole at headers", .answer = stop_sending, .is_silent = true},
      {.name = "black hole in the body",
       .answer =
           [](Play& play) {
             play.registry.send_head(play, FaultyRegistry::length(play.registry.rest(play).size()));
             stop_sending(play);
           },
       .is_silent = true},
      {.name = "stall at N", .answer = in_body(stop_sending), .is_in_body = true, .is_silent = true},
  };
  for (const int code : {500, 502, 503, 504})
    all.push_back({.name = std::to_string(code), .answer = status(code)});
  // After a break in the body, which they need to be asked for the rest.
  const auto on_carrying_on = [&all](std::string name, Answer answer) {
    all.push_back(
        {.name = std::move(name), .answer = breaks_then(std::move(answer)), .spoils = 2, .is_in_body = true});
  };
  on_carrying_on("wrong Content-Range", send_another_range);
  on_carrying_on("another size on carrying on", tell_another_size);
  on_carrying_on("200 instead of 206", say_200_to_a_range);
  on_carrying_on("503 on carrying on", status(503));
  on_carrying_on("404 on carrying on", status(404));
  // Asked without a token, with it, with it for the rest.
  all.push_back(
      {.name = "token expired in the middle", .answer = let_token_expire, .spoils = 3, .is_in_body = true});

  all.push_back({.name = "TLS: expired", .handshake = Handshake::kExpired});
  all.push_back({.name = "TLS: wrong host", .handshake = Handshake::kWrongHost});
  all.push_back({.name = "TLS: unknown authority", .handshake = Handshake::kUnknownAuthority});
  all.push_back({.name = "TLS: handshake cut off", .handshake = Handshake::kCutOff});
  all.push_back({.name = "connection refused", .way = Way::kRefused});
  all.push_back({.name = "black hole at connect", .is_silent = true, .way = Way::kBlackHole});
  all.push_back({.name = "no such name", .way = Way::kNoName});
  return all;
}

}  // namespace

const std::vector<Fault>& faults() {
  static const std::vector<Fault> all = make_faults();
  return all;
}

const Fault& fault(std::string_view name) {
  const auto found = std::ranges::find(faults(), name, &Fault::name);
  if (found == faults().end()) throw std::runtime_error(fmt::format("there is no fault \"{}\"", name));
  return *found;
}

}  // namespace layover::test
