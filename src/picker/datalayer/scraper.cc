#include "picker/datalayer/scraper.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "async/scope.h"
#include "base/log.h"
#include "http/client.h"
#include "net/refused.h"
#include "picker/datalayer/engine_reports.h"
#include "picker/datalayer/page_share.h"
#include "picker/datalayer/source_tls.h"
#include "picker/datalayer/sources.h"
#include "picker/plan.h"

namespace llmd::picker {
namespace {

// Pages of models change rarely.
constexpr Duration kModelsInterval = std::chrono::seconds(5);
// Before a page is asked for again that was too large the last times: megabytes are read before that is
// known.
constexpr Duration kAfterTooMuch = std::chrono::seconds(5);

net::Address address_of(const PollSource::Options& source, const Endpoint& endpoint) {
  if (source.port == 0) {
    return endpoint.metrics.port != 0 ? endpoint.metrics : endpoint.address;
  }
  const bool at_node = source.at_node && !endpoint.node.empty();
  return {at_node ? endpoint.node : endpoint.address.host, static_cast<std::uint16_t>(source.port)};
}

// "engine-7.example.com", not 10.0.0.1 or fd00::1.
bool is_name(std::string_view host) {
  return !host.contains(':') && host.find_first_not_of("0123456789.") != std::string_view::npos;
}

// The first of the moments that lie `apart` and that this group of endpoints has in common.
TimePoint moment_after(TimePoint time, Duration apart, std::uint32_t group) {
  constexpr std::uint32_t kGroups = 16;
  const Duration shift = apart / kGroups * (group % kGroups);
  return TimePoint((time.time_since_epoch() - shift + apart - Duration(1)) / apart * apart + shift);
}

// Waking up costs more than a question does: endpoints are asked at common moments, but not more than a few
// of them at a time, because decisions wait meanwhile. One that is asked less often than each `base` comes
// earlier until its moments are those of all others with its `interval`.
TimePoint next_question(TimePoint due, TimePoint earliest, Duration base, Duration interval,
                        std::uint32_t endpoint) {
  constexpr std::uint32_t kTogether = 8;
  const std::uint32_t group = endpoint / kTogether;
  const TimePoint common = moment_after(due - interval + Duration(1), interval, group);
  if (interval > base && common >= earliest) {
    return common;
  }
  const TimePoint nearest = moment_after(due - base / 2, base, group);
  return nearest >= earliest ? nearest : moment_after(earliest, base, group);
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
    LLMD_TRY_VOID(SourceTls::check(*poll.source));
  }
  return {};
}

std::vector<Error> source_problems(const Plan& plan) {
  std::vector<Error> problems;
  for (const Plan::Poll& poll : plan.polls) {
    if (auto problem = poll.source->problem()) {
      problems.push_back(std::move(*problem));
    }
  }
  return problems;
}

struct Scraper::State {
  State(async::EventLoop& on, const Picker& for_picker, ScrapeOptions chosen)
      : loop(on), picker(for_picker), options(chosen) {}

  // One source with the connections to all endpoints.
  struct Poll {
    const PollSource* source = nullptr;
    std::vector<const CoreMetricsExtractor*> extractors;
    Duration interval{};
    SourceTls tls;
    std::shared_ptr<http::ClientPool> connections = nullptr;  // null: its certificates cannot be used yet
  };
  // One endpoint as one source sees it.
  struct Target {
    const Poll& poll;
    EndpointPtr endpoint;
    EndpointDescription described;
    std::vector<const MetricsScanner*> scanners;  // of each extractor
    std::string part;  // the target that asks for the wanted series; empty: none does
    PageShare share;
    // Another port that refuses says nothing about the one that requests go to.
    bool tells_contact = false;
  };

