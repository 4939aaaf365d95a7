#include "cli/gateway_settings.h"

#include "base/file.h"
#include "base/log.h"
#include "cli/data_directory.h"

namespace llmd::cli {
namespace {

constexpr std::string_view kNone = "none";

Result<std::unique_ptr<gateway::Admin>> open_at(async::EventLoop& loop, gateway::Gateway& gateway,
                                                const GatewaySettings& settings, const net::Address& address,
                                                std::function<void()> begin_drain,
                                                gateway::ConfigMapRoutes* shared_routes) {
  LLMD_TRY(const auto data, DataDirectory::open(settings.data));
  const std::string& token_file = gateway.configuration().admin.tokenFile;
  const std::filesystem::path token =
      token_file.empty() ? data.root() / "admin-token" : std::filesystem::path(token_file);
  const auto file = shared_routes == nullptr ? data.root() / "admin-routing.json" : std::filesystem::path();
  LLMD_TRY(auto admin, gateway::Admin::create(loop, gateway,
                                              {.token_file = token,
                                               .routing_file = file,
                                               .shared_routes = shared_routes,
                                               .begin_drain = std::move(begin_drain)}));
  auto bound = admin->listen(address);
  if (!bound) {
    return std::unexpected(std::move(bound).error().within("admin API"));
  }
  fmt::print("admin http://{} token {}\n", bound->to_string(), token.string());
  return admin;
}

}  // namespace

void GatewaySettings::describe(Options& command_line, const std::string& config_option) {
  command_line.add(config_option, config,
                   "file with a GatewayConfiguration: limits, API keys, unified API, access log");
  command_line.add("--admin", admin,
                   "HOST:PORT of the admin API; port 0 takes a free one; none: no admin API; default: as "
                   "configured, else 127.0.0.1:8090");
}

Result<gateway::GatewayConfiguration> GatewaySettings::read() const {
  if (config.empty()) {
    return gateway::GatewayConfiguration();
  }
  LLMD_TRY(const auto text, read_file(config, std::size_t{16} << 20));
  LLMD_TRY(auto read, gateway::parse_gateway_configuration(text, config));
  if (auto usable = gateway::check_files(read); !usable) {
    return std::unexpected(std::move(usable).error().within(config));
  }
  return read;
}

Result<std::unique_ptr<gateway::Admin>> open_admin(async::EventLoop& loop, gateway::Gateway& gateway,
                                                   const GatewaySettings& settings,
                                                   std::function<void()> begin_drain,
                                                   gateway::ConfigMapRoutes* shared_routes) {
  const gateway::AdminConfiguration defaults;
  const std::string& configured = gateway.configuration().admin.listen;
  const std::string& wanted = settings.admin.empty() ? configured : settings.admin;
  if (wanted.empty() || wanted == kNone) {
    return nullptr;
  }
  LLMD_TRY(const auto address, net::parse_address(wanted));
  auto admin = open_at(loop, gateway, settings, address, std::move(begin_drain), shared_routes);
  if (!admin && settings.admin.empty() && configured == defaults.listen) {
    log::warning("there is no admin API", {{"address", wanted}, {"reason", admin.error().text()}});
    return nullptr;
  }
  return admin;
}

}  // namespace llmd::cli
