#include "picker/plugins/session_affinity.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "base/strings.h"

namespace llmd::picker {
namespace {

// The value of a cookie in "a=1; b=2".
std::optional<std::string_view> cookie(std::string_view header, std::string_view name) {
  for (const std::string_view part : split(header, ';')) {
    const std::string_view pair = trim(part);
    const auto equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == name) {
      return pair.substr(equals + 1);
    }
  }
  return std::nullopt;
}

struct IdSource {
  std::string header;
  std::string cookie;

  std::optional<std::string_view> find(const Request& request) const {
    const auto value = request.headers.find(cookie.empty() ? std::string_view(header) : "cookie");
    if (!value || value->empty()) {
      return std::nullopt;
    }
    return cookie.empty() ? value : picker_cookie(*value);
  }

 private:
  std::optional<std::string_view> picker_cookie(std::string_view value) const {
    return llmd::picker::cookie(value, cookie);
  }
};

class SessionIdProducer final : public Plugin {
 public:
  explicit SessionIdProducer(IdSource source_) : source(std::move(source_)) {}
  const IdSource source;
};

// Which of a decision's endpoints a session stays with.
enum class Place { Primary, Prefill, Encode };

// Marks the pinned endpoint in a column; what filter and scorer have in common.
class Affinity : public Producer, public RequestHook {
 public:
  Affinity(Column pinned, Place place) : pinned_(pinned), place_(place) {}

 protected:
  bool is_pinned(const Cycle& cycle, Row row) const { return cycle.at(pinned_, row) > 0; }
  // The endpoint that the session stays with; null where that stage did not run.
  const EndpointState* target(const Decision& decision) const {
    switch (place_) {
      case Place::Prefill:
        return decision.prefill_lease.endpoint().get();
      case Place::Encode:
        return decision.encode_leases.empty() ? nullptr : decision.encode_leases.front().endpoint().get();
      case Place::Primary:
        break;
    }
    return decision.lease.endpoint().get();
  }
  const Column pinned_;
  const Place place_;
};

class TokenAffinity : public Affinity {
 public:
  TokenAffinity(Column pinned, Place place, std::string header)
      : Affinity(pinned, place), header_(std::move(header)) {}

  void produce(Cycle& cycle) const override {
    const auto token = cycle.request().headers.find(header_);
    if (!token || token->empty()) {
      return;
    }
    const auto pinned = cycle.fill(pinned_);
    for (const Row row : cycle.candidates()) {
      pinned[row] = cycle.endpoint(row).session_token == *token ? 1 : 0;
    }
  }
  void response_headers(Decision& decision, int, const HeaderView&, HeaderEdits& edits) const override {
    if (const EndpointState* endpoint = target(decision)) {
      edits.set(header_, endpoint->session_token);
    }
  }

 private:
  const std::string header_;
};

class IdAffinity : public Affinity {
 public:
  struct Options {
    std::vector<IdSource> sources;
    Duration idle{};
    Duration sweep{};
  };
  IdAffinity(Column pinned, Place place, Options options)
      : Affinity(pinned, place), options_(std::move(options)) {}

  void produce(Cycle& cycle) const override {
    const auto id = session_of(cycle.request());
    if (!id) {
      return;
    }
    const std::lock_guard lock(mutex_);
    const auto bound = bound_.find(*id);
    if (bound == bound_.end() || cycle.now() - bound->second.used > options_.idle) {
      return;
    }
    const auto pinned = cycle.fill(pinned_);
    for (const Row row : cycle.candidates()) {
      pinned[row] = cycle.endpoint(row).full_name == bound->second.endpoint ? 1 : 0;
    }
  }

  // A session moves only when its endpoint was no candidate, not when others outvoted it. What another
  // request of the session has bound meanwhile counts: its first two requests may be decided at once.
  void dispatched(const Cycle& cycle, const Stages&, Decision& decision) const override {
    const auto id = session_of(cycle.request());
    const EndpointState* endpoint = target(decision);
    if (!id || endpoint == nullptr) {
      return;
    }
    const std::lock_guard lock(mutex_);
    sweep(cycle.now());
    auto bound = bound_.find(*id);
    if (bound == bound_.end()) {
      bound = bound_.emplace(std::string(*id), Binding{}).first;
    }
    Binding& binding = bound->second;
    const bool is_candidate = std::ranges::any_of(
        cycle.candidates(), [&](Row row) { return cycle.endpoint(row).full_name == binding.endpoint; });
    if (!is_candidate || cycle.now() - binding.used > options_.idle) {
      binding.endpoint = endpoint->full_name;
    }
    binding.used = cycle.now();
  }

