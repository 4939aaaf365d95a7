#include "picker/datalayer/scraper.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "async/scope.h"
#include "base/file.h"
#include "base/log.h"
#include "http/client.h"
#include "json/path.h"
#include "net/refused.h"
#include "net/tls_options.h"
#include "picker/datalayer/page_share.h"
#include "picker/datalayer/sources.h"
#include "picker/plan.h"

namespace llmd::picker {
namespace {

// Pages of models change rarely.
constexpr Duration kModelsInterval = std::chrono::seconds(5);

Result<std::vector<ListedModel>> read_models(std::string_view page) {
  LLMD_TRY(const json::Value document, json::parse(page));
  const auto* list = json::array_at(document, "data");
  if (list == nullptr) {
    return invalid_argument("the answer is no list of models");
  }
  std::vector<ListedModel> models;
  for (const json::Value& item : *list) {
    if (const auto id = json::string_at(item, "id"); id && !id->empty()) {
      models.push_back({std::string(*id), std::string(json::string_at(item, "owned_by").value_or("")),
                        std::string(json::string_at(item, "parent").value_or(""))});
    }
  }
  return models;
}

bool is_same(float a, float b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}

bool is_empty(const EngineReport& report) {
  return std::isnan(report.waiting) && std::isnan(report.running) && std::isnan(report.kv_usage) &&
         std::ranges::all_of(report.custom, [](float value) { return std::isnan(value); });
}

bool is_same(const EngineReport& a, const EngineReport& b) {
  return is_same(a.waiting, b.waiting) && is_same(a.running, b.running) && is_same(a.kv_usage, b.kv_usage);
}

// Nothing that the leases do not say: one request may be on its way in or out.
bool is_expected(const EngineReport& report, std::int64_t leases) {
  constexpr float kRoomy = 0.5F;
  return report.waiting == 0 && report.kv_usage < kRoomy &&
         std::abs(report.running - static_cast<float>(leases)) <= 1;
}

Result<std::string> read_if_named(const std::string& file) {
  return file.empty() ? Result<std::string>() : read_file(file);
}

// Null: without TLS.
Result<std::shared_ptr<const net::TlsClient>> trust(const PollSource::Options& options) {
  if (!options.https) {
    return nullptr;
  }
  net::TlsClientOptions tls{.ca_pem = {}, .verify = options.verify};
  if (options.verify) {
    LLMD_TRY(tls.ca_pem, read_if_named(options.ca_file));
  }
  LLMD_TRY(tls.certificate_pem, read_if_named(options.certificate_file));
  LLMD_TRY(tls.key_pem, read_if_named(options.key_file));
  return net::make_tls_client(tls);
}

net::Address address_of(const PollSource::Options& source, const Endpoint& endpoint) {
  if (source.port == 0) {
    return endpoint.metrics.port != 0 ? endpoint.metrics : endpoint.address;
  }
  const bool at_node = source.at_node && !endpoint.node.empty();
  return {at_node ? endpoint.node : endpoint.address.host, static_cast<std::uint16_t>(source.port)};
}

// Waking up costs more than a question does: endpoints are asked at common moments, `base` apart, but not
// more than a few of them at a time, because decisions wait meanwhile.
TimePoint next_question(TimePoint due, TimePoint earliest, Duration base, std::uint32_t endpoint) {
  constexpr std::uint32_t kTogether = 8;
  constexpr std::uint32_t kGroups = 16;
  const Duration shift = base / kGroups * (endpoint / kTogether % kGroups);
  const auto moment_after = [&](TimePoint time) {
    const Duration since = time.time_since_epoch() - shift;
    return TimePoint((since + base - Duration(1)) / base * base + shift);
  };
  const TimePoint nearest = moment_after(due - base / 2);
  return nearest >= earliest ? nearest : moment_after(earliest);
}

// What one scanner has found and another has not.
void add_found(EngineReport& into, EngineReport&& found) {
  const auto keep = [](float& number, float value) { number = std::isnan(value) ? number : value; };
  keep(into.waiting, found.waiting);
  keep(into.running, found.running);
  keep(into.kv_usage, found.kv_usage);
  keep(into.block_tokens, found.block_tokens);
  keep(into.blocks, found.blocks);
  for (std::size_t i = 0; i < kCustomMetrics; ++i) {
    keep(into.custom[i], found.custom[i]);
  }
  if (found.adapters) {
    into.adapters = std::move(found.adapters);
  }
}

}  // namespace

Duration base_interval(const Plan& plan, const PollSource& source, const ScrapeOptions& options) {
  const auto own = [&options](const PollSource& of) {
    return std::max(of.options.interval, options.shortest_interval);
  };
  if (source.options.interval > Duration::zero()) {
    return own(source);
  }
  if (!source.has_numbers()) {
    return kModelsInterval;
  }
  Duration fastest = options.interval;
  for (const Plan::Poll& poll : plan.polls) {
    fastest =
        poll.source->options.interval > Duration::zero() ? std::min(fastest, own(*poll.source)) : fastest;
  }
  return fastest;
}

Result<void> check_sources(const Plan& plan) {
  for (const Plan::Poll& poll : plan.polls) {
    if (auto usable = trust(poll.source->options); !usable) {
      return std::unexpected(
          std::move(usable).error().within(fmt::format("data source '{}'", poll.source->name)));
    }
  }
  return {};
}

struct Scraper::State {
  State(async::EventLoop& on, const Picker& for_picker, ScrapeOptions chosen)
      : loop(on), picker(for_picker), options(chosen) {}

