// The servers of `llmd picker`: ext_proc, health, and one HTTP port for metrics and questions. The caller
// finds endpoints and updates the pools' pickers.
//
// ext_proc may run on several loops, each with a thread and a listener of its own on the same port;
// everything else stays on the loop given here.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "async/event_loop.h"
#include "extproc/metrics_guard.h"
#include "extproc/service.h"
#include "json/value.h"
#include "net/address.h"
#include "net/tls_options.h"

namespace llmd::extproc {

struct ProgramOptions {
  net::Address grpc{"0.0.0.0", 9002};
  net::Address health{"0.0.0.0", 9003};
  net::Address metrics{"0.0.0.0", 9090};
  int loops = 1;                                      // for ext_proc
  std::shared_ptr<const net::TlsServer> tls;          // of ext_proc; null: plaintext
  std::shared_ptr<const net::TlsServer> metrics_tls;  // of /metrics and /debug; null: plaintext
  std::size_t max_message_bytes = 64 * 1024 * 1024;
  std::string message_limit_flag = {};          // for whoever sends more; empty: not said
  bool health_on_grpc = false;                  // grpc.health.v1 on the ext_proc port, too
  std::string version;                          // of the metric llm_d_epp_info
  bool leader_election = false;                 // readiness needs leadership, liveness does not
  std::shared_ptr<MetricsGuard> metrics_guard;  // null: everybody may read /metrics
  ServiceOptions service;
};

class Program {
 public:
  // The registry must outlive the program.
  Program(async::EventLoop& loop, std::shared_ptr<const Pools> pools, metrics::Registry& registry,
          ProgramOptions options);
  ~Program();

  struct Addresses {
    net::Address grpc;
    net::Address health;
    net::Address metrics;
  };
  Result<Addresses> listen();
  Task<void> run();  // until cancelled, or drained

  // Health: endpoints are known (a pool has been found); this replica leads.
  void set_synced(bool synced);
  void set_leading(bool leading);
  // What /debug says about where endpoints come from, asked for on the loop. Empty: nothing.
  void set_source_state(std::function<json::Object()> state);
  // Says NOT_SERVING from now on, still serves for `notice`, so that proxies can go elsewhere, then lets what
  // runs finish until `deadline`.
  Task<void> drain(Duration notice, async::Deadline deadline);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The certificate of a picker that was given none: self-signed, made at start, for ten years.
Result<std::shared_ptr<net::TlsServer>> self_signed_tls(net::TlsServerPolicy policy = {});
// DIRECTORY/tls.crt and tls.key.
Result<std::shared_ptr<net::TlsServer>> tls_from_directory(const std::filesystem::path& directory,
                                                           net::TlsServerPolicy policy = {});
// Reloads when the files change; what cannot be read leaves the old certificate. Until cancelled.
Task<void> watch_certificate(std::shared_ptr<net::TlsServer> tls, std::filesystem::path directory);

}  // namespace llmd::extproc
