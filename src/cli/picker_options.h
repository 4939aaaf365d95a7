// The flags of `llmd picker`: those of llm-d's endpoint picker in every spelling of its history (--pool-name,
// --poolName, -pool_name), and a few of our own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cli/command.h"
#include "json/value.h"

namespace llmd::cli {

struct PickerArguments {
  std::string config_file;
  std::string config_text;
  std::string endpoints_file;
  std::string objects_file;  // InferenceObjective, InferenceModelRewrite
  std::string replay_file;   // decide what stands there again, instead of serving
  std::string output;        // of the replay: empty, table or json

  std::string host = "0.0.0.0";
  std::uint16_t grpc_port = 9002;
  std::uint16_t health_port = 9003;
  std::uint16_t metrics_port = 9090;
  int loops = 1;

  std::vector<std::string> pool_names;
  std::string pool_namespace;
  std::string pool_group = "inference.networking.k8s.io";
  std::string endpoint_selector;
  std::vector<std::uint16_t> endpoint_ports;
  std::string kubeconfig;

  bool secure_serving = true;
  std::string cert_path;
  bool cert_reload = false;
  std::string metrics_cert_dir;        // empty: /metrics is plaintext
  std::string metrics_client_ca_file;  // empty: clients of /metrics show no certificate
  std::string tls_min_version;         // VersionTLS10 to VersionTLS13; empty: 12
  std::string tls_cipher_suites;       // with commas; empty: OpenSSL's choice
  bool leader_election = false;
  bool health_checking = false;
  bool subset_filter_disabled = false;
  bool experimental = false;
  bool emit_scores = false;
  bool skip_response_bodies = false;
  bool compatible_shedding = false;
  bool stream_metrics = false;
  std::optional<bool> metrics_auth;  // absent: with Kubernetes only
  std::optional<bool> tracing;       // absent: where OTEL_TRACES_EXPORTER names an exporter
  Duration refresh_interval = std::chrono::milliseconds(50);
  Duration drain_timeout = std::chrono::seconds(30);
  std::size_t max_message_bytes = 64 * 1024 * 1024;
  std::string destination_header = "x-gateway-destination-endpoint";
  std::string destination_namespace = "envoy.lb";
  int verbosity = 2;  // 4 and more: debugging; below 0: errors only
  // What flags say about the metrics of engines, as parameters of the plugins that read them.
  json::Object metrics_source;
  json::Object metrics_extractor;
};

// nullopt: help has been printed.
Result<std::optional<PickerArguments>> parse_picker_arguments(Arguments arguments);

// As Go reads booleans; `flag` is for the message.
Result<bool> parse_switch(std::string_view flag, std::string_view text);

// "-poolName=x" and "--pool_name=x" as "--pool-name=x"; everything else as it is. For tests.
std::vector<std::string> in_kebab_case(Arguments arguments);

}  // namespace llmd::cli
