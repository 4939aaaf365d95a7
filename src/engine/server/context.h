// What the handlers of one server share. One loop; everything here is touched on its thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "async/event_loop.h"
#include "async/worker.h"
#include "engine/core/generation.h"
#include "engine/server/adapters.h"
#include "engine/server/http_metrics.h"
#include "engine/server/served_model.h"
#include "http/server.h"
#include "metrics/registry.h"

namespace llmd::engine {

struct ServerSettings {
  std::string version;                // of GET /version
  std::string root_path;              // a prefix a proxy leaves in front of every path
  std::vector<std::string> api_keys;  // empty: everybody may
  bool request_id_headers = false;
  bool prompt_tokens_details = false;
  bool force_include_usage = false;
  bool tokens_as_ids = false;
  bool runtime_lora = false;  // POST /v1/load_lora_adapter exists
  bool dev_mode = false;      // POST /reset_prefix_cache exists
  bool lora = false;
  int max_lora_rank = 16;
  int stream_interval = 1;
  bool access_log = true;
  std::vector<std::string> unlogged_paths;
  bool log_requests = false;
  std::vector<std::pair<std::string, std::string>> headers;  // on every answer
};

struct Context {
  async::EventLoop& loop;
  ServerSettings settings;
  metrics::Registry registry;
  HttpMetrics http_metrics{registry};
  async::Worker worker{"engine-io"};  // tokenises long prompts, reads adapters
  AdapterRegistry adapters;
  bool simulated = false;
  std::function<std::optional<ApiError>()> failure;  // simulation: what the next generation fails with

  // Null until the model is loaded.
  std::shared_ptr<const ServedModel> model;
  Engine* engine = nullptr;
};

}  // namespace llmd::engine
