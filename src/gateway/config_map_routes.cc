#include "gateway/config_map_routes.h"

#include "base/log.h"
#include "kube/informer.h"

namespace llmd::gateway {
namespace {

constexpr std::string_view kEntry = "routes";
constexpr int kAttempts = 10;

Result<ManualRoutes> routes_of(const kube::Object& map) {
  const kube::Object* data = kube::find_object(map, "data");
  if (data == nullptr || !data->contains(kEntry)) {
    return ManualRoutes();
  }
  const std::string source = fmt::format("ConfigMap {}, {}", kube::key_of(map).to_string(), kEntry);
  return ManualRoutes::parse(kube::find_string(*data, kEntry), source);
}

}  // namespace

struct ConfigMapRoutes::State {
  State(async::EventLoop& loop, kube::Client& used, kube::ObjectKey chosen)
      : client(used),
        key(std::move(chosen)),
        informer(loop, client, kube::kConfigMaps, key.name_space,
                 {.label_selector = {}, .field_selector = "metadata.name=" + key.name}) {
    informer.on_change([this](const kube::Object*, const kube::Object* after) {
      if (const auto routes = after != nullptr ? routes_of(*after) : ManualRoutes()) {
        tell(*routes);
      } else {
        log::warning("the entries made by hand from before stay", {{"problem", routes.error().text()}});
      }
    });
  }

  void tell(const ManualRoutes& routes) const {
    if (changed) {
      changed(routes);
    }
  }

  Task<Result<int>> try_edit(const RouteEdit& change);

  kube::Client& client;
  const kube::ObjectKey key;
  kube::Informer informer;
  std::function<void(const ManualRoutes&)> changed;
};

// Conflict, AlreadyExists: somebody was faster.
Task<Result<int>> ConfigMapRoutes::State::try_edit(const RouteEdit& change) {
  auto found = co_await client.get(kube::kConfigMaps, key);
  if (!found && found.error().kind != ErrorKind::NotFound) {
    co_return std::unexpected(std::move(found).error());
  }
  kube::Object map = found ? std::move(*found)
                           : kube::Object{{"apiVersion", "v1"},
                                          {"kind", "ConfigMap"},
                                          {"metadata", {{"name", key.name}, {"namespace", key.name_space}}}};
  LLMD_CO_TRY(auto routes, routes_of(map));
  const std::string before = routes.text();
  LLMD_CO_TRY(const int concerned, change(routes));
  const std::string after = routes.text();
  if (before == after) {
    co_return concerned;
  }
  kube::at(map, fmt::format("data.{}", kEntry)) = after;
  const auto written = found ? co_await client.update(kube::kConfigMaps, std::move(map))
                             : co_await client.create(kube::kConfigMaps, std::move(map));
  if (!written) {
    co_return std::unexpected(written.error());
  }
  tell(routes);
  co_return concerned;
}

ConfigMapRoutes::ConfigMapRoutes(async::EventLoop& loop, kube::Client& client, kube::ObjectKey key)
    : state_(std::make_unique<State>(loop, client, std::move(key))) {}

ConfigMapRoutes::~ConfigMapRoutes() = default;

void ConfigMapRoutes::on_change(std::function<void(const ManualRoutes&)> changed) {
  state_->changed = std::move(changed);
}

Task<Result<int>> ConfigMapRoutes::edit(RouteEdit change) {
  for (int attempt = 1;; ++attempt) {
    auto outcome = co_await state_->try_edit(change);
    const bool raced = !outcome && (outcome.error().kind == ErrorKind::Conflict ||
                                    outcome.error().kind == ErrorKind::AlreadyExists);
    if (!raced || attempt == kAttempts) {
      co_return outcome;
    }
  }
}

Task<void> ConfigMapRoutes::run() {
  return state_->informer.run();
}

Task<void> ConfigMapRoutes::synced() {
  return state_->informer.synced();
}

}  // namespace llmd::gateway
