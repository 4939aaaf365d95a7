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

Result<Duration> duration_of(std::string_view flag, std::string_view text) {
  auto duration = parse_duration(text);
  return duration ? duration : std::unexpected(std::move(duration).error().within(flag));
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
    LLMD_TRY(const Duration interval, duration_of("refresh-metrics-interval", texts.refresh_interval));
    out.refresh_interval = std::max(interval, out.refresh_interval);
  }
  if (!texts.drain_timeout.empty()) {
    LLMD_TRY(out.drain_timeout, duration_of("drain-timeout", texts.drain_timeout));
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

void describe_sources(Options& line, PickerArguments& out, Texts& texts) {
  line.add("--config-file,--config", out.config_file,
           "EndpointPickerConfig, YAML or JSON; without one: queue, KV cache and prefix scorers");
  line.add("--config-text", out.config_text, "the same, as text instead of a file");
  line.add("--pool-name", texts.pools, "InferencePool to serve, or several with commas (POOL_NAME)");
  line.add("--pool-namespace", out.pool_namespace,
           "namespace of the pools (POOL_NAMESPACE, NAMESPACE, or default)");
  line.add("--pool-group", out.pool_group, "API group of the pools");
  line.add("--endpoint-selector", out.endpoint_selector,
           "labels of pods, as in app=vllm,role=decode; instead of a pool");
  line.add("--endpoint-target-ports", texts.ports, "ports of these pods, with commas");
  line.add("--kubeconfig", out.kubeconfig,
           "file that says how to reach Kubernetes from outside (KUBECONFIG)");
  line.add("--endpoints-file", out.endpoints_file,
           "list of endpoints, read again when it changes: no Kubernetes; overrides file-discovery");
  line.add("--objects-file", out.objects_file,
           "InferenceObjective and InferenceModelRewrite objects, with --endpoints-file");
  line.add(
      "--replay", out.replay_file,
      "decide once more what /debug/explanations wrote to this file, as it was or with --config; then end");
  line.add("-o,--output,--o", out.output, "how --replay prints (table)").one_of({"table", "json"});
}

void describe_listeners(Options& line, PickerArguments& out, Texts& texts) {
  line.add("--host", out.host, "IP address to listen on");
  line.add("--grpc-port", out.grpc_port, "port of ext_proc; 0 takes a free one");
  line.add("--grpc-health-port", out.health_port, "port of grpc.health.v1; 0 takes a free one");
  line.add("--metrics-port", out.metrics_port, "port of /metrics and /debug; 0 takes a free one");
  line.add("--loops", out.loops, "event loops of ext_proc, each a thread").between(1, 256);
  line.add("--health-checking", out.health_checking, "grpc.health.v1 on the port of ext_proc, too");
  line.add("--grpc-max-recv-msg-size", texts.message_bytes,
           "largest message of a proxy, as in 8Mi or 1000000 bytes (64Mi)");
  line.add("--drain-timeout", texts.drain_timeout,
           "how long ext_proc serves on after SIGTERM, while probes hear NOT_SERVING (30s)");
  line.add("--secure-serving", out.secure_serving, "TLS for ext_proc; on, unless --secure-serving=false");
  line.add("--cert-path", out.cert_path,
           "folder with tls.crt and tls.key for ext_proc; without it self-signed");
  line.add("--enable-cert-reload", out.cert_reload, "read --cert-path again when it changes");
  line.add("--tls-min-version", out.tls_min_version, "VersionTLS10 to VersionTLS13 (VersionTLS12)");
  line.add("--tls-cipher-suites", out.tls_cipher_suites, "for TLS 1.2 and older: IANA's names, with commas");
  line.add("--metrics-cert-dir", out.metrics_cert_dir,
           "folder with tls.crt and tls.key: HTTPS on the metrics port");
  line.add("--metrics-client-ca-file", out.metrics_client_ca_file,
           "certificates (PEM): readers of /metrics must show one that these signed");
  line.add(
      "--metrics-endpoint-auth", texts.metrics_auth,
      "true or false: /metrics for tokens that Kubernetes lets read it, without Kubernetes for this machine "
      "(true with Kubernetes)");
  line.add("--enable-grpc-stream-metrics", texts.stream_metrics,
           "true or false: the series llm_d_epp_extproc_* (false)");
}

void describe_decisions(Options& line, PickerArguments& out, Texts& texts) {
  line.add("--ha-enable-leader-election", out.leader_election,
           "several replicas: the one that holds the Lease is ready, the others wait");
  line.add("--disable-endpoint-subset-filter", out.subset_filter_disabled,
           "ignore the endpoints that a proxy limits the choice to");
  line.add("--allow-experimental-plugins", out.experimental, "alpha plugins may be configured");
  line.add("--emit-endpoint-scores", out.emit_scores, "tell the proxy all scores, as dynamic metadata");
  line.add("--skip-response-bodies", out.skip_response_bodies,
           "ask STREAMED proxies to keep answers to themselves: cheaper, but no token metrics");
  line.add("--shed-with-503", out.compatible_shedding, "answer 503 instead of 429 to requests that are shed");
  line.add("--refresh-metrics-interval", texts.refresh_interval,
           "how often busy endpoints are asked for metrics, at least 50ms (50ms)");
  line.add("--destination-endpoint-hint-key", out.destination_header, "header that names the endpoint");
  line.add("--destination-endpoint-hint-metadata-namespace", out.destination_namespace,
           "namespace of the same in dynamic metadata");
  line.add("--tracing", texts.tracing,
           "true or false: spans, where OTEL_TRACES_EXPORTER names an exporter (true)");
  line.add("-v,--v", out.verbosity, "log verbosity: 4 and more is debugging, below 0 errors only");
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
    const bool names =
        (dashes == 1 || dashes == 2) && std::isalpha(static_cast<unsigned char>(argument[dashes])) != 0;
    if (!names || argument == "-h") {
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
  line.let_last_win();
  describe_sources(line, out, texts);
  describe_listeners(line, out, texts);
  describe_decisions(line, out, texts);
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
