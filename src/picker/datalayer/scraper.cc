#include "picker/datalayer/scraper.h"

#include <cerrno>
#include <cmath>
#include <set>
#include <system_error>

#include "async/scope.h"
#include "base/file.h"
#include "base/log.h"
#include "http/client.h"
#include "json/path.h"
#include "net/tls.h"
#include "picker/datalayer/page_share.h"
#include "picker/datalayer/sources.h"
#include "picker/plan.h"

namespace llmd::picker {
namespace {

// Pages of models change rarely.
constexpr Duration kModelsInterval = std::chrono::seconds(5);

std::vector<ListedModel> read_models(std::string_view page) {
  std::vector<ListedModel> models;
  const auto document = json::parse(page);
  const auto* list = document ? json::array_at(*document, "data") : nullptr;
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const json::Value& item = (*list)[i];
    models.push_back({std::string(json::string_at(item, "id").value_or("")),
                      std::string(json::string_at(item, "owned_by").value_or("")),
                      std::string(json::string_at(item, "parent").value_or(""))});
  }
  return models;
}

bool is_same(float a, float b) {
  return a == b || (std::isnan(a) && std::isnan(b));
}

bool is_empty(const EngineReport& report) {
  return std::isnan(report.waiting) && std::isnan(report.running) && std::isnan(report.kv_usage);
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

// Nobody listens there, by the system's own words: an Unavailable of any other cause says less.
bool is_refused(const Error& error) {
  return error.kind == ErrorKind::Unavailable &&
         error.message.ends_with(std::generic_category().message(ECONNREFUSED));
}

Result<std::shared_ptr<const net::TlsClient>> trust(const PollSource::Options& options) {
  if (!options.https) {
    return nullptr;
  }
  if (!options.ca_file.empty()) {
    LLMD_TRY(const std::string pem, read_file(options.ca_file));
    return net::TlsClient::from_ca_pem(pem);
  }
  return net::TlsClient::system_trust();
}

net::Address address_of(const PollSource::Options& source, const Endpoint& endpoint) {
  net::Address address = endpoint.metrics.port != 0 ? endpoint.metrics : endpoint.address;
  if (source.port != 0) {
    address.port = static_cast<std::uint16_t>(source.port);
  }
  return address;
}

}  // namespace

struct Scraper::State {
  State(async::EventLoop& on, const Picker& for_picker, ScrapeOptions chosen)
      : loop(on), picker(for_picker), options(chosen) {}

  // One source with the connections to all endpoints.
  struct Poll {
    const PollSource* source = nullptr;
    const CoreMetricsExtractor* extractor = nullptr;
    std::unique_ptr<http::ClientPool> connections;
  };

  void prepare();
  Task<void> watch(async::Scope& scope);
  Task<void> follow(const Poll& poll, EndpointPtr endpoint);
  // False: the endpoint did not answer.
  Task<Result<EngineReport>> ask(const Poll& poll, const EndpointState& endpoint, PageShare& share);
  struct Numbers {
    EngineReport report;
    std::size_t bytes = 0;  // of the page
  };
  Task<Result<Numbers>> read_numbers(const MetricsScanner& scanner, http::BodyReader& page) const;
  bool is_listed(const EndpointPtr& endpoint) const;

  async::EventLoop& loop;
  const Picker& picker;
  const ScrapeOptions options;
  std::vector<Poll> polls;
  std::set<const EndpointState*> followed;
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
    poll.extractor = planned.extractor;
    poll.connections =
        std::make_unique<http::ClientPool>(loop, http::ClientOptions{.tls = *tls, .max_idle_per_address = 1});
  }
}

bool Scraper::State::is_listed(const EndpointPtr& endpoint) const {
  const auto snapshot = picker.endpoints();
  return std::ranges::find(snapshot->endpoints, endpoint) != snapshot->endpoints.end();
}