 private:
  struct Binding {
    std::string endpoint;
    TimePoint used;
  };
  std::optional<std::string_view> session_of(const Request& request) const {
    for (const IdSource& source : options_.sources) {
      if (const auto id = source.find(request)) {
        return id;
      }
    }
    return std::nullopt;
  }
  void sweep(TimePoint now) const {
    if (now - swept_ >= options_.sweep) {
      swept_ = now;
      std::erase_if(bound_, [&](const auto& entry) { return now - entry.second.used > options_.idle; });
    }
  }

  const Options options_;
  mutable std::mutex mutex_;
  mutable std::map<std::string, Binding, std::less<>> bound_;
  mutable TimePoint swept_;
};

template <typename Base>
class AffinityScorer final : public Base, public Scorer {
 public:
  using Base::Base;
  void score(const Cycle& cycle, std::span<const Row> rows, std::span<double> scores) const override {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      scores[i] = this->is_pinned(cycle, rows[i]) ? 1 : 0;
    }
  }
};

template <typename Base>
class AffinityFilter final : public Base, public Filter {
 public:
  using Base::Base;
  void filter(Cycle& cycle, std::vector<Row>& rows) const override {
    const auto pinned = std::ranges::find_if(rows, [&](Row row) { return this->is_pinned(cycle, row); });
    if (pinned != rows.end()) {
      const Row only = *pinned;
      rows.assign(1, only);
    }
  }
};

IdAffinity::Options read_id_options(PluginSetup& setup) {
  IdAffinity::Options options;
  std::int64_t idle = 300;
  std::int64_t sweep = 10;
  Parameters& config = setup.parameters.object("sessionIdConfig");
  config.read("evictionTtlSeconds", idle);
  config.read("evictionSweepSeconds", sweep);
  if (sweep <= 0) {
    config.reject("evictionSweepSeconds", "must be positive");
  }
  options.idle = std::chrono::seconds(idle);
  options.sweep = std::chrono::seconds(sweep);
  for (Parameters* item : config.objects("sources")) {
    IdSource source;
    std::string attribute;
    std::string producer;
    item->read("header", source.header);
    item->read("attribute", attribute);
    item->read("producer", producer);
    if (!attribute.empty() || !producer.empty()) {
      const auto* made = dynamic_cast<const SessionIdProducer*>(
          setup.reference("sessionIdConfig.sources", producer.empty() ? "session-id-producer" : producer));
      source = made != nullptr ? made->source : source;
    }
    options.sources.push_back(std::move(source));
  }
  if (options.sources.empty()) {
    options.sources.push_back({"x-session-id", ""});
  }
  for (IdSource& source : options.sources) {
    source.header = to_lower(source.header);
    setup.reads_header(source.cookie.empty() ? std::string_view(source.header) : "cookie");
  }
  return options;
}

template <template <typename> class Role>
std::unique_ptr<Plugin> make(PluginSetup& setup) {
  int strategy = 0;
  std::string header = "x-session-token";
  setup.parameters.read_choice("strategy", strategy, {"encoded_endpoint_header", "session_id"});
  setup.parameters.read("headerName", header);
  setup.parameters.object("encodedEndpointHeaderConfig").read("header", header);
  std::string profile;
  setup.parameters.read("profileName", profile);
  const Place place = profile == "prefill"  ? Place::Prefill
                      : profile == "encode" ? Place::Encode
                                            : Place::Primary;
  const Column pinned = setup.names().column(fmt::format("session/{}", setup.plugin_name));
  if (strategy == 1) {
    return std::make_unique<Role<IdAffinity>>(pinned, place, read_id_options(setup));
  }
  setup.parameters.object("sessionIdConfig").accept_all();
  header = to_lower(header);
  setup.reads_header(header);
  return std::make_unique<Role<TokenAffinity>>(pinned, place, header);
}

}  // namespace

Result<std::unique_ptr<Plugin>> make_session_affinity_scorer(PluginSetup& setup) {
  return make<AffinityScorer>(setup);
}

Result<std::unique_ptr<Plugin>> make_session_affinity_filter(PluginSetup& setup) {
  return make<AffinityFilter>(setup);
}

Result<std::unique_ptr<Plugin>> make_session_id_producer(PluginSetup& setup) {
  IdSource source;
  setup.parameters.read("headerName", source.header);
  setup.parameters.read("cookieName", source.cookie);
  if (source.header.empty() == source.cookie.empty()) {
    return invalid_argument("exactly one of headerName and cookieName must be given");
  }
  source.header = to_lower(source.header);
  setup.provide("session");
  return std::make_unique<SessionIdProducer>(std::move(source));
}

}  // namespace llmd::picker
