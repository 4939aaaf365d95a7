#include "operator/preset_installer.h"

#include "base/log.h"
#include "llmisvc/presets.h"
#include "operator/difference.h"

namespace llmd::operators {
namespace {

constexpr std::string_view kManagedBy = "app.kubernetes.io/managed-by";
constexpr std::string_view kManager = "llmd-operator";

Task<Result<void>> install(kube::Client& client, kube::Object preset) {
  kube::at(preset, "metadata.labels").emplace_object()[kManagedBy] = kManager;
  kube::Object desired = with_hash(std::move(preset));
  const kube::ObjectKey key = kube::key_of(desired);
  const auto live = co_await client.get(kube::kLlmConfigs, key);
  if (!live && live.error().kind != ErrorKind::NotFound) {
    co_return std::unexpected(live.error());
  }
  if (live && kube::label_of(*live, kManagedBy) != kManager) {
    log::info("a preset is somebody else's and stays", {{"preset", key.to_string()}});
    co_return Result<void>();
  }
  if (live && is_applied(desired, *live)) {
    co_return Result<void>();
  }
  const auto applied = co_await client.apply(kube::kLlmConfigs, std::move(desired), std::string(kManager));
  if (!applied) {
    Error error = applied.error();
    co_return std::unexpected(std::move(error).within("preset " + key.to_string()));
  }
  log::info("preset installed", {{"preset", key.to_string()}});
  co_return Result<void>();
}

}  // namespace

Task<Result<void>> install_presets(kube::Client& client, llmisvc::Facts facts) {
  Result<void> first;
  for (kube::Object& preset : llmisvc::preset_objects(facts)) {
    const auto installed = co_await install(client, std::move(preset));
    if (!installed && first) {
      first = installed;
    }
  }
  co_return first;
}

}  // namespace llmd::operators
