// The keys of the file, but for those of a registry.
#include "config/read_settings.h"

#include <fmt/format.h>

#include "config/read_registries.h"
#include "config/rules.h"
#include "config/section.h"
#include "config/time_keys.h"
#include "config/well_known.h"
#include "config/words.h"

namespace layover::config {
namespace {

// What llhttp's caller can hold per connection, and what real requests need at least.
constexpr Bytes kLeastHeaderBytes = 1_KiB;
constexpr Bytes kMostHeaderBytes = 1_MiB;
constexpr Bytes kMostScrubRate = 1024_GiB;

void read_admin(const Value& value, Admin& admin) {
  Section section(value);
  section.read("listen", admin.listen);
  section.not_supported({"token_file"});
  section.finish();
}

void read_cache(const Value& value, const ReadContext& context, Cache& cache) {
  Section section(value);
  if (const auto path = section.find("path")) {
    const std::string* text = path->text("the path of a directory");
    if (text != nullptr && text->empty()) path->fail("expected the path of a directory, not an empty string");
    if (text != nullptr) cache.path = context.resolve(*text);
  }
  section.read("max_size", cache.max_size, Zero::kRefused);
  section.read("max_object", cache.max_object, Zero::kRefused);
  if (const auto min_free = section.find("min_free")) {
    read_value(*min_free, cache.min_free.emplace(), Zero::kAllowed);
  }
  section.read("scrub_rate", cache.scrub_rate, Bytes{}, kMostScrubRate);
  section.read("complete_abandoned", cache.complete_abandoned);
  section.read("prefetch", cache.prefetch);
  section.finish();
}

void read_defaults(const Value& value, Times& times) {
  Section section(value);
  read_times(section, times);
  section.finish();
}

void read_limits(const Value& value, Limits& limits) {
  Section section(value);
  section.read("header_timeout", limits.header_timeout, Zero::kRefused);
  section.read("send_timeout", limits.send_timeout, Zero::kRefused);
  section.read("keep_alive", limits.keep_alive, Zero::kRefused);
  section.read("max_header_bytes", limits.max_header_bytes, kLeastHeaderBytes, kMostHeaderBytes);
  section.read("max_connections", limits.max_connections, 0U, kMostConnections);
  section.read("max_connections_per_client", limits.max_connections_per_client, 0U, kMostConnections);
  section.finish();
}

void read_shutdown(const Value& value, Shutdown& shutdown) {
  Section section(value);
  section.read("delay", shutdown.delay, Zero::kAllowed);
  section.read("grace", shutdown.grace, Zero::kAllowed);
  section.finish();
}

void read_access(const Value& value) {
  Section section(value);
  if (const auto mode = section.find("mode")) {
    const std::string* text = mode->text("\"open\"");
    if (text != nullptr && (*text == "basic" || *text == "mtls" || *text == "passthrough")) {
      mode->fail(fmt::format("\"{}\" is not supported yet; only \"open\" is", *text));
    } else if (text != nullptr && *text != "open") {
      mode->fail("expected \"open\"");
    }
  }
  section.finish();
}

void read_log(const Value& value, LogSettings& log) {
  Section section(value);
  section.read("level", log.level);
  section.read("format", log.format);
  section.read("requests", log.requests);
  section.finish();
}

void read_threads(const Value& value, unsigned automatic, unsigned& out) {
  const auto threads = parse_threads(value.node.text, automatic);
  const bool is_word = value.node.kind == Node::Kind::kText && value.node.text == "auto";
  const bool is_number = value.node.kind == Node::Kind::kNumber;
  if (!threads || !(is_word || is_number)) {
    return value.fail(fmt::format("expected \"auto\" or a whole number from 1 to {}", kMostThreads));
  }
  out = *threads;
}

// Settings::registries must have been read.
void read_default_registry(const Value& value, const Settings& settings, Listener& listener) {
  static constexpr std::string_view kExpected = "the name of a registry, such as \"docker.io\"";
  const std::string* text = value.text(kExpected);
  if (text == nullptr) return;
  const auto name = oci::RegistryName::parse(*text);
  if (!name) return value.fail(fmt::format("expected {}", kExpected));
  if (settings.find(*name) == nullptr) {
    return value.fail(fmt::format("{} is not an allowed registry; add \"{}\": {{}} to \"registries\"",
                                  name->str(), name->str()));
  }
  listener.default_registry = *name;
}

void read_listener(const Value& value, Settings& settings) {
  const auto problems_before = value.report.size();
  Section section(value);
  Listener listener;
  section.read("address", listener.address);
  if (const auto name = section.find("default_registry")) read_default_registry(*name, settings, listener);
  section.not_supported({"tls"});
  section.finish();
  // The address may be the default in place of a malformed one, which conflicts with nothing.
  if (value.report.size() != problems_before) return;

  for (const Listener& other : settings.listen) {
    if (conflicts(listener.address, other.address)) {
      return value.fail(fmt::format("{} and {} cannot both be listened on", to_string(listener.address),
                                    to_string(other.address)));
    }
  }
  settings.listen.push_back(std::move(listener));
}

void read_listeners(const Value& value, Settings& settings) {
  const auto& items = value.node.items;
  if (value.node.kind != Node::Kind::kList) return value.expected("a list of objects");
  if (items.empty()) return value.fail("expected at least one listener");
  settings.listen.clear();
  for (std::size_t i = 0; i < items.size(); ++i) {
    read_listener(Value{items[i], item_path(value.path, i), value.report}, settings);
  }
}

void check_admin(const Value& value, const Settings& settings) {
  for (const Listener& listener : settings.listen) {
    if (conflicts(listener.address, settings.admin.listen)) {
      return value.fail(fmt::format("{} cannot be listened on both for admin ({}) and for clients",
                                    to_string(listener.address), to_string(settings.admin.listen)));
    }
  }
}

}  // namespace

std::string ReadContext::resolve(const std::string& path) const {
  if (directory.empty() || path.starts_with('/')) return path;
  return directory + (directory.ends_with('/') ? "" : "/") + path;
}

void read_times(Section& section, Times& times) {
  for (const TimeKey& time : kTimeKeys) section.read(time.key, times.*time.member, time.zero);
}

void read_settings(const Node& root, const ReadContext& context, Report& report, Settings& settings) {
  Section section(Value{root, "", report});
  if (const auto value = section.find("defaults")) read_defaults(*value, settings.defaults);
  settings.registries = well_known_registries(settings.defaults);
  const auto registries = section.find("registries");
  if (registries) read_registries(*registries, context, settings);

  const auto listen = section.find("listen");
  if (listen) read_listeners(*listen, settings);
  const auto admin = section.find("admin");
  if (admin) read_admin(*admin, settings.admin);
  if (admin || listen) check_admin(admin ? *admin : *listen, settings);

  if (const auto value = section.find("cache")) read_cache(*value, context, settings.cache);
  if (const auto value = section.find("limits")) read_limits(*value, settings.limits);
  if (const auto value = section.find("shutdown")) read_shutdown(*value, settings.shutdown);
  if (const auto value = section.find("access")) read_access(*value);
  if (const auto value = section.find("log")) read_log(*value, settings.log);
  if (const auto value = section.find("threads")) {
    read_threads(*value, context.environment.processors, settings.threads);
  }
  section.finish();
  if (registries) check_registries(*registries, settings);
}

}  // namespace layover::config
