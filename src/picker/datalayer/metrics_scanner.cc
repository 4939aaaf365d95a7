#include "picker/datalayer/metrics_scanner.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <set>

#include "base/strings.h"

namespace llmd::picker {
namespace {

// Views into a line, or into what had to be rewritten of it.
struct Labels {
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  std::deque<std::string> unescaped;
};

constexpr std::size_t kLongestLine = 64 * 1024;
constexpr double kLargestNumber = 1e30;  // so that sums of a page's numbers are still numbers

std::string without_escapes(std::string_view quoted) {
  std::string plain;
  for (std::size_t at = 0; at < quoted.size(); ++at) {
    at += quoted[at] == '\\' && at + 1 < quoted.size() ? 1 : 0;
    plain += quoted[at];
  }
  return plain;
}

// Reads {a="x",b=y} from the beginning of `text`, which is cut by what was read. False: malformed.
bool read_labels(std::string_view& text, Labels& labels) {
  labels.pairs.clear();
  labels.unescaped.clear();
  if (!text.starts_with('{')) {
    return true;
  }
  text.remove_prefix(1);
  while (true) {
    while (text.starts_with(' ') || text.starts_with(',')) {
      text.remove_prefix(1);
    }
    if (text.starts_with('}')) {
      text.remove_prefix(1);
      return true;
    }
    const auto equals = text.find('=');
    if (equals == std::string_view::npos) {
      return false;
    }
    auto& [name, value] = labels.pairs.emplace_back(trim(text.substr(0, equals)), "");
    text.remove_prefix(equals + 1);
    while (text.starts_with(' ')) {
      text.remove_prefix(1);
    }
    if (!text.starts_with('"')) {
      const auto end = text.find_first_of(",}");
      if (end == std::string_view::npos) {
        return false;
      }
      value = trim(text.substr(0, end));
      text.remove_prefix(end);
      continue;
    }
    std::size_t at = 1;
    bool is_escaped = false;
    for (; at < text.size() && text[at] != '"'; ++at) {
      const bool escapes = text[at] == '\\' && at + 1 < text.size();
      is_escaped = is_escaped || escapes;
      at += escapes ? 1 : 0;
    }
    if (at >= text.size()) {
      return false;
    }
    value = text.substr(1, at - 1);
    if (is_escaped) {
      value = labels.unescaped.emplace_back(without_escapes(value));
    }
    text.remove_prefix(at + 1);
  }
}

std::string_view label(const Labels& labels, std::string_view name) {
  for (const auto& [key, value] : labels.pairs) {
    if (key == name) {
      return value;
    }
  }
  return {};
}

bool has_all(const Labels& labels, const MetricSpec& spec) {
  for (const auto& [name, value] : spec.labels) {
    if (label(labels, name) != value) {
      return false;
    }
  }
  return true;
}

std::vector<std::string> names_in(std::string_view list) {
  std::vector<std::string> names;
  for (const std::string_view part : split(list, ',')) {
    if (const std::string_view name = trim(part); !name.empty()) {
      names.emplace_back(name);
    }
  }
  return names;
}

void set_if_number(float& into, std::string_view text) {
  if (const auto number = parse_number(text)) {
    into = static_cast<float>(*number);
  }
}

bool has_empty_part(const MetricSpec& spec) {
  return spec.name.empty() || std::ranges::any_of(spec.labels, [](const auto& each) {
           return each.first.empty() || each.second.empty();
         });
}

// Another pod's, by its label; without one nobody else's.
bool is_foreign(const Labels& labels, std::string_view pod) {
  const std::string_view named = label(labels, "pod");
  return !pod.empty() && !named.empty() && named != pod;
}

MetricSpec spec(std::string_view text) {
  return MetricSpec::parse(text).value();
}

}  // namespace

Result<MetricSpec> MetricSpec::parse(std::string_view text) {
  MetricSpec spec;
  text = trim(text);
  const auto brace = text.find('{');
  spec.name = trim(text.substr(0, brace));
  std::string_view labels = text.substr(std::min(brace, text.size()));
  Labels read;
  const bool is_well_formed = read_labels(labels, read);
  spec.labels.assign(read.pairs.begin(), read.pairs.end());
  const bool is_selector = is_well_formed && trim(labels).empty() && !has_empty_part(spec) &&
                           spec.name.find_first_of(" =,}\"") == std::string::npos;
  if (!text.empty() && !is_selector) {
    return invalid_argument("\"{}\" is no metric selector; expected name{{label=value,…}}", text);
  }
  return spec;
}

const std::vector<EngineMapping>& builtin_engines() {
  static const std::vector<EngineMapping> engines = {
      {.engine = "vllm",
       .queued = {spec("vllm:num_requests_waiting")},
       .running = {spec("vllm:num_requests_running")},
       .kv_usage = {spec("vllm:kv_cache_usage_perc"), spec("vllm:gpu_cache_usage_perc")},
       .lora = spec("vllm:lora_requests_info"),
       .cache_info = spec("vllm:cache_config_info"),
       .block_size_label = "block_size",
       .num_blocks_label = "num_gpu_blocks"},
      {.engine = "sglang",
       .queued = {spec("sglang:num_queue_reqs")},
       .running = {spec("sglang:num_running_reqs")},
       .kv_usage = {spec("sglang:token_usage")},
       .cache_info = spec("sglang:cache_config_info"),
       .block_size_label = "page_size",
       .num_blocks_label = "num_pages",
       .block_size = spec("sglang:page_size"),
       .num_blocks = spec("sglang:num_pages")},
      {.engine = "atom",
       .queued = {spec("atom:requests_waiting")},
       .running = {spec("atom:requests_running")},
       .kv_usage = {spec("atom:kv_cache_usage_ratio")},
       .cache_info = spec("atom:cache_config_info"),
       .block_size_label = "block_size",
       .num_blocks_label = "num_gpu_blocks"},
      {.engine = "trtllm-serve",
       .queued = {spec("trtllm_num_requests_waiting")},
       .running = {spec("trtllm_num_requests_running")},
       .kv_usage = {spec("trtllm_kv_cache_utilization")},
       .block_size = spec("trtllm_kv_cache_tokens_per_block"),
       .num_blocks = spec("trtllm_kv_cache_max_blocks")},
      {.engine = "triton-tensorrt-llm",
       .queued = {spec("nv_trt_llm_request_metrics{request_type=waiting}")},
       .running = {spec("nv_trt_llm_request_metrics{request_type=scheduled}")},
       .kv_usage = {spec("nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=fraction}")},
       .block_size = spec("nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=tokens_per}"),
       .num_blocks = spec("nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type=max}")},
      {.engine = "triton",
       .queued = {spec("nv_inference_pending_request_count")},
       .running = {spec("nv_inference_exec_count")}},
      {.engine = "llamacpp",
       .queued = {spec("llamacpp:requests_deferred")},
       .running = {spec("llamacpp:requests_processing")},
       .kv_usage = {spec("llamacpp:kv_cache_usage_ratio")}},
  };
  return engines;
}

MetricsScanner::MetricsScanner(EngineMapping mapping) : mapping_(std::move(mapping)) {
  for (const MetricSpec& queued : mapping_.queued) {
    want(queued, Use::Sum, &EngineReport::waiting);
  }
  for (const MetricSpec& running : mapping_.running) {
    want(running, Use::Sum, &EngineReport::running);
  }
  for (const MetricSpec& usage : mapping_.kv_usage) {
    want(usage, Use::Highest, &EngineReport::kv_usage);
  }
  want(mapping_.lora, Use::Adapters, nullptr);
  want(mapping_.cache_info, Use::CacheInfo, nullptr);
  want(mapping_.block_size, Use::Last, &EngineReport::block_tokens);
  want(mapping_.num_blocks, Use::Last, &EngineReport::blocks);
  for (const auto& [slot, custom] : mapping_.custom) {
    want(custom, Use::Highest, nullptr, slot);
  }
  find_common_beginning();
  make_query();
}

void MetricsScanner::want(const MetricSpec& spec, Use use, float EngineReport::* field, std::size_t slot) {
  if (!spec.name.empty()) {
    wanted_.push_back({spec, use, field, slot});
  }
}

void MetricsScanner::find_common_beginning() {
  if (wanted_.empty()) {
    return;
  }
  const std::string& first = wanted_.front().spec.name;
  common_ = first.size();
  for (const Wanted& wanted : wanted_) {
    const auto differ = std::ranges::mismatch(first, wanted.spec.name).in1;
    common_ = std::min(common_, static_cast<std::size_t>(differ - first.begin()));
  }
  for (const Wanted& wanted : wanted_) {
    const std::string& name = wanted.spec.name;
    for (const char next : name.size() > common_ ? std::string_view(name).substr(common_, 1) : "{ ") {
      behind_common_[static_cast<unsigned char>(next)] = true;
    }
  }
}

void MetricsScanner::make_query() {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:";
  std::set<std::string_view> names;
  for (const Wanted& wanted : wanted_) {
    if (wanted.spec.name.find_first_not_of(kLetters) != std::string::npos) {
      query_.clear();
      return;
    }
    if (names.insert(wanted.spec.name).second) {
      query_ += (query_.empty() ? "name%5B%5D=" : "&name%5B%5D=") + wanted.spec.name;
    }
  }
}

EngineReport MetricsScanner::scan(std::string_view page, std::string_view pod) const {
  Pass pass(*this, pod);
  pass.feed(page);
  return pass.finish();
}

void MetricsScanner::line(std::string_view line, EngineReport& report, Found& found) const {
  if (line.size() <= common_ || !behind_common_[static_cast<unsigned char>(line[common_])]) {
    return;
  }
  for (const Wanted& wanted : wanted_) {
    const std::size_t size = wanted.spec.name.size();
    if (line.size() > size && (line[size] == '{' || line[size] == ' ') &&
        std::memcmp(line.data(), wanted.spec.name.data(), size) == 0) {
      take(wanted, line.substr(size), report, found);
    }
  }
}

void MetricsScanner::Pass::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const void* newline = std::memchr(bytes.data(), '\n', bytes.size());
    if (newline == nullptr) {
      too_long_ = too_long_ || begun_.size() + bytes.size() > kLongestLine;
      begun_.append(too_long_ ? std::string_view() : bytes);
      return;
    }
    const auto length = static_cast<std::size_t>(static_cast<const char*>(newline) - bytes.data());
    const std::string_view line = bytes.substr(0, length);
    bytes.remove_prefix(length + 1);
    if (begun_.empty() && !too_long_) {
      scanner_.line(line, report_, found_);
      continue;
    }
    if (!too_long_) {
      begun_ += line;
      scanner_.line(begun_, report_, found_);
    }
    begun_.clear();
    too_long_ = false;
  }
}

