#include "engine/fleet/fleet.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <thread>

#include "base/assert.h"
#include "engine/core/random.h"
#include "json/path.h"
#include "kvcache/block_hash.h"

namespace llmd::engine::fleet {
namespace {

constexpr std::string_view kModel = "bench";

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string host_of(std::size_t engine) {
  return fmt::format("127.35.1.{}", engine + 1);
}

}  // namespace

// What is going on in a step.
struct Fleet::Running {
  StepReport report;
  std::size_t open = 0;                          // requests that have not ended
  std::deque<std::shared_ptr<Flight>> by_start;  // for timeouts
  double waiting_sum = 0;
  std::uint64_t scrapes = 0;
};

// One request on its way.
class Fleet::Flight final : public Listener {
 public:
  Flight(const Clock& clock, Running& running, bool usage)
      : sent(clock.now()), clock_(clock), running_(running), usage_(usage) {}

  void on_update(Update update) override {
    const TimePoint now = clock_.now();
    if (first_ == TimePoint() && !update.tokens.empty()) {
      begin_answer(now, update);
    }
    tokens_ += update.tokens.size();
    if (decision) {
      decision->piece();
    }
    if (update.finish) {
      end(now);
    }
  }

  // The client has left.
  void abandon() {
    ++running_.report.timed_out;
    close();
    decision.reset();
  }

  bool ended() const { return ended_; }

  const TimePoint sent;
  std::optional<picker::Decision> decision;
  std::size_t engine = 0;
  SequenceId id = 0;
  std::size_t prompt_tokens = 0;

 private:
  void begin_answer(TimePoint now, const Update& update) {
    first_ = now;
    cached_ = update.cached_tokens;
    running_.report.ttft_seconds.push_back(seconds(now - sent));
    running_.report.prompt_tokens += static_cast<double>(prompt_tokens);
    running_.report.cached_tokens += cached_;
    if (decision) {
      picker::HeaderEdits edits;
      decision->response_headers(200, {}, edits);
      decision->first_token();
    }
  }

  void end(TimePoint now) {
    StepReport& report = running_.report;
    report.output_tokens += static_cast<double>(tokens_);
    const double tpot = tokens_ > 1 ? seconds(now - first_) / static_cast<double>(tokens_ - 1) : 0;
    if (tpot > 0) {
      report.tpot_seconds.push_back(tpot);
    }
    if (decision) {
      note_errors(seconds(first_ - sent), tpot);
      picker::Completion completion{.events = static_cast<std::int64_t>(tokens_)};
      if (usage_) {
        completion.usage = {.prompt_tokens = static_cast<std::int64_t>(prompt_tokens),
                            .completion_tokens = static_cast<std::int64_t>(tokens_),
                            .cached_tokens = cached_};
      }
      decision->complete(completion);
    }
    close();
  }

  void note_errors(double ttft, double tpot) {
    const double predicted_ttft = decision->memory.predicted_ttft_ms / 1000.0;
    const double predicted_tpot = decision->memory.predicted_tpot_ms / 1000.0;
    if (predicted_ttft > 0) {
      running_.report.ttft_errors.push_back(std::abs(predicted_ttft - ttft) / ttft);
    }
    if (predicted_tpot > 0 && tpot > 0) {
      running_.report.tpot_errors.push_back(std::abs(predicted_tpot - tpot) / tpot);
    }
  }

  void close() {
    ended_ = true;
    --running_.open;
  }

