// A whole model server inside one process: port, model, engine, and their order of coming and going. `llmd
// serve` runs one; tests run many.
#pragma once

#include <memory>

#include "async/event.h"
#include "async/scope.h"
#include "engine/server/context.h"
#include "engine/server/kv_events.h"
#include "engine/server/serve_options.h"
#include "http/server.h"

namespace llmd::engine {

// The vLLM version whose flags and answers these are; scripts choose flags by it. LLMD_VLLM_VERSION overrides
// it.
std::string reported_version();

class Service {
 public:
  Service(async::EventLoop& loop, ServeOptions options);
  ~Service();

  // Binds the port; nobody is answered before run().
  Result<net::Address> listen();
  // Answers 503 while the model loads, then serves, until stop() (success), a failed start or the engine's
  // death (an error). Running requests get --shutdown-timeout to finish.
  Task<Result<void>> run();
  void stop();
  // True once requests are answered; false when the start has failed.
  Task<bool> ready();
  // Once ready: where KV events are published, or null.
  const KvEvents* kv_events() const;

 private:
  Task<void> start(async::Scope& scope);
  Task<Result<void>> start_engine(async::Scope& scope);
  Result<void> open_kv_events();
  Task<Result<void>> start_real();
  Task<Result<void>> start_simulated(async::Scope& scope);
  Task<Result<void>> load_static_adapters();
  Task<void> log_throughput();
  Task<void> watch_engine();
  void fail(Error error);

  async::EventLoop& loop_;
  const ServeOptions options_;
  Context context_;
  struct Owned;
  std::unique_ptr<Owned> owned_;  // what the context points to
  std::unique_ptr<http::Server> server_;
  int port_ = 0;
  async::Event started_;  // or failed
  async::Event ending_;
  std::optional<Error> failure_;
  const std::shared_ptr<int> alive_ = std::make_shared<int>();  // for what is posted from the engine's thread
};

}  // namespace llmd::engine
