// Flags of llm-d's endpoint picker that another one, or the configuration, says better here, and those of
// which nothing is left: every one is accepted, and one that changes nothing says so when it is used.
#pragma once

#include <string>

#include "cli/options.h"
#include "cli/picker_options.h"

namespace llmd::cli {

class UpstreamFlags {
 public:
  void add_to(Options& options);
  // After parsing. Warns about what has no effect.
  Result<void> apply(PickerArguments& into) const;

 private:
  Result<void> apply_scraping(PickerArguments& into) const;
  void apply_metric_names(PickerArguments& into) const;
  void warn() const;

  static constexpr const char* kLora = "vllm:lora_requests_info";  // the default, told from "": none
  std::string zap_level_;
  std::string scheme_, path_, port_, insecure_;
  std::string queued_, running_, kv_usage_, cache_;
  std::string lora_ = kLora;
  std::string zap_devel_, zap_encoder_, zap_stacktrace_, zap_time_;
  std::string refresh_, staleness_, pprof_, send_size_, compression_, fairness_limit_;
};

}  // namespace llmd::cli