  const Clock& clock_;
  Running& running_;
  const bool usage_;
  TimePoint first_;
  std::size_t tokens_ = 0;
  int cached_ = 0;
  bool ended_ = false;
};

Result<std::unique_ptr<Fleet>> Fleet::create(FleetOptions options) {
  std::unique_ptr<Fleet> fleet(new Fleet(std::move(options)));
  fleet->next_scrape_ = fleet->clock_.now();
  LLMD_TRY_VOID(fleet->make_engines());
  if (fleet->options_.picker_config) {
    LLMD_TRY_VOID(fleet->make_picker());
    LLMD_TRY_VOID(fleet->meet_subscribers());
  }
  return fleet;
}

Fleet::Fleet(FleetOptions options) : options_(std::move(options)) {}

Fleet::~Fleet() = default;

Result<void> Fleet::make_engines() {
  for (std::size_t i = 0; i < options_.engines; ++i) {
    const std::uint64_t seed = random_bits(options_.seed, i);
    LLMD_TRY(auto engine, FleetEngine::create(options_.engine, host_of(i), seed, clock_));
    engines_.push_back(std::move(engine));
  }
  return {};
}

Result<void> Fleet::make_picker() {
  picker::PickerOptions options{
      .load = {.allow_experimental = true, .seed = options_.seed}, .clock = &clock_, .explanations = 0};
  LLMD_TRY(picker_,
           picker::Picker::from_config(*options_.picker_config, options_.config_name, std::move(options)));
  std::vector<picker::Endpoint> endpoints;
  for (std::size_t i = 0; i < engines_.size(); ++i) {
    endpoints.push_back({.address = {host_of(i), 8000}, .name = fmt::format("engine-{}", i)});
  }
  picker_->update(std::move(endpoints));
  return {};
}

// A publisher's first batches are lost while nobody has subscribed yet: repeats one until it is heard.
Result<void> Fleet::meet_subscribers() {
  constexpr int kTries = 1000;
  constexpr std::chrono::milliseconds kPause(10);
  if (!options_.engine.kv_events.enabled) {
    return {};
  }
  for (std::size_t i = 0; i < engines_.size(); ++i) {
    const std::uint64_t before = heard();
    int tries = 0;
    for (; tries < kTries && heard() == before; ++tries) {
      engines_[i]->announce();
      std::this_thread::sleep_for(kPause);
    }
    if (tries == kTries) {
      return unavailable("the picker does not hear the KV events of {}", host_of(i))
          .hint(
              "its configuration needs a precise prefix plugin that follows the port of --kv-events-config");
    }
  }
  std::uint64_t published = 0;
  for (const auto& engine : engines_) {
    published += engine->published();
  }
  std::uint64_t before = 0;
  while (before != heard()) {  // until the last of them has come
    before = heard();
    std::this_thread::sleep_for(10 * kPause);
  }
  silent_ = published - before;
  return {};
}

std::uint64_t Fleet::heard() const {
  const json::Value state = picker_->debug_state();
  const json::Value* plugins = json::find(state, "plugins");
  std::uint64_t batches = 0;
  if (plugins != nullptr && plugins->is_object()) {
    for (const auto& [name, plugin] : plugins->get_object()) {
      batches += static_cast<std::uint64_t>(json::double_at(plugin, "state.batches").value_or(0));
    }
  }
  return batches;
}

// Waits until the picker has heard what the engines have said, and its plugins have written down what was
// decided before (debug_state() waits for them): threads of their own would make time real.
void Fleet::settle() const {
  std::uint64_t published = 0;
  for (const auto& engine : engines_) {
    published += engine->published();
  }
  while (heard() + silent_ < published) {
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
}

void Fleet::scrape() {
  next_scrape_ += options_.scrape_interval;
  for (std::size_t i = 0; i < engines_.size(); ++i) {
    const picker::EngineReport report = engines_[i]->report();
    running_->waiting_sum += report.waiting / static_cast<double>(engines_.size());
    if (picker_) {
      picker_->endpoints()->endpoints[i]->report(report, clock_.now());
    }
  }
  ++running_->scrapes;
}

std::optional<std::size_t> Fleet::choose(Flight& flight, const std::string& text,
                                         std::vector<Token>& tokens) {
  if (!picker_) {
    return sent_ % engines_.size();
  }
  settle();
  std::vector<std::uint64_t> units;
  kvcache::UnitHasher hasher;
  hasher.feed(text, units);
  hasher.finish(units);
  std::vector<kvcache::TokenId> ids;
  if (options_.tokenize) {
    ids.assign(tokens.begin(), tokens.end());
  }
  auto decided = picker_->pick({.model = kModel,
                                .stream = true,
                                .body_bytes = text.size(),
                                .prompt_bytes = text.size(),
                                .prompt_units = units,
                                .tokens = ids});
  if (!decided) {
    return std::nullopt;
  }
  flight.decision = std::move(*decided);
  const auto& endpoints = picker_->endpoints()->endpoints;
  const auto found = std::ranges::find(endpoints, flight.decision->lease.endpoint());
  LLMD_ASSERT(found != endpoints.end(), "endpoints do not change");
  return static_cast<std::size_t>(found - endpoints.begin());
}

void Fleet::send(const Workload& workload, std::uint64_t prompt) {
  const std::string text = prompt_text(workload, prompt);
  sim::SimTokenizer tokenizer;
  std::vector<Token> tokens = tokenizer.encode(text, {});
  auto flight = std::make_shared<Flight>(clock_, *running_, options_.usage);
  flight->prompt_tokens = tokens.size();
  const auto chosen = choose(*flight, text, tokens);
  ++sent_;
  if (!chosen) {
    ++running_->report.refused;
    return;
  }
  ++running_->open;
  ++running_->report.chosen[*chosen];
  flight->engine = *chosen;
  running_->by_start.push_back(flight);
  flight->id = engines_[*chosen]->add(std::move(tokens), workload.output_tokens, flight);
  engines_[*chosen]->run_due();
}

// Requests that were sent before.
void Fleet::give_up(TimePoint before) {
  auto& flights = running_->by_start;
  while (!flights.empty() && (flights.front()->ended() || flights.front()->sent <= before)) {
    const std::shared_ptr<Flight> flight = std::move(flights.front());
    flights.pop_front();
    if (!flight->ended()) {
      engines_[flight->engine]->abort(flight->id);
      flight->abandon();
    }
  }
}

TimePoint Fleet::next_time(const std::vector<WorkItem>& items, std::size_t next, TimePoint begin) const {
  TimePoint time = next_scrape_;
  if (next < items.size()) {
    time = std::min(time, begin + items[next].at);
  }
  for (const auto& engine : engines_) {
    time = std::min(time, engine->next_due().value_or(time));
  }
  return time;
}

StepReport Fleet::run(const Workload& workload, const Step& step) {
  const std::uint64_t seed = random_bits(options_.seed, 1000 + steps_++);
  const auto items = arrivals(workload, step.rate, step.requests, seed, sent_);
  const TimePoint begin = clock_.now();
  running_ = std::make_unique<Running>();
  running_->report.chosen.resize(engines_.size());
  std::size_t next = 0;
  while (next < items.size() || running_->open > 0) {
    clock_.advance_to(next_time(items, next, begin));
    const TimePoint now = clock_.now();
    for (const auto& engine : engines_) {
      if (engine->next_due().value_or(TimePoint::max()) <= now) {
        engine->run_due();
      }
    }
    if (next_scrape_ <= now) {
      scrape();
      give_up(now - options_.timeout);
    }
    for (; next < items.size() && begin + items[next].at <= now; ++next) {
      send(workload, items[next].prompt);
    }
  }
  StepReport report = std::move(running_->report);
  report.rate = step.rate;
  report.requests = items.size();
  report.seconds = seconds(clock_.now() - begin);
  report.waiting = running_->waiting_sum / static_cast<double>(std::max<std::uint64_t>(running_->scrapes, 1));
  running_.reset();
  return report;
}

json::Value Fleet::picker_state() const {
  return picker_ ? picker_->debug_state() : json::Value(nullptr);
}

}  // namespace llmd::engine::fleet