EngineReport MetricsScanner::Pass::finish() {
  if (!too_long_) {
    scanner_.line(begun_, report_, found_);
  }
  return std::move(report_);
}

void MetricsScanner::take(const Wanted& wanted, std::string_view rest, EngineReport& report,
                          Found& found) const {
  static thread_local Labels labels;
  if (!read_labels(rest, labels) || !has_all(labels, wanted.spec) ||
      (mapping_.of_pod && is_foreign(labels, found.pod))) {
    return;
  }
  rest = trim(rest);
  const auto value = parse_number(rest.substr(0, rest.find(' ')));
  if (!value || !(std::abs(*value) <= kLargestNumber)) {
    return;
  }
  if (wanted.use == Use::CacheInfo) {
    set_if_number(report.block_tokens, label(labels, mapping_.block_size_label));
    set_if_number(report.blocks, label(labels, mapping_.num_blocks_label));
  } else if (wanted.use == Use::Adapters) {
    if (*value > found.adapters_at) {
      found.adapters_at = *value;
      Adapters adapters{names_in(label(labels, "running_lora_adapters")),
                        names_in(label(labels, "waiting_lora_adapters")), 0};
      adapters.limit = static_cast<int>(parse_integer(label(labels, "max_lora")).value_or(0));
      report.adapters = std::move(adapters);
    }
  } else {
    float& into = wanted.field != nullptr ? report.*wanted.field : report.custom[wanted.slot];
    const float number = static_cast<float>(*value) * (wanted.field != nullptr ? 1 : mapping_.custom_scale);
    if (std::isnan(into) || wanted.use == Use::Last) {
      into = number;
    } else {
      into = wanted.use == Use::Sum ? into + number : std::max(into, number);
    }
  }
}

}  // namespace llmd::picker
