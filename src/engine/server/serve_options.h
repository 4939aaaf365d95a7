// Everything `llmd serve` can be told. Names follow vLLM's flags; defaults are ours where a CPU needs others.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/core/scheduler.h"
#include "engine/server/fake_metrics.h"
#include "engine/server/served_model.h"
#include "engine/sim/options.h"

namespace llmd::engine {

struct LoraModule {
  std::string name;
  std::string path;
  std::string base_model_name;
};

struct ModelFlags {
  std::string model;  // a folder, a .gguf file, or org/name in the Hugging Face cache
  std::vector<std::string> served_names;
  std::string owned_by = "vllm";
  std::string tokenizer;      // another folder or file than the model's
  std::string chat_template;  // a file, or the template itself
  std::string chat_template_content_format = "auto";
  bool trust_request_chat_template = false;
  bool auto_tool_choice = false;
  std::string tool_parser;
  int max_model_len = 0;  // 0: what the model was trained for, as far as the cache allows
  int max_logprobs = 20;
  std::optional<std::uint64_t> seed;
  std::string generation_config = "auto";  // a folder, "auto" (the model's) or "vllm" (none)
  GenerationDefaults override_generation;
  int threads = 0;
};

struct CacheFlags {
  int block_size = 16;
  bool prefix_caching = true;
  int blocks = 0;                  // --num-gpu-blocks-override
  std::uint64_t memory_bytes = 0;  // 0: VLLM_CPU_KVCACHE_SPACE, or a part of the machine's memory
};

// --kv-events-config
struct KvEventFlags {
  bool enabled = false;
  std::string endpoint;         // empty: port 5557 where the server listens
  std::string replay_endpoint;  // empty: no replay
  std::string topic;            // empty: kv@ADDRESS:PORT@MODEL
  bool connect = false;         // whatever the endpoint looks like
  bool as_maps = false;         // vLLM's encoding from 0.24 on
  std::size_t buffer_steps = 10'000;
  int high_water_mark = 100'000;
  std::size_t max_queued = 100'000;
};

struct SchedulerFlags {
  int max_batched_tokens = 0;  // 0: chosen by time
  std::optional<int> max_num_seqs;
  int max_waiting = 1000;
  bool chunked_prefill = true;
  int long_prefill_threshold = 0;
  Policy policy = Policy::Fcfs;
  int stream_interval = 1;
};

struct LoraFlags {
  bool enabled = false;
  std::vector<LoraModule> modules;
  int max_loras = 1;
  int max_rank = 16;
};

struct HttpFlags {
  std::string host;  // empty: loopback, or every address inside a Kubernetes pod
  int port = 8000;   // 0: a free one
  std::string certificate;
  std::string key;
  std::string root_path;
  std::vector<std::string> api_keys;
  std::uint64_t max_body_bytes = 32U << 20;
  bool request_id_headers = false;
  bool prompt_tokens_details = false;
  bool force_include_usage = false;
  bool tokens_as_ids = false;
  bool access_log = true;
  std::vector<std::string> unlogged_paths;
  bool log_requests = false;
  bool log_stats = true;
  Duration shutdown_timeout = {};
};

struct ServeOptions {
  bool help = false;
  bool version = false;
  bool simulate = false;
  ModelFlags model;
  CacheFlags cache;
  KvEventFlags kv_events;
  SchedulerFlags scheduler;
  LoraFlags lora;
  HttpFlags http;
  sim::Options simulation;
  std::optional<FakeMetrics> fake_metrics;
  std::vector<std::string> warnings;  // about arguments without effect; to be logged once
};

}  // namespace llmd::engine
