#include "picker/metrics/request_metrics.h"

#include <fmt/format.h>

#include <thread>
#include <unordered_map>

#include "picker/metrics/buckets.h"
#include "picker/metrics/tally.h"

namespace llmd::picker {
namespace {

constexpr std::size_t kMostNames = 1000;
constexpr std::size_t kMostSeries = 10'000;
constexpr std::size_t kMostCached = 10'000;  // shards that one thread finds without a lock
constexpr std::string_view kOther = "other";

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

std::uint64_t mix(std::uint64_t hash, std::uint64_t more) {
  return (hash ^ more) * 0x9e3779b97f4a7c15ULL + (hash >> 29);
}

std::uint64_t key_of(std::uint64_t owner, const Decision::Memory& memory) {
  const std::hash<std::string_view> hash;
  std::uint64_t key = mix(owner, hash(memory.model.view()));
  key = mix(key, hash(memory.target_model.view()));
  key = mix(key, hash(memory.fairness_id.view()));
  return mix(key, static_cast<std::uint64_t>(memory.priority) * 2 + (memory.stream ? 1 : 0));
}

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

struct RequestMetrics::Labels {
  std::string model;
  std::string target;
  std::string fairness;
  std::string priority;
  bool stream = false;

  void add_to(std::vector<metrics::Label>& labels, bool flows) const;
  std::string joined() const {
    return fmt::format("{}\x1f{}\x1f{}\x1f{}\x1f{}", model, target, fairness, priority, stream ? 1 : 0);
  }
};

struct RequestMetrics::Shard {
  Tally<std::uint64_t> began;
  Tally<std::uint64_t> ended;
  Distribution duration{buckets::kRequestSeconds};
  Distribution request_bytes{buckets::kRequestBytes};
  Distribution response_bytes{buckets::kAnswerBytes};
  Distribution prompt_tokens{buckets::kPromptTokens};
  Distribution answer_tokens{buckets::kAnswerTokens};
  Distribution cached_tokens{buckets::kPromptTokens};
  Distribution normalised{buckets::kNormalisedSeconds};
  Distribution first_token{buckets::kFirstTokenSeconds};
  Distribution per_token{buckets::kStreamTokenSeconds};
  Distribution gap{buckets::kStreamTokenSeconds};
};

struct RequestMetrics::Series {
  Labels labels;
  std::map<std::thread::id, std::unique_ptr<Shard>> shards;
};

struct RequestMetrics::Errors {
  Labels labels;
  std::string code;
  double count = 0;
};

namespace {

// A histogram on the page: which numbers, and the names of both eras.
template <typename Shard>
struct Shown {
  Distribution Shard::* numbers;
  std::string_view name;
  std::string_view older_name;  // empty: there was none
  std::string_view help;
  bool by_stream = false;  // a label tells streamed answers from others
  bool streams_only = false;
};

template <typename Shard>
constexpr std::array kShown = {
    Shown<Shard>{&Shard::duration, "llm_d_epp_request_duration_seconds",
                 "inference_objective_request_duration_seconds",
                 "From the request to the end of its answer."},
    Shown<Shard>{&Shard::request_bytes, "llm_d_epp_request_size_bytes", "inference_objective_request_sizes",
                 "Bytes of the request's body."},
    Shown<Shard>{&Shard::response_bytes, "llm_d_epp_response_size_bytes",
                 "inference_objective_response_sizes", "Bytes of the answer's body."},
    Shown<Shard>{&Shard::prompt_tokens, "llm_d_epp_request_input_tokens", "inference_objective_input_tokens",
                 "Tokens of the prompt, as the engine counted them."},
    Shown<Shard>{&Shard::answer_tokens, "llm_d_epp_request_output_tokens",
                 "inference_objective_output_tokens", "Tokens of the answer."},
    Shown<Shard>{&Shard::cached_tokens, "llm_d_epp_request_cached_tokens",
                 "inference_objective_prompt_cached_tokens",
                 "Tokens of the prompt that the engine had cached."},
    Shown<Shard>{&Shard::normalised, "llm_d_epp_request_ntpot_seconds",
                 "inference_objective_normalized_time_per_output_token_seconds",
                 "Duration divided by the number of output tokens."},
    Shown<Shard>{&Shard::first_token, "llm_d_epp_request_ttft_seconds",
                 "inference_objective_request_ttft_seconds",
                 "From the request to the first byte of its answer's body.", true},
    Shown<Shard>{&Shard::per_token, "llm_d_epp_request_streaming_tpot_seconds",
                 "inference_objective_request_tpot_seconds",
                 "Between two tokens of a stream, on average over the request.", false, true},
    Shown<Shard>{&Shard::gap, "llm_d_epp_request_streaming_itl_seconds", "",
                 "Between two pieces of a stream; one of 32 is measured.", false, true},
};

}  // namespace

RequestMetrics::RequestMetrics() : id_(next_id()) {}
RequestMetrics::~RequestMetrics() = default;

// Under the lock.
RequestMetrics::Labels RequestMetrics::bounded(std::string_view model, std::string_view target,
                                               std::string_view fairness, int priority) {
  const auto name = [](std::set<std::string, std::less<>>& names, std::string_view wanted) {
    const bool room = names.contains(wanted) || names.size() < kMostNames;
    return room ? *names.emplace(wanted).first : std::string(kOther);
  };
  return {name(models_, model), name(models_, target), name(fairness_ids_, fairness),
          std::to_string(priority), false};
}

void RequestMetrics::count_error(Labels labels, std::string_view code) {
  Errors& errors = errors_[labels.joined() + "\x1f" + std::string(code)];
  errors.labels = std::move(labels);
  errors.code = code;
  errors.count += 1;
}

void RequestMetrics::know_model(std::string_view model) {
  const std::lock_guard lock(mutex_);
  models_.emplace(model);
}

RequestMetrics::Shard& RequestMetrics::shard(const Decision::Memory& memory) {
  static thread_local std::unordered_map<std::uint64_t, Shard*> mine;
  const std::uint64_t key = key_of(id_, memory);
  if (const auto known = mine.find(key); known != mine.end()) {
    return *known->second;
  }
  const std::lock_guard lock(mutex_);
  Labels labels =
      bounded(memory.model.view(), memory.target_model.view(), memory.fairness_id.view(), memory.priority);
  labels.stream = memory.stream;
  std::string joined = labels.joined();
  if (series_.size() >= kMostSeries && !series_.contains(joined)) {
    labels = {std::string(kOther), std::string(kOther), std::string(kOther), "0", memory.stream};
    joined = labels.joined();
  }
  auto& all = series_[joined];
  if (!all) {
    all = std::make_unique<Series>(Series{std::move(labels), {}});
  }
  auto& own = all->shards[std::this_thread::get_id()];
  if (!own) {
    own = std::make_unique<Shard>();
  }
  if (mine.size() >= kMostCached) {
    mine.clear();  // the shards stay, and are found again
  }
  mine.emplace(key, own.get());
  return *own;
}

void RequestMetrics::began(const Decision::Memory& memory) {
  Shard& numbers = shard(memory);
  numbers.began.add(1);
  numbers.request_bytes.observe(static_cast<double>(memory.request_bytes));
}

void RequestMetrics::gap(const Decision::Memory& memory, Duration between) {
  shard(memory).gap.observe(seconds(between));
}

void RequestMetrics::ended(const Decision::Memory& memory, const Completion& completion, TimePoint now) {
  Shard& numbers = shard(memory);
  numbers.ended.add(1);
  if (completion.status != 200) {
    if (completion.cause == EndCause::Natural) {
      const std::lock_guard lock(mutex_);
      count_error(bounded(memory.model.view(), memory.target_model.view(), memory.fairness_id.view(),
                          memory.priority),
                  "ModelServerError");
    }
    return;
  }
  const double took = seconds(now - memory.received);
  const Usage& usage = completion.usage;
  const double tokens = static_cast<double>(usage.completion_tokens.value_or(0));
  numbers.duration.observe(took);
  numbers.response_bytes.observe(static_cast<double>(completion.response_bytes));
  if (usage.prompt_tokens) {
    numbers.prompt_tokens.observe(static_cast<double>(*usage.prompt_tokens));
    numbers.cached_tokens.observe(static_cast<double>(usage.cached_tokens.value_or(0)));
  }
  if (tokens > 0) {
    numbers.answer_tokens.observe(tokens);
    numbers.normalised.observe(took / tokens);
  }
  if (memory.first_token != TimePoint()) {
    numbers.first_token.observe(seconds(memory.first_token - memory.received));
    if (memory.stream && tokens > 1) {
      numbers.per_token.observe(seconds(now - memory.first_token) / (tokens - 1));
    }
  }
}

void RequestMetrics::refused(const Request& request, std::string_view code) {
  const std::lock_guard lock(mutex_);
  count_error(bounded(request.model, request.target(), request.fairness_id, request.priority), code);
}

void RequestMetrics::Labels::add_to(std::vector<metrics::Label>& labels, bool flows) const {
  labels.push_back({"model_name", model});
  labels.push_back({"target_model_name", target});
  if (flows) {
    labels.push_back({"fairness_id", fairness});
    labels.push_back({"priority", priority});
  }
}

void RequestMetrics::write_distributions(Page& page) const {
  using Sums = std::map<std::string, metrics::Histogram::Snapshot>;
  for (const auto& shown : kShown<Shard>) {
    Sums current;
    Sums older;
    std::span<const double> bounds;
    for (const auto& [key, one] : series_) {
      if (shown.streams_only && !one->labels.stream) {
        continue;
      }
      std::vector<metrics::Label> labels;
      one->labels.add_to(labels, false);
      auto& of_model = older[metrics::label_text(labels)];
      labels.clear();
      one->labels.add_to(labels, true);
      if (shown.by_stream) {
        labels.push_back({"streaming", one->labels.stream ? "true" : "false"});
      }
      auto& of_flow = current[metrics::label_text(labels)];
      for (const auto& [thread, shard] : one->shards) {
        const Distribution& numbers = (*shard).*shown.numbers;
        bounds = numbers.bounds();
        numbers.add_to(of_flow);
        numbers.add_to(of_model);
      }
    }
    for (const auto& [name, sums] : {std::pair(shown.name, &current), std::pair(shown.older_name, &older)}) {
      if (name.empty()) {
        continue;
      }
      page.announce(name, shown.help, metrics::Type::Histogram);
      for (auto& [labels, snapshot] : *sums) {
        page.histogram(name, shown.help, LabelText(labels), bounds, snapshot);
      }
    }
  }
}

void RequestMetrics::write_counts(Page& page) const {
  struct Counted {
    double total = 0;
    double running = 0;
  };
  std::map<std::string, Counted> flows;    // by all labels
  std::map<std::string, double> by_model;  // requests, the older labels
  std::map<std::string, double> running;   // the older label: the model alone
  for (const auto& [key, one] : series_) {
    std::vector<metrics::Label> labels;
    one->labels.add_to(labels, true);
    Counted& counted = flows[metrics::label_text(labels)];
    labels.clear();
    one->labels.add_to(labels, false);
    labels.push_back({"priority", one->labels.priority});
    double& total = by_model[metrics::label_text(labels)];
    const metrics::Label model[] = {{"model_name", one->labels.model}};
    double& at_work = running[metrics::label_text(model)];
    for (const auto& [thread, shard] : one->shards) {
      const auto began = static_cast<double>(shard->began.value());
      const double open = began - static_cast<double>(shard->ended.value());
      counted.total += began;
      counted.running += open;
      total += began;
      at_work += open;
    }
  }
  page.announce("llm_d_epp_request_total", "Requests that were given an endpoint.", metrics::Type::Counter);
  page.announce("llm_d_epp_request_running", "Requests that have not ended.", metrics::Type::Gauge);
  for (const auto& [labels, counted] : flows) {
    page.counter("llm_d_epp_request_total", "", LabelText(labels), counted.total);
    page.gauge("llm_d_epp_request_running", "", LabelText(labels), counted.running);
  }
  for (const auto& [labels, total] : by_model) {
    page.counter("inference_objective_request_total", "Requests that were given an endpoint.",
                 LabelText(labels), total);
  }
  for (const auto& [labels, open] : running) {
    page.gauge("inference_objective_running_requests", "Requests that have not ended.", LabelText(labels),
               open);
  }
}

void RequestMetrics::write_errors(Page& page) const {
  constexpr std::string_view kHelp = "Requests that were refused, or that the engine answered with an error.";
  std::map<std::string, double> current;
  std::map<std::string, double> older;
  for (const auto& [key, errors] : errors_) {
    std::vector<metrics::Label> labels;
    errors.labels.add_to(labels, true);
    labels.push_back({"error_code", errors.code});
    current[metrics::label_text(labels)] += errors.count;
    labels.clear();
    errors.labels.add_to(labels, false);
    labels.push_back({"error_code", errors.code});
    older[metrics::label_text(labels)] += errors.count;
  }
  for (const auto& [labels, count] : current) {
    page.counter("llm_d_epp_request_error_total", kHelp, LabelText(labels), count);
  }
  for (const auto& [labels, count] : older) {
    page.counter("inference_objective_request_error_total", kHelp, LabelText(labels), count);
  }
}

void RequestMetrics::write(Page& page) const {
  const std::lock_guard lock(mutex_);
  write_counts(page);
  write_errors(page);
  write_distributions(page);
}

}  // namespace llmd::picker
