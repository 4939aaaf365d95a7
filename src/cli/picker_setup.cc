#include "cli/picker_setup.h"

#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "cli/version.h"
#include "picker/datalayer/watched_file.h"
#include "picker/picker_metrics.h"

namespace llmd::cli {
namespace {

Result<net::TlsServerPolicy> policy_of(const PickerArguments& arguments) {
  using enum net::TlsServerPolicy::Version;
  static constexpr std::pair<std::string_view, net::TlsServerPolicy::Version> kVersions[] = {
      {"VersionTLS10", Tls10}, {"VersionTLS11", Tls11}, {"VersionTLS12", Tls12}, {"VersionTLS13", Tls13}};
  net::TlsServerPolicy policy;
  if (!arguments.tls_min_version.empty()) {
    const auto found = std::ranges::find(kVersions, arguments.tls_min_version,
                                         &std::pair<std::string_view, net::TlsServerPolicy::Version>::first);
    if (found == std::end(kVersions)) {
      return invalid_argument("tls-min-version: expected VersionTLS10 to VersionTLS13, got '{}'",
                              arguments.tls_min_version);
    }
    policy.oldest = found->second;
  }
  std::vector<std::string_view> suites;
  for (const std::string_view each : split(arguments.tls_cipher_suites, ',')) {
    if (!trim(each).empty()) {
      suites.push_back(trim(each));
    }
  }
  auto ciphers = net::cipher_list(suites);
  if (!ciphers) {
    return std::unexpected(std::move(ciphers).error().within("tls-cipher-suites"));
  }
  policy.ciphers = std::move(*ciphers);
  return policy;
}

std::shared_ptr<extproc::MetricsGuard> guard_of(const PickerArguments& arguments, kube::Client* client) {
  using enum extproc::MetricsAccess;
  if (client != nullptr) {
    return std::make_shared<extproc::MetricsGuard>(
        arguments.metrics_auth.value_or(true) ? Reviewed : Everybody, client);
  }
  return std::make_shared<extproc::MetricsGuard>(arguments.metrics_auth.value_or(false) ? ThisMachine
                                                                                        : Everybody);
}

}  // namespace

Result<ConfigText> config_of(const PickerArguments& arguments) {
  if (arguments.config_file.empty()) {
    return ConfigText{arguments.config_text, "--config-text"};
  }
  LLMD_TRY(std::string text, read_file(arguments.config_file, std::size_t{16} << 20));
  return ConfigText{std::move(text), arguments.config_file};
}

Result<extproc::ServedPoolsOptions> pools_of(const PickerArguments& arguments, metrics::Registry& registry) {
  LLMD_TRY(ConfigText config, config_of(arguments));
  extproc::ServedPoolsOptions options{
      .default_name = arguments.pool_names.empty() ? "default" : arguments.pool_names.front(),
      .config_text = std::move(config.text),
      .config_name = std::move(config.name),
      .picker = {.shared_metrics = std::make_shared<picker::PickerMetrics>(registry),
                 .request_metrics = true,
                 .emit_scores = arguments.emit_scores,
                 .subset_filter = !arguments.subset_filter_disabled,
                 .shed_status = arguments.compatible_shedding ? 503 : 429},
      .scrape = {.interval = arguments.refresh_interval}};
  options.picker.load.allow_experimental = arguments.experimental;
  options.picker.load.metrics_source = arguments.metrics_source;
  options.picker.load.metrics_extractor = arguments.metrics_extractor;
  return options;
}

Result<EndpointSource> source_of(const PickerArguments& arguments, const ConfigText& config) {
  if (!arguments.endpoints_file.empty()) {
    return EndpointSource{arguments.endpoints_file, true};
  }
  LLMD_TRY(const auto parsed, picker::parse_configuration(config.text, config.name,
                                                          {.allow_experimental = arguments.experimental}));
  const auto discovery = std::ranges::find(parsed.plugins, parsed.discovery, &picker::PluginEntry::name);
  if (parsed.discovery.empty()) {
    return EndpointSource{};
  }
  if (discovery == parsed.plugins.end() || !discovery->type.ends_with("file-discovery")) {
    return invalid_argument("{}: dataLayer.discovery.pluginRef: the plugin '{}' is {}",
                            parsed.place("dataLayer.discovery.pluginRef"), parsed.discovery,
                            discovery == parsed.plugins.end() ? "not defined" : "no endpoint discovery");
  }
  EndpointSource source;
  for (const auto& parameter : discovery->parameters) {
    if (equals_ignoring_case(parameter.key(), "path") && parameter.value().is_string()) {
      source.file = std::string_view(parameter.value().get_string());
    } else if (equals_ignoring_case(parameter.key(), "watchFile") && parameter.value().is_bool()) {
      source.watched = parameter.value().get_bool();
    }
  }
  return source;
}

Result<Certificates> certificates_of(const PickerArguments& arguments) {
  LLMD_TRY(net::TlsServerPolicy policy, policy_of(arguments));
  Certificates made;
  if (arguments.secure_serving) {
    LLMD_TRY(made.grpc, arguments.cert_path.empty()
                            ? extproc::self_signed_tls(policy)
                            : extproc::tls_from_directory(arguments.cert_path, policy));
  }
  if (!arguments.metrics_cert_dir.empty()) {
    if (!arguments.metrics_client_ca_file.empty()) {
      LLMD_TRY(policy.client_ca_pem, read_file(arguments.metrics_client_ca_file));
    }
    LLMD_TRY(made.metrics, extproc::tls_from_directory(arguments.metrics_cert_dir, policy));
  }
  const bool any = made.grpc || made.metrics;
  if (!any && !(arguments.tls_min_version + arguments.tls_cipher_suites).empty()) {
    log::warning("this flag has no effect",
                 {{"flag", "tls-min-version, tls-cipher-suites"}, {"because", "nothing here speaks TLS"}});
  }
  return made;
}

Result<kube::ClientConfig> kubernetes_of(const PickerArguments& arguments) {
  if (!arguments.kubeconfig.empty()) {
    return kube::ClientConfig::from_kubeconfig(arguments.kubeconfig);
  }
  if (const char* path = std::getenv("KUBECONFIG")) {
    return kube::ClientConfig::from_kubeconfig(path);
  }
  return kube::ClientConfig::in_cluster();
}

std::string name_of_pool(const PickerArguments& arguments) {
  if (!arguments.pool_names.empty()) {
    return arguments.pool_names.front();
  }
  const char* pod = std::getenv("POD_NAME");
  std::string name = pod != nullptr ? pod : "";
  for (int part = 0; part < 2; ++part) {
    name.erase(std::min(name.rfind('-'), name.size()));
  }
  return name;
}

Result<void> check_kubernetes(const PickerArguments& arguments) {
  if (!arguments.pool_names.empty() && !arguments.endpoint_selector.empty()) {
    return invalid_argument("pool-name and endpoint-selector exclude each other");
  }
  if (arguments.pool_names.empty() && arguments.endpoint_selector.empty()) {
    return invalid_argument("either pool-name or endpoint-selector must be set")
        .hint("or give --endpoints-file to run without Kubernetes");
  }
  if (!arguments.endpoint_selector.empty() && arguments.endpoint_ports.empty()) {
    return invalid_argument("endpoint-target-ports must be set together with endpoint-selector");
  }
  if (arguments.leader_election && name_of_pool(arguments).empty()) {
    return invalid_argument("ha-enable-leader-election needs POD_NAME where there is no pool-name")
        .hint("replicas find each other by the name of their Deployment");
  }
  return {};
}

Result<void> fill_pools(const PickerArguments& arguments, EndpointSource& source,
                        extproc::ServedPools& pools) {
  if (!arguments.objects_file.empty()) {
    LLMD_TRY(source.objects_text, read_file(arguments.objects_file, picker::kMostFileBytes));
    LLMD_TRY(auto objects, extproc::parse_rule_objects(source.objects_text, arguments.objects_file));
    pools.set_rules(std::move(objects));
  }
  if (!source.file.empty()) {
    LLMD_TRY(source.text, read_file(source.file, picker::kMostFileBytes));
    LLMD_TRY(const auto endpoints, picker::parse_endpoints(source.text, source.file));
    return pools.apply(endpoints, std::filesystem::path(source.file).parent_path());
  }
  std::vector<std::string> names = arguments.pool_names;
  if (names.empty()) {
    names.push_back(name_of_pool(arguments));
  }
  for (const std::string& name : names) {
    LLMD_TRY_VOID(pools.add(name));
  }
  return {};
}

Result<std::unique_ptr<trace::Tracing>> tracing_of(const PickerArguments& arguments, async::EventLoop& loop) {
  const bool wanted = arguments.tracing.value_or(true);
  const bool exports = trace::process_environment("OTEL_TRACES_EXPORTER").value_or("none") != "none";
  if (!wanted || !exports) {  // then no other variable can keep the picker from starting
    if (wanted && arguments.tracing) {
      log::warning("this flag has no effect",
                   {{"flag", "tracing"}, {"because", "OTEL_TRACES_EXPORTER names no exporter"}});
    }
    return trace::Tracing::create(loop, {});
  }
  LLMD_TRY(auto settings, trace::trace_settings(trace::process_environment, "llm-d-epp"));
  settings.resource.version = kVersion;
  return trace::Tracing::create(loop, std::move(settings));
}

extproc::ProgramOptions program_options(const PickerArguments& arguments, kube::Client* client,
                                        const Certificates& certificates, const trace::Tracer* tracer) {
  return {.grpc = {arguments.host, arguments.grpc_port},
          .health = {arguments.host, arguments.health_port},
          .metrics = {arguments.host, arguments.metrics_port},
          .loops = arguments.loops,
          .tls = certificates.grpc,
          .metrics_tls = certificates.metrics,
          .max_message_bytes = arguments.max_message_bytes,
          .message_limit_flag = "--grpc-max-recv-msg-size",
          .health_on_grpc = arguments.health_checking,
          .version = std::string(kVersion),
          .leader_election = arguments.leader_election,
          .metrics_guard = guard_of(arguments, client),
          .service = {.destination_header = arguments.destination_header,
                      .destination_namespace = arguments.destination_namespace,
                      .skip_response_bodies = arguments.skip_response_bodies,
                      .stream_metrics = arguments.stream_metrics,
                      .tracer = tracer}};
}

}  // namespace llmd::cli
