#include "gateway/model_directory.h"

#include <algorithm>
#include <deque>

#include "async/event.h"
#include "async/scope.h"
#include "async/snapshot.h"
#include "base/log.h"
#include "gateway/catalog_builder.h"
#include "gateway/picker_request.h"
#include "gateway/upstreams.h"

namespace llmd::gateway {
namespace {

constexpr std::size_t kLongestList = std::size_t{4} << 20;
constexpr auto kFirstRetry = std::chrono::seconds(1);

Task<Result<std::vector<openai::ModelCard>>> ask(http::Client& client, net::Address address,
                                                 Duration timeout) {
  http::ClientRequest request;
  request.address = address;
  request.head = {"GET", "/v1/models", {{"Accept", "application/json"}}};
  request.timeouts.connect = timeout;
  request.timeouts.total = async::Deadline::after(timeout);
  LLMD_CO_TRY(const auto answer, co_await http::fetch(client, std::move(request), kLongestList));
  if (answer.status != 200) {
    co_return unavailable("{}: GET /v1/models answered {}", address.to_string(), answer.status);
  }
  co_return openai::parse_model_list(answer.body);
}

}  // namespace

struct ModelDirectory::State {
  State(async::EventLoop& used, DirectoryOptions chosen)
      : loop(used), options(std::move(chosen)), upstreams(used), due(used.executor()) {}

  void set_targets(std::vector<ModelTarget> next);
  void note_endpoints();
  std::shared_ptr<const picker::Picker> picker_of(const ModelTarget& target);
  void rebuild();
  std::vector<net::Address> addresses() const;
  BackendProtocol protocol_of(const net::Address& address) const;
  Task<void> probe(net::Address address);
  Task<void> probe_all(std::vector<net::Address> wanted);
  Task<void> ask_when_due();
  std::vector<net::Address> due_now() const;
  async::Deadline next_due() const;

  async::EventLoop& loop;
  const DirectoryOptions options;
  Upstreams upstreams;
  FindPicker find_picker;
  std::function<void()> changed;
  std::vector<std::shared_ptr<const ModelTarget>> targets;
  std::vector<ManualRoute> manual;
  std::map<std::string, std::shared_ptr<picker::Picker>> pickers;  // of targets that no route has
  Probes probes;
  std::map<std::string, Remembered> remembered;
  async::Snapshot<ModelCatalog> catalog;
  async::Event due;  // somebody new has to be asked
};

void ModelDirectory::State::set_targets(std::vector<ModelTarget> next) {
  std::vector<std::shared_ptr<const ModelTarget>> kept;
  for (ModelTarget& target : next) {
    const auto known =
        std::ranges::find_if(targets, [&](const auto& before) { return before->key == target.key; });
    kept.push_back(known != targets.end() && **known == target
                       ? *known
                       : std::make_shared<const ModelTarget>(std::move(target)));
  }
  targets = std::move(kept);
  note_endpoints();
  rebuild();
}

// Endpoints that are new are asked soon; what those that are gone said is kept by their targets.
void ModelDirectory::State::note_endpoints() {
  const auto present = addresses();
  std::erase_if(probes, [&](const auto& entry) { return !std::ranges::binary_search(present, entry.first); });
  for (const net::Address& address : present) {
    if (probes.try_emplace(address).second) {
      due.set();
    }
  }
}

// Sorted, without repetition.
std::vector<net::Address> ModelDirectory::State::addresses() const {
  std::vector<net::Address> all;
  const auto add = [&all](const ModelTarget& target) {
    for (const picker::Endpoint& endpoint : target.endpoints) {
      all.push_back(endpoint.address);
    }
  };
  for (const auto& target : targets) {
    if (target->discovered) {
      add(*target);
    }
  }
  for (const ManualRoute& route : manual) {
    if (const auto target = target_of(route, targets)) {
      add(*target);
    }
  }
  std::ranges::sort(all);
  const auto repeated = std::ranges::unique(all);
  all.erase(repeated.begin(), repeated.end());
  return all;
}

// As the first target with this endpoint says that has something to say.
BackendProtocol ModelDirectory::State::protocol_of(const net::Address& address) const {
  for (const auto& target : targets) {
    if (target->protocol != BackendProtocol() &&
        std::ranges::find(target->endpoints, address, &picker::Endpoint::address) !=
            target->endpoints.end()) {
      return target->protocol;
    }
  }
  return {};
}

std::shared_ptr<const picker::Picker> ModelDirectory::State::picker_of(const ModelTarget& target) {
  if (find_picker) {
    if (auto shared = find_picker(target.key)) {
      return shared;
    }
  }
  auto& own = pickers[target.key];
  if (!own) {
    own = target.via == Via::Pool && !target.external ? pool_picker(options.pools, options.tracer)
                                                      : std::make_shared<picker::Picker>();
  }
  set_priorities(*own, target.priorities);
  own->update(target.endpoints);
  return own;
}

void ModelDirectory::State::rebuild() {
  auto next = std::make_shared<ModelCatalog>(
      build_catalog({.targets = targets,
                     .manual = manual,
                     .probes = probes,
                     .picker_of = [this](const ModelTarget& target) { return picker_of(target); },
                     .default_owner = options.default_owner,
                     .now = std::chrono::system_clock::now()},
                    remembered));
  // Pickers of targets that are gone must not serve those who still wait for them.
  std::erase_if(pickers, [&](const auto& entry) {
    const bool used = std::ranges::any_of(next->mappings, [&](const ModelMapping& mapping) {
      return std::ranges::any_of(mapping.serving,
                                 [&](const Serving& serving) { return serving.picker == entry.second; });
    });
    if (!used) {
      entry.second->update({});
    }
    return !used;
  });
  catalog.store(std::move(next));
  if (changed) {
    changed();
  }
}

Task<void> ModelDirectory::State::probe(net::Address address) {
  auto listed = co_await ask(upstreams.of(protocol_of(address)), address, options.probe_timeout);
  const auto found = probes.find(address);
  if (found == probes.end()) {
    co_return;  // it left meanwhile
  }
  ProbeState& state = found->second;
  const ProbeState before = state;
  state.asked = true;
  state.answering = listed.has_value();
  Duration pause = options.probe_interval;
  if (listed) {
    state.cards = std::move(*listed);
    state.last_seen = std::chrono::system_clock::now();
    state.failures = 0;
  } else {
    pause = std::min<Duration>(pause, kFirstRetry * (1 << std::min(state.failures, 10)));
    ++state.failures;
    if (before.answering || !before.asked) {
      log::info("a backend does not list its models",
                {{"backend", address.to_string()}, {"reason", listed.error().text()}});
    }
  }
  state.next = std::chrono::steady_clock::now() + pause;
  if (!before.asked || before.answering != state.answering || before.cards != state.cards) {
    rebuild();
  }
}

Task<void> ModelDirectory::State::probe_all(std::vector<net::Address> wanted) {
  std::size_t next = 0;
  auto asker = [this, &wanted, &next]() -> Task<void> {
    while (next < wanted.size()) {
      const net::Address address = wanted[next++];
      co_await probe(address);
    }
  };
  co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
    const std::size_t askers = std::min(options.parallel_probes, wanted.size());
    for (std::size_t i = 0; i < askers; ++i) {
      scope.spawn("ask for models", asker());
    }
    co_await scope.join();
  });
}

