// A cell's run: clients until they have their answers, then metrics, the disk, and what upstream saw, then
// the same question once more when upstream is well.
#include "tests/support/fault_cell.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <random>
#include <span>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "cache/hasher.h"
#include "tests/support/running_proxy.h"
#include "tests/support/test_loop.h"

namespace layover::test {

namespace {

using std::chrono::milliseconds;

/// Until all clients have their answers, whatever the fault; the budgets and pauses of a cell are well below.
constexpr std::chrono::seconds kBound{15};
/// Streamed before they are verified, and verified first.
constexpr std::pair<std::size_t, std::size_t> kLargeSizes{200'000, 400'000};
constexpr std::pair<std::size_t, std::size_t> kSmallSizes{1'000, 50'000};
/// What a fault may add to the blob.
constexpr double kAddedBytes = 1000;
/// Bodies of error answers and tokens, which count as received too.
constexpr double kSmallBodies = 8192;

/// One client on a thread of its own.
class Client {
 public:
  Client(const std::string& address, const std::string& path, const HeaderList& headers)
      : thread_([this, address, path, headers] { run(address, path, headers); }) {}
  ~Client() { wait(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool has_bytes() const { return has_bytes_; }
  bool has_ended() const { return has_ended_; }
  void wait() {
    if (thread_.joinable()) thread_.join();
  }
  /// After wait().
  const HttpAnswer& answer() const { return answer_; }
  const std::string& trouble() const { return trouble_; }

 private:
  void run(const std::string& address, const std::string& path, HeaderList headers) {
    try {
      headers.emplace_back("Connection", "close");
      HttpClient client(address);
      client.request("GET", path, headers);
      answer_ = client.read_head();
      while (answer_.status != 0 && client.read_some(answer_, SIZE_MAX)) has_bytes_ = !answer_.body.empty();
    } catch (const std::exception& failure) {
      trouble_ = failure.what();
    }
    has_ended_ = true;
  }

  std::atomic<bool> has_bytes_{false};
  std::atomic<bool> has_ended_{false};
  HttpAnswer answer_;
  std::string trouble_;
  std::thread thread_;  // last: it uses the members above
};

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class CellRun {
 public:
  explicit CellRun(const Cell& cell)
      : cell_(cell),
        random_(cell.seed),
        size_(between(sizes().first, sizes().second)),
        registry_(random_bytes(size_, static_cast<unsigned>(cell.seed)),
                  between(size_ * 3 / 8, size_ * 5 / 8), cell.fault, cell.lasting),
        well_(registry_.bytes(), registry_.fault_at(), Fault{.name = "none"},
              FaultyRegistry::Lasting::kPasses),
        range_begin_(cell.readers == Readers::kRange ? between(1, size_ / 4) : 0),
        proxy_(settings()) {
    well_.heal();
  }

  std::vector<std::string> run() {
    const auto begun = std::chrono::steady_clock::now();
    start_clients();
    if (!cell_.fault.is_silent && cell_.fault.way == Way::kOpen) let_strike();
    for (const auto& client : clients_) client->wait();
    expect(std::chrono::steady_clock::now() - begun < kBound, "the clients waited too long");
    for (const auto& client : clients_) check_answer(*client);
    settle();
    check_metrics();
    check_upstream();
    check_disk();
    if (cell_.fault.way != Way::kNoName) ask_again();
    return std::move(problems_);
  }

 private:
  std::size_t between(std::size_t least, std::size_t most) {
    return std::uniform_int_distribution<std::size_t>(least, most)(random_);
  }
  std::pair<std::size_t, std::size_t> sizes() const {
    return cell_.readers == Readers::kSmall ? kSmallSizes : kLargeSizes;
  }
  config::Settings settings() const;
  void expect(bool is_so, std::string otherwise) {
    if (!is_so) problems_.push_back(std::move(otherwise));
  }

  void settle() {
    expect(proxy_.settle(), "the download does not end");
    metrics_ = proxy_.metrics();
  }

  void start_clients();
  void start_client();
  void let_strike();
  bool have_all_ended() const {
    return std::ranges::all_of(clients_, [](const auto& c) { return c->has_ended(); });
  }

  void check_answer(const Client& client);
  void check_whole(const HttpAnswer& answer);
  void check_cut_short(const HttpAnswer& answer);
  void check_error(const HttpAnswer& answer);
  void check_metrics();
  void check_upstream();
  void check_disk();
  void ask_again();

  double errors(std::string_view reason) const {
    return value_in(
        metrics_, fmt::format("layover_upstream_errors_total{{registry=\"r.test\",reason=\"{}\"}}", reason));
  }
  double fills(std::string_view result) const {
    return value_in(metrics_, fmt::format("layover_fills_total{{result=\"{}\"}}", result));
  }
  double all_fills() const;
  bool is_mismatch() const { return cell_.result == "mismatch"; }

  const Cell& cell_;
  std::mt19937_64 random_;
  const std::size_t size_;
  FaultyRegistry registry_;
  FaultyRegistry well_;  // what the registry with the fault may be the mirror of
  const std::size_t range_begin_;
  RunningProxy proxy_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::string metrics_;  // when the clients had their answers, later when the blob had been asked for again
  std::vector<std::string> problems_;
};

config::Settings CellRun::settings() const {
  config::Registry registry = registry_.settings();
  if (cell_.is_at_mirror) {
    const config::Mirror mirror{.url = registry.url, .ca_file = registry.ca_file};
    registry = well_.settings();
    registry.mirrors.push_back(mirror);
  }
  config::Times& times = registry.times;
  // Silence is ended by these. Other faults wait for their clients, which may take a while on a busy machine.
  const bool is_short = cell_.fault.is_silent;
  times.connect_timeout = is_short ? milliseconds(500) : milliseconds(5000);
  times.response_timeout = is_short ? milliseconds(500) : milliseconds(10'000);
  times.idle_timeout = is_short ? milliseconds(300) : milliseconds(10'000);
  times.first_byte_budget = is_short ? milliseconds(3000) : milliseconds(12'000);
  config::Settings settings = settings_with({registry});
  settings.threads = 2;
  return settings;
}

void CellRun::start_client() {
  HeaderList headers;
  if (range_begin_ > 0) headers.emplace_back("Range", fmt::format("bytes={}-", range_begin_));
  clients_.push_back(std::make_unique<Client>(proxy_.address(), registry_.path(), headers));
}

void CellRun::start_clients() {
  const int at_once = cell_.readers == Readers::kTwenty ? 20 : 1;
  for (int i = 0; i < at_once; ++i) start_client();
  if (cell_.readers != Readers::kLate) return;
  const bool is_under_way = eventually([&] {
    const Client& first = *clients_.front();
    return first.has_ended() || first.has_bytes() ||
           (!cell_.fault.is_in_body && proxy_.metric("layover_fill_readers") > 0);
  });
  expect(is_under_way, "the first client's request did not get under way");
  start_client();
}

// Once all clients share the download; a fault that strikes while it is still being joined is another cell.
void CellRun::let_strike() {
  const auto count = static_cast<double>(clients_.size());
  const bool is_joined = eventually([&] {
    return have_all_ended() ||
           (registry_.about_to_strike().waiting() > 0 && proxy_.metric("layover_fill_readers") == count);
  });
  expect(is_joined, "the fault was not reached");
  registry_.about_to_strike().open();
}

void CellRun::check_answer(const Client& client) {
  if (!client.trouble().empty()) {
    expect(false, client.trouble());
    return;
  }
  const HttpAnswer& answer = client.answer();
  switch (cell_.expected.outcome) {
    case Outcome::kWhole: check_whole(answer); return;
    case Outcome::kCutShort: check_cut_short(answer); return;
    case Outcome::kWholeOrCutShort:
      answer.is_complete ? check_whole(answer) : check_cut_short(answer);
      return;
    case Outcome::kError: check_error(answer); return;
  }
}

void CellRun::check_whole(const HttpAnswer& answer) {
  const int status = range_begin_ > 0 ? 206 : 200;
  expect(answer.status == status, fmt::format("status {} instead of {}", answer.status, status));
  expect(answer.is_complete, fmt::format("{} bytes and then no more", answer.body.size()));
  expect(answer.body == registry_.bytes().substr(range_begin_), "not the blob's bytes");
}

void CellRun::check_cut_short(const HttpAnswer& answer) {
  const int status = range_begin_ > 0 ? 206 : 200;
  expect(answer.status == status, fmt::format("status {} instead of {}", answer.status, status));
  expect(!answer.is_complete, "complete, although the fault stays");
  expect(!answer.was_reset, "ended by a reset");
  const std::string_view right = std::string_view(registry_.bytes()).substr(range_begin_);
  const std::size_t good = std::min(answer.body.size(), registry_.fault_at() - range_begin_);
  expect(answer.body.compare(0, good, right.substr(0, good)) == 0, "wrong bytes before the fault");
  expect(answer.body != right, "the whole body, although the fault stays");
}

void CellRun::check_error(const HttpAnswer& answer) {
  expect(answer.status == cell_.expected.status,
         fmt::format("status {} instead of {}: {}", answer.status, cell_.expected.status,
                     answer.body.substr(0, 300)));
  expect(answer.is_complete, "an error answer that is not complete");
  expect(answer.header("content-type") == "application/json" &&
             answer.body.find("\"errors\"") != std::string::npos,
         "an error answer that is no JSON error");
  for (const char* left_over : {"etag", "docker-content-digest", "content-range"}) {
    expect(!answer.has_header(left_over), fmt::format("an error answer with {}", left_over));
  }
  const bool must_say_when = answer.status == 503 || answer.status == 429;
  expect(!must_say_when || answer.has_header("retry-after"), "an error answer without Retry-After");
}

double CellRun::all_fills() const {
  double sum = 0;
  for (const char* result : {"committed", "mismatch", "short", "upstream_error", "disk_error", "abandoned"}) {
    sum += fills(result);
  }
  return sum;
}

void CellRun::check_metrics() {
  if (cell_.reason.empty()) {
    for (const char* reason :
         {"dns", "connect", "tls", "timeout", "reset", "protocol", "status", "ratelimited"}) {
      expect(errors(reason) == 0, fmt::format("an upstream error \"{}\" was counted", reason));
    }
  } else {
    expect(errors(cell_.reason) >= 1, fmt::format("no upstream error \"{}\" was counted", cell_.reason));
  }
  const Outcome outcome = cell_.expected.outcome;
  if (outcome == Outcome::kWhole) {
    expect(fills("committed") == 1, fmt::format("{} downloads were committed", fills("committed")));
    const double downloads = 1 + fills("mismatch");
    expect(all_fills() == downloads, fmt::format("{} downloads instead of {}", all_fills(), downloads));
    expect(fills("mismatch") == (is_mismatch() ? 1 : 0), "a download of wrong bytes");
  } else if (outcome != Outcome::kWholeOrCutShort) {
    expect(fills(cell_.result) >= 1, fmt::format("no download with result \"{}\"", cell_.result));
    expect(fills(cell_.result) == all_fills(), "a download with another result");
  }
}

void CellRun::check_upstream() {
  const double downloads = all_fills();
  const double received = value_in(metrics_, "layover_upstream_received_bytes_total{registry=\"r.test\"}");
  const double once = static_cast<double>(size_) + kAddedBytes + kSmallBodies;
  const double most_received = downloads * once * (cell_.starts_over ? cell_.tries : 1);
  expect(received <= most_received, fmt::format("{} bytes received, {} are enough", received, most_received));

  const int requests = registry_.requests();
  double most_requests = cell_.tries * downloads;
  if (cell_.expected.outcome == Outcome::kWhole)
    most_requests =
        cell_.is_harmless ? 1 : std::max(cell_.fault.spoils + 1, cell_.is_at_mirror ? cell_.tries : 0);
  const double least_requests = cell_.fault.way == Way::kOpen ? 1 : 0;
  expect(requests >= least_requests && requests <= most_requests,
         fmt::format("{} requests upstream, {} are enough", requests, most_requests));
}

void CellRun::check_disk() {
  int stored = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(proxy_.cache_path() + "/blobs")) {
    if (!entry.is_regular_file()) continue;
    ++stored;
    expect(read_file(entry.path()) == registry_.bytes(), "a stored file that is not the blob");
  }
  const double committed = fills("committed");
  expect(stored == committed, fmt::format("{} stored files, {} downloads were committed", stored, committed));
}

void CellRun::ask_again() {
  const int before = registry_.requests();
  const bool was_stored = fills("committed") > 0;
  registry_.heal();
  HttpAnswer answer = proxy_.get(registry_.path());
  if (is_mismatch() && !cell_.is_at_mirror) {
    expect(answer.status == 502, fmt::format("after wrong bytes, status {} instead of 502", answer.status));
    expect(registry_.requests() == before, "after wrong bytes, upstream is asked again at once");
    return;
  }
  if (answer.status == 429) {
    eventually([&] {
      answer = proxy_.get(registry_.path());
      return answer.status != 429;
    });
  }
  expect(answer.is_complete && answer.body == registry_.bytes(),
         fmt::format("with the fault gone, status {} and {} bytes", answer.status, answer.body.size()));
  expect(!was_stored || registry_.requests() == before, "what is stored was asked for again");
  expect((answer.header("x-cache") == "HIT") == was_stored, "X-Cache " + answer.header("x-cache"));
  settle();
  check_disk();
}

}  // namespace

std::string_view to_string(Readers readers) {
  switch (readers) {
    case Readers::kOne: return "1 reader";
    case Readers::kTwenty: return "20 readers";
    case Readers::kLate: return "a late reader";
    case Readers::kRange: return "a range reader";
    case Readers::kSmall: return "1 reader of a small blob";
  }
  return "";
}

std::string Cell::name() const {
  return fmt::format("{} ({}{}), {}", fault.name,
                     lasting == FaultyRegistry::Lasting::kPasses ? "passes" : "stays",
                     is_at_mirror ? " at a mirror" : "", to_string(readers));
}

std::vector<std::string> find_problems(const Cell& cell) {
  try {
    return CellRun(cell).run();
  } catch (const std::exception& failure) {
    return {failure.what()};
  }
}

}  // namespace layover::test