  void prepare();
  void connect(Poll& poll) const;
  Task<void> watch_certificates(Poll& poll) const;
  Task<void> look_up_names();
  Task<void> watch(async::Scope& scope);
  Task<void> follow(const Poll& poll, EndpointPtr endpoint, std::uint64_t since);
  Task<void> follow_as_described(Target target, std::uint64_t since);
  Task<void> rest(const Target& target, std::uint64_t since, TimePoint until) const;
  bool is_current(const Target& target, std::uint64_t since) const;
  static Target begin(const Poll& poll, EndpointPtr endpoint);
  http::ClientRequest request_for(const Target& target) const;
  Task<Result<EngineReport>> ask(Target& target);
  struct Numbers {
    EngineReport report;
    std::size_t bytes = 0;  // of the page
  };
  Task<Result<Numbers>> read_numbers(const Target& target, http::BodyReader& page) const;
  bool is_followed(const EndpointPtr& endpoint, std::uint64_t since) const;

  async::EventLoop& loop;
  const Picker& picker;
  const ScrapeOptions options;
  std::vector<Poll> polls;
  // By the version of the list that it came with: one that goes and comes back is followed anew.
  std::map<EndpointPtr, std::uint64_t> followed;
  Stats stats;
};

void Scraper::State::prepare() {
  for (const Plan::Poll& planned : picker.plan().polls) {
    polls.push_back({.source = planned.source,
                     .extractors = planned.extractors,
                     .interval = base_interval(picker.plan(), *planned.source, options),
                     .tls = SourceTls(*planned.source)});
    connect(polls.back());
  }
}

// What is under way ends on the connections that it has.
void Scraper::State::connect(Poll& poll) const {
  if (poll.tls.usable()) {
    poll.connections = std::make_shared<http::ClientPool>(
        loop, http::ClientOptions{.tls = poll.tls.client(), .max_idle_per_address = 1});
  }
}

Task<void> Scraper::State::watch_certificates(Poll& poll) const {
  while (true) {
    co_await async::sleep(options.certificates_every);
    if (poll.tls.look_again()) {
      connect(poll);
    }
  }
}

bool Scraper::State::is_followed(const EndpointPtr& endpoint, std::uint64_t since) const {
  const auto found = followed.find(endpoint);
  return found != followed.end() && found->second == since;
}

// A page is looked at as it comes and never held: it is large, and there are thousands in a second.
Task<Result<Scraper::State::Numbers>> Scraper::State::read_numbers(const Target& target,
                                                                   http::BodyReader& page) const {
  std::vector<MetricsScanner::Pass> passes;
  for (const MetricsScanner* scanner : target.scanners) {
    passes.emplace_back(*scanner, target.described->pod);
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
  auto described = endpoint->described();
  Target target{.poll = poll,
                .endpoint = std::move(endpoint),
                .described = std::move(described),
                .scanners = {},
                .part = {},
                .share = {}};
  target.tells_contact =
      address_of(poll.source->options, *target.described) == target.endpoint->endpoint.address;
  const std::string& path = poll.source->options.path;
  bool is_askable = !poll.extractors.empty();
  for (const CoreMetricsExtractor* extractor : poll.extractors) {
    const MetricsScanner& scanner = extractor->scanner_for(*target.described);
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
  request.address = address_of(source, *target.described);
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
  const auto connections = target.poll.connections;  // others may take their place meanwhile
  if (connections == nullptr) {
    co_return failed_precondition("the certificates cannot be used");
  }
  LLMD_CO_TRY(const auto answer, co_await connections->send(request_for(target)));
  LLMD_CO_TRY_VOID(check_answer(answer->head()));
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

// Another description may name another engine or another place to ask.
Task<void> Scraper::State::follow(const Poll& poll, EndpointPtr endpoint, std::uint64_t since) {
  bool told_contact = false;
  while (is_followed(endpoint, since)) {
    Target target = begin(poll, endpoint);
    if (told_contact && !target.tells_contact) {
      endpoint->unwatched();
    }
    told_contact = target.tells_contact;
    co_await follow_as_described(std::move(target), since);
  }
  if (told_contact) {
    endpoint->unwatched();
  }
}

// One that has left is let go soon, however long its source's interval is.
Task<void> Scraper::State::rest(const Target& target, std::uint64_t since, TimePoint until) const {
  constexpr Duration kLongestSleep = std::chrono::seconds(1);
  while (std::chrono::steady_clock::now() < until && is_current(target, since)) {
    co_await async::sleep_until(std::min(until, std::chrono::steady_clock::now() + kLongestSleep));
  }
}

bool Scraper::State::is_current(const Target& target, std::uint64_t since) const {
  return is_followed(target.endpoint, since) && target.endpoint->described() == target.described;
}

Task<void> Scraper::State::follow_as_described(Target target, std::uint64_t since) {
  const Poll& poll = target.poll;
  const EndpointPtr& endpoint = target.endpoint;
  const PollSource::Options& source = poll.source->options;
  const bool is_steady = !poll.source->has_numbers() || source.interval > Duration::zero();
  Duration interval = poll.interval;
  EngineReport before;
  bool says = true;
  while (is_current(target, since)) {
    const TimePoint asked = std::chrono::steady_clock::now();
    auto report = co_await ask(target);
    ++(report ? stats.pages : stats.failures);
    if (target.tells_contact) {
      endpoint->connected(report || !net::is_refused(report.error()));
    }
    if (!report) {
      target.share.failed();
      poll.source->count_failed_poll();
    }
    const bool has_said = report && (target.scanners.empty() || !is_empty(*report));
    if (says != has_said) {
      says = has_said;
      const std::string error = report ? "nothing that is wanted is on its page" : report.error().text();
      log::info(says ? "an endpoint's numbers are back" : "an endpoint's numbers cannot be read",
                {{"endpoint", endpoint->full_name},
                 {"source", poll.source->name},
                 {"error", says ? std::string() : error}});
    }
    const std::int64_t leases = endpoint->running();
    const bool quiet = report && (is_expected(*report, leases) || (leases == 0 && is_same(*report, before)));
    const bool may_wait = !is_steady && (quiet || !report);
    const bool is_costly = !report && report.error().kind == ErrorKind::ResourceExhausted;
    const Duration longest = is_costly ? kAfterTooMuch : options.longest_interval;
    interval = may_wait ? std::min(interval * 2, std::max(poll.interval, longest)) : poll.interval;
    before = report.value_or(EngineReport());
    // From question to question, but a slow endpoint gets some rest.
    const TimePoint rested = std::chrono::steady_clock::now() + poll.interval / 2;
    co_await rest(target, since,
                  next_question(asked + interval, rested, poll.interval, interval, endpoint->id));
  }
}

Task<void> Scraper::State::look_up_names() {
  while (true) {
    co_await async::sleep(options.resolve_every);
    for (Poll& poll : polls) {
      const bool any = std::ranges::any_of(followed, [&poll](const auto& entry) {
        return is_name(address_of(poll.source->options, *entry.first->described()).host);
      });
      if (any) {
        connect(poll);
      }
    }
  }
}

Task<void> Scraper::State::watch(async::Scope& scope) {
  scope.spawn("names", look_up_names());
  for (Poll& poll : polls) {
    if (poll.tls.has_files()) {
      scope.spawn("certificates", watch_certificates(poll));
    }
  }
  std::uint64_t version = 0;
  while (true) {
    const auto snapshot = picker.endpoints();
    if (snapshot->version != version) {
      version = snapshot->version;
      const auto before = std::exchange(followed, {});
      for (const EndpointPtr& endpoint : snapshot->endpoints) {
        const auto known = before.find(endpoint);
        followed[endpoint] = known != before.end() ? known->second : version;
      }
      for (const auto& [endpoint, since] : followed) {
        for (const Poll& poll : polls) {
          if (since == version) {
            scope.spawn("scrape", follow(poll, endpoint, since));
          }
        }
      }
    }
    // At a moment that has questions anyway.
    co_await async::sleep_until(
        moment_after(std::chrono::steady_clock::now() + Duration(1), options.longest_interval, 0));
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
