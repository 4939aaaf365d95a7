// Finds a handful of numbers in an engine's metrics page, without understanding the rest: one pass over the
// lines, of which only those that begin with a wanted name are read.
//
// A server with several engines has several series of a name: requests are summed, cache usage is the
// highest. Adapters are taken from the series with the greatest value, which vLLM sets to its creation time.
//
// An exporter of a whole machine names the pod that a series is of; those of other pods are passed over where
// the mapping says so.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "picker/endpoint.h"

namespace llmd::picker {

// name{label=value,label2="value"}: a series with at least these labels, none of them empty. Empty text:
// nothing.
struct MetricSpec {
  std::string name;
  std::vector<std::pair<std::string, std::string>> labels;
  static Result<MetricSpec> parse(std::string_view text);
};

// How one kind of engine names what we want.
struct EngineMapping {
  std::string engine;
  std::vector<MetricSpec> queued;
  std::vector<MetricSpec> running;
  std::vector<MetricSpec> kv_usage;
  MetricSpec lora;
  MetricSpec cache_info;  // carries block size and count as labels…
  std::string block_size_label;
  std::string num_blocks_label;
  MetricSpec block_size;  // …or they are numbers of their own
  MetricSpec num_blocks;
  std::vector<std::pair<std::size_t, MetricSpec>> custom;  // by slot of EndpointState::custom
  float custom_scale = 1;                                  // what custom numbers are multiplied with
  bool of_pod = false;  // series whose label "pod" names another pod are none of ours
};

// vllm, sglang, atom, trtllm-serve, triton-tensorrt-llm, triton, llamacpp.
const std::vector<EngineMapping>& builtin_engines();

class MetricsScanner {
 public:
  explicit MetricsScanner(EngineMapping mapping);
  const std::string& engine() const { return mapping_.engine; }
  // "name[]=a&name[]=b", percent-encoded: asks an exporter for what is wanted and no more. Empty: nothing is,
  // or a name is none that can be asked for.
  const std::string& query() const { return query_; }
  // What is not on the page stays absent. Lines that are none are passed over. `pod`: the endpoint's; empty:
  // any.
  EngineReport scan(std::string_view page, std::string_view pod = {}) const;
  // The same while the page arrives, in pieces of any size; keeps no more of it than a line.
  class Pass;

 private:
  enum class Use { Sum, Highest, Adapters, CacheInfo, Last };
  struct Wanted {
    MetricSpec spec;
    Use use = Use::Sum;
    float EngineReport::* field = nullptr;  // null: custom
    std::size_t slot = 0;
  };
  struct Found {
    double adapters_at = -1;
    std::string_view pod = {};
  };
  void find_common_beginning();
  void make_query();
  void want(const MetricSpec& spec, Use use, float EngineReport::* field, std::size_t slot = 0);
  void line(std::string_view line, EngineReport& report, Found& found) const;
  void take(const Wanted& wanted, std::string_view rest, EngineReport& report, Found& found) const;

  EngineMapping mapping_;
  std::vector<Wanted> wanted_;
  std::string query_;
  // Most lines are told apart from wanted ones by one letter: the one behind what all wanted names begin
  // with.
  std::size_t common_ = 0;
  std::array<bool, 256> behind_common_{};
};

class MetricsScanner::Pass {
 public:
  // `pod` outlives it.
  explicit Pass(const MetricsScanner& scanner, std::string_view pod = {})
      : scanner_(scanner), found_{.pod = pod} {}
  void feed(std::string_view bytes);
  EngineReport finish();

 private:
  const MetricsScanner& scanner_;
  EngineReport report_;
  Found found_;
  std::string begun_;      // a line whose end has not come
  bool too_long_ = false;  // that line is none of ours
};

}  // namespace llmd::picker