  // One source with the connections to all endpoints.
  struct Poll {
    const PollSource* source = nullptr;
    std::vector<const CoreMetricsExtractor*> extractors;
    Duration interval{};
    std::unique_ptr<http::ClientPool> connections;
  };
  // One endpoint as one source sees it.
  struct Target {
    const Poll& poll;
    EndpointPtr endpoint;
    std::vector<const MetricsScanner*> scanners;  // of each extractor
    std::string part;  // the target that asks for the wanted series; empty: none does
    PageShare share;
  };

  void prepare();
  Task<void> watch(async::Scope& scope);
  Task<void> follow(const Poll& poll, EndpointPtr endpoint);
  static Target begin(const Poll& poll, EndpointPtr endpoint);
  http::ClientRequest request_for(const Target& target) const;
  Task<Result<EngineReport>> ask(Target& target);
  struct Numbers {
    EngineReport report;
    std::size_t bytes = 0;  // of the page
  };
  Task<Result<Numbers>> read_numbers(const Target& target, http::BodyReader& page) const;
  bool is_listed(const EndpointPtr& endpoint) const;

  async::EventLoop& loop;
  const Picker& picker;
  const ScrapeOptions options;
  std::vector<Poll> polls;
  std::set<EndpointPtr> followed;
  Stats stats;
};

void Scraper::State::prepare() {
  for (const Plan::Poll& planned : picker.plan().polls) {
    const PollSource::Options& source = planned.source->options;
    auto tls = trust(source);
    if (!tls) {
      log::error("a data source cannot be used",
                 {{"source", planned.source->name}, {"error", tls.error().text()}});
      continue;
    }
    Poll& poll = polls.emplace_back();
    poll.source = planned.source;
    poll.extractors = planned.extractors;
    poll.interval = base_interval(picker.plan(), *planned.source, options);
    poll.connections =
        std::make_unique<http::ClientPool>(loop, http::ClientOptions{.tls = *tls, .max_idle_per_address = 1});
  }
}

bool Scraper::State::is_listed(const EndpointPtr& endpoint) const {
  const auto snapshot = picker.endpoints();
  return std::ranges::find(snapshot->endpoints, endpoint) != snapshot->endpoints.end();
}

// A page is looked at as it comes and never held: it is large, and there are thousands in a second.
Task<Result<Scraper::State::Numbers>> Scraper::State::read_numbers(const Target& target,
                                                                   http::BodyReader& page) const {
  std::vector<MetricsScanner::Pass> passes;
  for (const MetricsScanner* scanner : target.scanners) {
    passes.emplace_back(*scanner, target.endpoint->endpoint.pod);
  }
  Numbers numbers;
  while (true) {
    LLMD_CO_TRY(const std::string_view bytes, co_await page.next());
    if (bytes.empty()) {
      break;
    }
    numbers.bytes += bytes.size();
    if (numbers.bytes > options.max_page) {
      co_return resource_exhausted("the page has more than {} bytes", options.max_page);
    }
    for (MetricsScanner::Pass& pass : passes) {
      pass.feed(bytes);
    }
  }
  for (std::size_t i = 0; i < passes.size(); ++i) {
    EngineReport found = passes[i].finish();
    if (is_empty(found)) {
      target.poll.extractors[i]->count_empty_page(target.poll.source->options.kind);
    }
    add_found(numbers.report, std::move(found));
  }
  co_return numbers;
}

Scraper::State::Target Scraper::State::begin(const Poll& poll, EndpointPtr endpoint) {
  Target target{.poll = poll, .endpoint = std::move(endpoint), .scanners = {}, .part = {}, .share = {}};
  const std::string& path = poll.source->options.path;
  bool is_askable = !poll.extractors.empty();
  for (const CoreMetricsExtractor* extractor : poll.extractors) {
    const MetricsScanner& scanner = extractor->scanner_for(target.endpoint->endpoint);
    target.scanners.push_back(&scanner);
    is_askable = is_askable && !scanner.query().empty();
    const char before = target.part.empty() && !path.contains('?') ? '?' : '&';
    target.part += before + scanner.query();
  }
  target.part = is_askable ? path + target.part : std::string();
  return target;
}

http::ClientRequest Scraper::State::request_for(const Target& target) const {
  const PollSource::Options& source = target.poll.source->options;
  http::ClientRequest request;
  request.address = address_of(source, target.endpoint->endpoint);
  const bool is_part = !target.part.empty() && target.share.next() == PageShare::Question::Part;
  request.head.target = is_part ? target.part : source.path;
  request.timeouts = {.connect = options.timeout,
                      .first_byte = options.timeout,
                      .idle = options.timeout,
                      .total = async::Deadline::after(options.timeout)};
  return request;
}

Task<Result<EngineReport>> Scraper::State::ask(Target& target) {
  const EndpointState& endpoint = *target.endpoint;
  LLMD_CO_TRY(const auto answer, co_await target.poll.connections->send(request_for(target)));
  if (answer->status() != 200) {
    co_return unavailable("status {}", answer->status());
  }
  EngineReport report;
  if (!target.poll.source->has_numbers()) {
    LLMD_CO_TRY(const std::string page, co_await http::read_all(answer->body(), options.max_page));
    LLMD_CO_TRY(std::vector<ListedModel> models, read_models(page));
    endpoint.list_models(std::move(models));
  } else if (!target.scanners.empty()) {
    LLMD_CO_TRY(Numbers numbers, co_await read_numbers(target, answer->body()));
    report = std::move(numbers.report);
    if (!target.part.empty()) {
      target.share.answered(report, numbers.bytes);
    }
    endpoint.report(report, std::chrono::steady_clock::now());
    picker.numbers_changed();
  }
  co_return report;
}

Task<void> Scraper::State::follow(const Poll& poll, EndpointPtr endpoint) {
  const PollSource::Options& source = poll.source->options;
  const bool is_steady = !poll.source->has_numbers() || source.interval > Duration::zero();
  // Another port that refuses says nothing about the one that requests go to.
  const bool tells_contact = address_of(source, endpoint->endpoint) == endpoint->endpoint.address;
  Target target = begin(poll, endpoint);
  Duration interval = poll.interval;
  EngineReport before;
  bool answers = true;
  while (is_listed(endpoint)) {
    const TimePoint asked = std::chrono::steady_clock::now();
    auto report = co_await ask(target);
    ++(report ? stats.pages : stats.failures);
    if (tells_contact) {
      endpoint->connected(report || !net::is_refused(report.error()));
    }
    if (!report) {
      target.share.failed();
      poll.source->count_failed_poll();
    }
    if (answers != report.has_value()) {
      answers = report.has_value();
      log::info(answers ? "an endpoint's numbers are back" : "an endpoint's numbers cannot be read",
                {{"endpoint", endpoint->full_name},
                 {"source", poll.source->name},
                 {"error", answers ? std::string() : report.error().text()}});
    }
    const std::int64_t leases = endpoint->running();
    const bool quiet = report && (is_expected(*report, leases) || (leases == 0 && is_same(*report, before)));
    const bool may_wait = !is_steady && (quiet || !report);
    interval =
        may_wait ? std::min(interval * 2, std::max(poll.interval, options.longest_interval)) : poll.interval;
    before = report.value_or(EngineReport());
    // From question to question, but a slow endpoint gets some rest.
    const TimePoint rested = std::chrono::steady_clock::now() + interval / 2;
    co_await async::sleep_until(next_question(asked + interval, rested, poll.interval, endpoint->id));
  }
}

Task<void> Scraper::State::watch(async::Scope& scope) {
  std::uint64_t version = 0;
  while (true) {
    const auto snapshot = picker.endpoints();
    if (snapshot->version != version) {
      version = snapshot->version;
      std::set<EndpointPtr> listed;
      for (const EndpointPtr& endpoint : snapshot->endpoints) {
        listed.insert(endpoint);
        if (!followed.contains(endpoint)) {
          for (const Poll& poll : polls) {
            scope.spawn("scrape", follow(poll, endpoint));
          }
        }
      }
      followed = std::move(listed);
    }
    co_await async::sleep(options.interval);
  }
}

Scraper::Scraper(async::EventLoop& loop, const Picker& picker, ScrapeOptions options)
    : state_(std::make_unique<State>(loop, picker, options)) {}
Scraper::~Scraper() = default;

Task<void> Scraper::run() {
  state_->prepare();
  co_await async::with_scope(state_->loop.executor(),
                             [this](async::Scope& scope) { return state_->watch(scope); });
}

Scraper::Stats Scraper::stats() const {
  return state_->stats;
}

}  // namespace llmd::picker