// A page is looked at as it comes and never held: it is large, and there are thousands in a second.
Task<Result<Scraper::State::Numbers>> Scraper::State::read_numbers(const MetricsScanner& scanner,
                                                                   http::BodyReader& page) const {
  MetricsScanner::Pass pass(scanner);
  std::size_t size = 0;
  while (true) {
    LLMD_CO_TRY(const std::string_view bytes, co_await page.next());
    if (bytes.empty()) {
      co_return Numbers{pass.finish(), size};
    }
    size += bytes.size();
    if (size > options.max_page) {
      co_return resource_exhausted("the page has more than {} bytes", options.max_page);
    }
    pass.feed(bytes);
  }
}

Task<Result<EngineReport>> Scraper::State::ask(const Poll& poll, const EndpointState& endpoint,
                                               PageShare& share) {
  const PollSource::Options& source = poll.source->options;
  http::ClientRequest request;
  request.address = address_of(source, endpoint.endpoint);
  request.head.target = source.path;
  const MetricsScanner* const scanner =
      poll.extractor != nullptr ? &poll.extractor->scanner_for(endpoint.endpoint) : nullptr;
  if (scanner != nullptr && share.next() == PageShare::Question::Part) {
    request.head.target += (source.path.contains('?') ? '&' : '?') + scanner->query();
  }
  request.timeouts = {.connect = options.timeout,
                      .first_byte = options.timeout,
                      .idle = options.timeout,
                      .total = async::Deadline::after(options.timeout)};
  LLMD_CO_TRY(const auto answer, co_await poll.connections->send(std::move(request)));
  if (answer->status() != 200) {
    co_return unavailable("status {}", answer->status());
  }
  EngineReport report;
  if (source.kind == PollSource::Kind::Models) {
    LLMD_CO_TRY(const std::string page, co_await http::read_all(answer->body(), options.max_page));
    endpoint.list_models(read_models(page));
  } else if (scanner != nullptr) {
    LLMD_CO_TRY(Numbers numbers, co_await read_numbers(*scanner, answer->body()));
    report = std::move(numbers.report);
    if (!scanner->query().empty()) {
      share.answered(report, numbers.bytes);
    }
    endpoint.report(report, std::chrono::steady_clock::now());
    picker.numbers_changed();
  }
  co_return report;
}

Task<void> Scraper::State::follow(const Poll& poll, EndpointPtr endpoint) {
  const bool models = poll.source->options.kind == PollSource::Kind::Models;
  const Duration given = poll.source->options.interval;
  const Duration base = given > Duration::zero() ? std::max(given, options.interval)
                        : models                 ? kModelsInterval
                                                 : options.interval;
  // Another port that refuses says nothing about the one that requests go to.
  const bool tells_contact =
      address_of(poll.source->options, endpoint->endpoint) == endpoint->endpoint.address;
  Duration interval = base;
  EngineReport before;
  PageShare share;
  bool answers = true;
  while (is_listed(endpoint)) {
    const TimePoint asked = std::chrono::steady_clock::now();
    auto report = co_await ask(poll, *endpoint, share);
    ++(report ? stats.pages : stats.failures);
    if (tells_contact) {
      endpoint->connected(report || !is_refused(report.error()));
    }
    if (!report) {
      share.failed();
      poll.source->count_failed_poll();
    } else if (poll.extractor != nullptr && is_empty(*report)) {
      poll.source->count_empty_page();
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
    interval = models || given > Duration::zero() ? base
               : quiet || !report ? std::min(interval * 2, std::max(base, options.longest_interval))
                                  : base;
    before = report.value_or(EngineReport());
    // From question to question, but a slow endpoint gets some rest.
    const Duration took = std::chrono::steady_clock::now() - asked;
    co_await async::sleep(std::max(interval - took, interval / 2));
  }
}

Task<void> Scraper::State::watch(async::Scope& scope) {
  std::uint64_t version = 0;
  while (true) {
    const auto snapshot = picker.endpoints();
    if (snapshot->version != version) {
      version = snapshot->version;
      std::set<const EndpointState*> listed;
      for (const EndpointPtr& endpoint : snapshot->endpoints) {
        listed.insert(endpoint.get());
        if (!followed.contains(endpoint.get())) {
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
