#include "cli/picker_options.h"

#include <cctype>
#include <cstdlib>

#include "base/clock.h"
#include "base/strings.h"
#include "cli/options.h"
#include "cli/picker_upstream_flags.h"

namespace llmd::cli {
namespace {

// Go's bool flags need "=", but a following word "true" or "false" must not become a stray argument.
bool is_boolean(std::string_view name) {
  static constexpr std::string_view kNames[] = {"--tracing",
                                                "--enable-pprof",
                                                "--metrics-endpoint-auth",
                                                "--zap-devel",
                                                "--grpc-enable-compression",
                                                "--enable-grpc-stream-metrics",
                                                "--model-server-metrics-https-insecure-skip-verify"};
  for (const std::string_view each : kNames) {
    if (each == name) {
      return true;
    }
  }
  return false;
}

std::string kebab(std::string_view name) {
  std::string out;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (c == '_') {
      out += '-';
    } else if (std::isupper(static_cast<unsigned char>(c)) != 0) {
      const bool starts_word = i > 0 && name[i - 1] != '-' && name[i - 1] != '_' &&
                               std::isupper(static_cast<unsigned char>(name[i - 1])) == 0;
      out += starts_word ? "-" : "";
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else {
      out += c;
    }
  }
  return out;
}

// "64Mi", "100MB", "4194304".
Result<std::size_t> parse_bytes(std::string_view text) {
  const auto end = text.find_first_not_of("0123456789");
  const auto number = parse_integer(text.substr(0, end));
  std::string_view unit = end == std::string_view::npos ? "" : text.substr(end);
  if (unit.ends_with('B') || unit.ends_with('b')) {
    unit.remove_suffix(1);
  }
  static constexpr std::pair<std::string_view, std::size_t> kUnits[] = {{"", 1},
                                                                        {"k", 1000},
                                                                        {"K", 1000},
                                                                        {"M", 1'000'000},
                                                                        {"G", 1'000'000'000},
                                                                        {"Ki", 1 << 10},
                                                                        {"Mi", 1 << 20},
                                                                        {"Gi", std::size_t{1} << 30}};
  for (const auto& [name, factor] : kUnits) {
    if (name == unit && number && *number >= 0) {
      return static_cast<std::size_t>(*number) * factor;
    }
  }
  return invalid_argument("grpc-max-recv-msg-size: expected a size such as 64Mi, got '{}'", text);
}

struct Texts {
  std::string ports, pools, refresh_interval, drain_timeout, message_bytes, metrics_auth, stream_metrics,
      tracing;
};

Result<void> read_texts(const Texts& texts, PickerArguments& out) {
  for (const std::string_view each : split(texts.ports, ',')) {
    const auto port = parse_integer(trim(each));
    if (texts.ports.empty()) {
      break;
    }
    if (!port || *port < 1 || *port > 65535) {
      return invalid_argument("endpoint-target-ports: '{}' is not a port", each);
    }
    out.endpoint_ports.push_back(static_cast<std::uint16_t>(*port));
  }
  for (const std::string_view each : split(texts.pools, ',')) {
    if (!trim(each).empty()) {
      out.pool_names.emplace_back(trim(each));
    }
  }
  if (!texts.metrics_auth.empty()) {
    LLMD_TRY(out.metrics_auth, parse_switch("metrics-endpoint-auth", texts.metrics_auth));
  }
  if (!texts.stream_metrics.empty()) {
    LLMD_TRY(out.stream_metrics, parse_switch("enable-grpc-stream-metrics", texts.stream_metrics));
  }
  if (!texts.tracing.empty()) {
    LLMD_TRY(out.tracing, parse_switch("tracing", texts.tracing));
  }
  if (!texts.refresh_interval.empty()) {
    LLMD_TRY(const Duration interval, parse_duration(texts.refresh_interval));
    out.refresh_interval = std::max(interval, out.refresh_interval);
  }
  if (!texts.drain_timeout.empty()) {
    LLMD_TRY(out.drain_timeout, parse_duration(texts.drain_timeout));
  }
  if (!texts.message_bytes.empty()) {
    LLMD_TRY(const std::size_t bytes, parse_bytes(texts.message_bytes));
    out.max_message_bytes = bytes == 0 ? out.max_message_bytes : bytes;
  }
  return {};
}

Result<void> check_metrics_tls(const PickerArguments& arguments) {
  if (!arguments.metrics_client_ca_file.empty() && arguments.metrics_cert_dir.empty()) {
    return invalid_argument("metrics-client-ca-file needs metrics-cert-dir");
  }
  if (!arguments.metrics_cert_dir.empty() && arguments.metrics_client_ca_file.empty() &&
      !arguments.metrics_auth.value_or(true)) {
    return invalid_argument("metrics-cert-dir needs metrics-endpoint-auth or metrics-client-ca-file");
  }
  return {};
}

void apply_environment(PickerArguments& out) {
  const auto fill = [](std::string& value, const char* name) {
    const char* set = std::getenv(name);
    if (value.empty() && set != nullptr) {
      value = set;
    }
  };
  if (const char* set = std::getenv("POOL_NAME"); out.pool_names.empty() && set != nullptr && *set != '\0') {
    out.pool_names = {set};
  }
  fill(out.pool_namespace, "POOL_NAMESPACE");
  fill(out.pool_namespace, "NAMESPACE");
  if (out.pool_namespace.empty()) {
    out.pool_namespace = "default";
  }
}

void describe(Options& line, PickerArguments& out, Texts& texts) {
  line.add("--config-file,--config", out.config_file, "EndpointPickerConfig");
  line.add("--config-text", out.config_text, "the same, as text");
  line.add("--endpoints-file", out.endpoints_file,
           "endpoints without Kubernetes; overrides the configuration's");
  line.add("--replay", out.replay_file,
           "decide again what /debug/explanations wrote to this file, with --config or as it was, and end");
  line.add("-o,--o,--output", out.output, "of --replay: table or json").one_of({"table", "json"});
  line.add("--objects-file", out.objects_file,
           "InferenceObjective and InferenceModelRewrite objects without Kubernetes");
  line.add("--host", out.host, "address to listen on");
  line.add("--grpc-port", out.grpc_port, "ext_proc; 0 takes a free port");
  line.add("--grpc-health-port", out.health_port, "grpc.health.v1");
  line.add("--metrics-port", out.metrics_port, "/metrics, /debug");
  line.add("--loops", out.loops, "event loops for ext_proc, each with a thread").between(1, 256);
  line.add("--pool-name", texts.pools, "InferencePool to serve, or several with commas");
  line.add("--pool-namespace", out.pool_namespace, "its namespace (NAMESPACE, or default)");
  line.add("--pool-group", out.pool_group, "its API group");
  line.add("--endpoint-selector", out.endpoint_selector, "labels of pods, instead of a pool");
  line.add("--endpoint-target-ports", texts.ports, "their ports, with commas");
  line.add("--kubeconfig", out.kubeconfig, "how to reach Kubernetes from outside of it");
  line.add("--secure-serving", out.secure_serving, "TLS for ext_proc");
  line.add("--cert-path", out.cert_path, "folder with tls.crt and tls.key; self-signed without");
  line.add("--enable-cert-reload", out.cert_reload, "notice changed certificates");
  line.add("--tls-min-version", out.tls_min_version, "VersionTLS10 to VersionTLS13 (VersionTLS12)");
  line.add("--tls-cipher-suites", out.tls_cipher_suites, "for TLS 1.2 and older, IANA's names with commas");
  line.add("--metrics-cert-dir", out.metrics_cert_dir, "folder with tls.crt and tls.key for /metrics");
  line.add("--metrics-client-ca-file", out.metrics_client_ca_file,
           "readers of /metrics show a certificate that one of these has signed");
  line.add("--ha-enable-leader-election", out.leader_election, "one of several replicas is ready");
  line.add("--health-checking", out.health_checking, "grpc.health.v1 on the ext_proc port, too");
  line.add("--disable-endpoint-subset-filter", out.subset_filter_disabled, "ignore the proxy's subset hint");
  line.add("--allow-experimental-plugins", out.experimental, "alpha plugins may be configured");
  line.add("--emit-endpoint-scores", out.emit_scores, "scores as dynamic metadata");
  line.add("--skip-response-bodies", out.skip_response_bodies,
           "ask STREAMED proxies to keep answers to themselves; no token metrics then");
  line.add("--metrics-endpoint-auth", texts.metrics_auth,
           "/metrics for reviewed tokens only (true with Kubernetes); without it: for this machine only");
  line.add("--enable-grpc-stream-metrics", texts.stream_metrics, "extproc_* series");
  line.add("--tracing", texts.tracing, "spans, where OTEL_TRACES_EXPORTER says to (true)");
  line.add("--shed-with-503", out.compatible_shedding, "503 instead of 429 for requests that are shed");
  line.add("--refresh-metrics-interval", texts.refresh_interval, "how often busy endpoints are asked (50ms)");
  line.add("--drain-timeout", texts.drain_timeout, "serving on after SIGTERM, so that proxies notice (30s)");
  line.add("--grpc-max-recv-msg-size", texts.message_bytes, "largest message (64Mi)");
  line.add("--destination-endpoint-hint-key", out.destination_header, "header that names the endpoint");
  line.add("--destination-endpoint-hint-metadata-namespace", out.destination_namespace,
           "its namespace in dynamic metadata");
  line.add("-v,--v", out.verbosity, "log verbosity; 4 and more is debugging");
}

}  // namespace

Result<bool> parse_switch(std::string_view flag, std::string_view text) {
  for (const auto& [word, value] :
       {std::pair("true", true), {"t", true}, {"1", true}, {"false", false}, {"f", false}, {"0", false}}) {
    if (equals_ignoring_case(text, word)) {
      return value;
    }
  }
  return invalid_argument("{}: expected true or false, got '{}'", flag, text);
}

std::vector<std::string> in_kebab_case(Arguments arguments) {
  std::vector<std::string> out;
  for (const std::string& argument : arguments) {
    const auto dashes = argument.find_first_not_of('-');
    if (dashes == 0 || dashes == std::string::npos || dashes > 2) {
      out.push_back(argument);
      continue;
    }
    const auto equals = argument.find('=');
    std::string name = "--" + kebab(std::string_view(argument).substr(dashes, equals - dashes));
    if (equals != std::string::npos) {
      name += argument.substr(equals);
    } else if (is_boolean(name)) {
      name += "=true";
    }
    out.push_back(std::move(name));
  }
  return out;
}

Result<std::optional<PickerArguments>> parse_picker_arguments(Arguments arguments) {
  PickerArguments out;
  Texts texts;
  UpstreamFlags upstream;
  Options line("llmd picker", "The endpoint picker behind Envoy and other proxies that speak ext_proc.");
  describe(line, out, texts);
  upstream.add_to(line);
  const auto words = in_kebab_case(arguments);
  LLMD_TRY(const bool go_on, line.parse(words));
  if (!go_on) {
    return std::nullopt;
  }
  LLMD_TRY_VOID(read_texts(texts, out));
  if (!out.config_file.empty() && !out.config_text.empty()) {
    return invalid_argument("--config-file and --config-text exclude each other");
  }
  LLMD_TRY_VOID(check_metrics_tls(out));
  LLMD_TRY_VOID(upstream.apply(out));
  apply_environment(out);
  return out;
}

}  // namespace llmd::cli
