// CLI11 does the work.
#include "proxy/command_line.h"

#include <CLI/CLI.hpp>

namespace layover::proxy {

namespace {

void add_config_file(CLI::App& command, CommandLine& line) {
  command
      .add_option("-c,--config", line.config_file,
                  "Configuration file (default: /etc/layover/layover.json if there)")
      ->type_name("FILE");
}

void add_serve(CLI::App& app, CommandLine& line) {
  CLI::App* serve = app.add_subcommand("serve", "Serve the registry API as a pull-through cache");
  add_config_file(*serve, line);
  serve->add_option("--listen", line.overrides.listen, "Address to serve on; may be repeated")
      ->type_name("A:P");
  serve->add_option("--admin", line.overrides.admin, "Address of metrics and probes")->type_name("A:P");
  serve->add_option("--cache", line.overrides.cache, "Cache directory")->type_name("DIR");
  serve->add_option("--max-size", line.overrides.max_size, "Limit on the cache, such as 80% or 100GiB")
      ->type_name("SIZE");
  serve->add_option("--threads", line.overrides.threads, "Event loops: a number or auto")->type_name("N");
  serve->add_option("--log-level", line.overrides.log_level, "trace, debug, info, warning or error")
      ->type_name("L");
  for (CLI::Option* option : serve->get_options()) {
    if (option->get_name() != "--listen") option->take_last();
  }
}

CLI::App* add_healthcheck(CLI::App& app, CommandLine& line) {
  CLI::App* healthcheck = app.add_subcommand("healthcheck", "Ask a running layover whether it is alive");
  const auto take = [&line](const std::string& text) {
    const auto endpoint = config::parse_endpoint(text);
    if (!endpoint) throw CLI::ValidationError("--admin", text + " is no address and port");
    line.checked_admin = *endpoint;
  };
  healthcheck
      ->add_option_function<std::string>(
          "--admin", take, "Its admin listener (default: " + to_string(line.checked_admin) + ")")
      ->type_name("A:P");
  return healthcheck;
}

}  // namespace

std::expected<CommandLine, Exit> parse_command_line(int argc, const char* const* argv,
                                                    const std::string& version) {
  CommandLine line;
  CLI::App app("layover: a pull-through cache for OCI registries", "layover");
  app.set_version_flag("--version", "layover " + version);
  app.require_subcommand(1);
  add_serve(app, line);
  const CLI::App* healthcheck = add_healthcheck(app, line);
  CLI::App* config = app.add_subcommand("config", "Work with configuration files");
  config->require_subcommand(1);
  CLI::App* check = config->add_subcommand("check", "Check a configuration file; silent if it is right");
  check->add_option("FILE", line.checked_file, "The file")->required();
  CLI::App* show = config->add_subcommand("show", "Show the settings that hold, without secrets");
  add_config_file(*show, line);
  show->add_flag("--json", line.is_json, "On one line, for machines");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return std::unexpected(Exit{.status = app.exit(error) == 0 ? kExitOk : kExitWrong});
  }
  if (check->parsed()) line.command = Command::kConfigCheck;
  if (show->parsed()) line.command = Command::kConfigShow;
  if (healthcheck->parsed()) line.command = Command::kHealthcheck;
  return line;
}

}  // namespace layover::proxy
