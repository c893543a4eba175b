// One function for each section.
#include "config/show.h"

#include <filesystem>
#include <nlohmann/json.hpp>

#include "config/time_keys.h"
#include "config/units.h"
#include "config/words.h"

namespace layover::config {
namespace {

using Json = nlohmann::ordered_json;

std::string absolute(const std::string& path) {
  return std::filesystem::absolute(path).lexically_normal().string();
}

Json show_listeners(const std::vector<Listener>& listeners) {
  Json list = Json::array();
  for (const Listener& listener : listeners) {
    list.push_back(
        {{"address", to_string(listener.address)}, {"default_registry", listener.default_registry.str()}});
  }
  return list;
}

Json show_cache(const Cache& cache) {
  Json object = {{"path", absolute(cache.path)},
                 {"max_size", to_string(cache.max_size)},
                 {"max_object", to_string(cache.max_object)}};
  if (cache.min_free) object["min_free"] = to_string(*cache.min_free);
  object["scrub_rate"] = size_text(cache.scrub_rate);
  object["complete_abandoned"] = cache.complete_abandoned;
  object["prefetch"] = cache.prefetch;
  return object;
}

Json show_limits(const Limits& limits) {
  return {{"header_timeout", duration_text(limits.header_timeout)},
          {"send_timeout", duration_text(limits.send_timeout)},
          {"keep_alive", duration_text(limits.keep_alive)},
          {"max_header_bytes", size_text(limits.max_header_bytes)},
          {"max_connections", limits.max_connections},
          {"max_connections_per_client", limits.max_connections_per_client}};
}

Json show_credentials(const Credentials& credentials) {
  switch (credentials.source.kind) {
    case CredentialSource::Kind::kDockerConfig: return {{"docker_config", absolute(credentials.source.name)}};
    case CredentialSource::Kind::kPasswordFile:
      return {{"username", credentials.username}, {"password_file", absolute(credentials.source.name)}};
    case CredentialSource::Kind::kPasswordVariable: break;
  }
  return {{"username", credentials.username}, {"password_env", credentials.source.name}};
}

Json show_mirrors(const std::vector<Mirror>& mirrors) {
  Json list = Json::array();
  for (const Mirror& mirror : mirrors) {
    Json object = {{"url", to_string(mirror.url)}};
    if (mirror.may_resolve) object["capabilities"] = {"pull", "resolve"};
    if (!mirror.ca_file.empty()) object["ca_file"] = absolute(mirror.ca_file);
    if (mirror.credentials) object["credentials"] = show_credentials(*mirror.credentials);
    list.push_back(std::move(object));
  }
  return list;
}

Json show_registry(const Registry& registry, const Times& defaults) {
  Json object = Json::object();
  if (registry.is_url_explicit) object["url"] = to_string(registry.url);
  if (!registry.ca_file.empty()) object["ca_file"] = absolute(registry.ca_file);
  if (registry.credentials) object["credentials"] = show_credentials(*registry.credentials);
  if (!registry.mirrors.empty()) object["mirrors"] = show_mirrors(registry.mirrors);
  if (registry.shared) object["shared"] = true;
  for (const oci::Authority& realm : registry.token_realms) {
    object["token_realms"].push_back(realm.to_string());
  }
  for (const Network& network : registry.allow_addresses) object["allow_addresses"].push_back(network.text);
  const Registry usual{.name = registry.name};
  if (registry.streams != usual.streams) object["streams"] = registry.streams;
  if (registry.prefetch != usual.prefetch) object["prefetch"] = registry.prefetch;
  if (registry.max_connections != usual.max_connections) object["max_connections"] = registry.max_connections;
  for (const TimeKey& time : kTimeKeys) {
    const Duration value = registry.times.*time.member;
    if (value != defaults.*time.member) object[std::string(time.key)] = duration_text(value);
  }
  return object;
}

Json show_registries(const Settings& settings) {
  Json object = Json::object();
  for (const auto& [name, registry] : settings.registries) {
    object[name.str()] = show_registry(registry, settings.defaults);
  }
  object["*"] = {{"enabled", settings.others.enabled}};
  return object;
}

}  // namespace

std::string show(const Settings& settings, Layout layout) {
  Json defaults = Json::object();
  for (const TimeKey& time : kTimeKeys) {
    defaults[std::string(time.key)] = duration_text(settings.defaults.*time.member);
  }
  const Json root = {{"listen", show_listeners(settings.listen)},
                     {"admin", {{"listen", to_string(settings.admin.listen)}}},
                     {"cache", show_cache(settings.cache)},
                     {"defaults", defaults},
                     {"limits", show_limits(settings.limits)},
                     {"threads", settings.threads},
                     {"shutdown",
                      {{"delay", duration_text(settings.shutdown.delay)},
                       {"grace", duration_text(settings.shutdown.grace)}}},
                     {"registries", show_registries(settings)},
                     {"access", {{"mode", "open"}}},
                     {"log",
                      {{"level", to_string(settings.log.level)},
                       {"format", to_string(settings.log.format)},
                       {"requests", settings.log.requests}}}};
  // A path need not be UTF-8, which JSON is.
  return root.dump(layout == Layout::kIndented ? 2 : -1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace layover::config