std::vector<net::Address> ModelDirectory::State::due_now() const {
  const TimePoint now = std::chrono::steady_clock::now();
  std::vector<net::Address> wanted;
  for (const auto& [address, state] : probes) {
    if (state.next <= now) {
      wanted.push_back(address);
    }
  }
  return wanted;
}

async::Deadline ModelDirectory::State::next_due() const {
  TimePoint next = std::chrono::steady_clock::now() + options.probe_interval;
  for (const auto& [address, state] : probes) {
    next = std::min(next, state.next);
  }
  return async::Deadline::at(next);
}

ModelDirectory::ModelDirectory(async::EventLoop& loop, DirectoryOptions options)
    : state_(std::make_unique<State>(loop, std::move(options))) {}

ModelDirectory::~ModelDirectory() = default;

void ModelDirectory::on_find_picker(FindPicker find) {
  state_->find_picker = std::move(find);
}

void ModelDirectory::on_change(std::function<void()> callback) {
  state_->changed = std::move(callback);
}

void ModelDirectory::set_targets(std::vector<ModelTarget> targets) {
  state_->set_targets(std::move(targets));
}

void ModelDirectory::set_manual(std::vector<ManualRoute> routes) {
  state_->manual = std::move(routes);
  state_->note_endpoints();
  state_->rebuild();
}

Task<void> ModelDirectory::State::ask_when_due() {
  while (true) {
    due.reset();
    auto wanted = due_now();
    if (!wanted.empty()) {
      co_await probe_all(std::move(wanted));
      continue;
    }
    const auto deadline = next_due();
    co_await due.wait_until(deadline);
  }
}

Task<void> ModelDirectory::run() {
  co_await async::with_scope(state_->loop.executor(), [this](async::Scope& scope) -> Task<void> {
    struct Running {
      Upstreams& upstreams;
      ~Running() { upstreams.close(); }
    } running{state_->upstreams};
    state_->upstreams.open(scope);
    co_await state_->ask_when_due();
  });
}

Task<ModelDirectory::Report> ModelDirectory::discover() {
  auto wanted = state_->addresses();
  co_await state_->probe_all(wanted);
  Report report{.endpoints = wanted.size()};
  report.targets = static_cast<std::size_t>(
      std::ranges::count_if(state_->targets, [](const auto& target) { return target->discovered; }));
  report.answered = static_cast<std::size_t>(
      std::ranges::count_if(state_->probes, [](const auto& entry) { return entry.second.answering; }));
  report.models = state_->catalog.load()->mappings.size();
  co_return report;
}

std::shared_ptr<const ModelCatalog> ModelDirectory::catalog() const {
  return state_->catalog.load();
}

}  // namespace llmd::gateway
