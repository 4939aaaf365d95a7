// What a run found, as text for people and JSON for scripts.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "bench/load_run.h"
#include "bench/process_tree.h"

namespace llmd::bench {

struct Percentiles {
  double p50 = 0;
  double p90 = 0;
  double p99 = 0;
  double max = 0;
  double mean = 0;
};

struct ProcessReport {
  std::string name;
  std::int64_t pid = 0;
  int processes = 0;
  double cpu_ms = 0;
  double cpu_ms_per_request = 0;
  double cores = 0;  // CPU time over wall time
  std::uint64_t rss_bytes = 0;
  std::uint64_t pss_bytes = 0;
};

struct LoadReport {
  std::string url;
  std::string mode;  // "closed" or "open"
  std::uint64_t concurrency = 0;
  double rate = 0;  // asked for; 0 in the closed loop
  double seconds = 0;
  std::uint64_t requests = 0;  // that succeeded
  std::uint64_t failed = 0;
  double requests_per_second = 0;
  double events_per_second = 0;
  double events_per_request = 0;
  Percentiles first_token_ms;
  Percentiles latency_ms;
  Percentiles gap_ms;
  std::map<std::string, std::uint64_t> errors;
  std::map<std::string, std::string> error_examples;
  std::vector<ProcessReport> processes;
  double client_cpu_ms_per_request = 0;  // of the load generator itself
  double client_cores = 0;
};

struct Usage {
  std::vector<TreeUsage> trees;  // one per watched process
  Duration own{};
};

LoadReport make_report(const LoadOptions& options, const LoadResult& result, const Usage& before,
                       const Usage& after);
std::string to_text(const LoadReport& report);
std::string to_json(const LoadReport& report);

}  // namespace llmd::bench
