// Loading and unloading LoRA adapters while the server runs (declared in handlers.h).
#include <filesystem>

#include "base/log.h"
#include "engine/server/handlers.h"
#include "engine/server/requests.h"

namespace llmd::engine {
namespace {

std::unexpected<ApiError> invalid_user_input(std::string message) {
  return std::unexpected(ApiError{400, "InvalidUserInput", std::move(message), std::nullopt});
}

Api<> check_load(const Context& context, const LoadAdapterRequest& request) {
  if (request.lora_name.empty() || request.lora_path.empty()) {
    return invalid_user_input("Both 'lora_name' and 'lora_path' must be provided.");
  }
  if (!request.load_inplace && context.adapters.find(request.lora_name)) {
    return invalid_user_input(fmt::format(
        "The LoRA adapter '{}' has already been loaded; set load_inplace to replace it.", request.lora_name));
  }
  for (const std::string& name : context.model->names) {
    if (name == request.lora_name) {
      return invalid_user_input(fmt::format("'{}' is the name of the base model.", name));
    }
  }
  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::path(request.lora_path) / "adapter_config.json", ignored)) {
    return std::unexpected(ApiError{
        404, "NotFoundError",
        fmt::format("No adapter found at '{}' (no adapter_config.json).", request.lora_path), std::nullopt});
  }
  return {};
}

}  // namespace

Task<void> handle_load_adapter(Call& call) {
  auto body = co_await call.read_body();
  if (!body) {
    co_return;
  }
  Context& context = call.context();
  auto request = parse_load_adapter_request(*body);
  if (!request) {
    co_return co_await call.error(request.error());
  }
  // A simulated adapter has no files.
  auto checked = check_load(context, *request);
  if (!checked && !(context.simulated && checked.error().status == 404)) {
    co_return co_await call.error(checked.error());
  }
  Engine* engine = context.engine;
  auto load = [engine, path = request->lora_path] { return engine->load_adapter(path); };
  auto weights = co_await context.worker.run(std::move(load));
  if (!weights) {
    ApiError error{400, "InvalidUserInput", weights.error().text(), std::nullopt};
    co_return co_await call.error(std::move(error));
  }
  if ((*weights)->rank() > context.settings.max_lora_rank) {
    ApiError error{400, "InvalidUserInput",
                   fmt::format("The adapter's rank {} is above --max-lora-rank {}.", (*weights)->rank(),
                               context.settings.max_lora_rank),
                   std::nullopt};
    co_return co_await call.error(std::move(error));
  }
  const std::string base =
      request->base_model_name.empty() ? context.model->names.front() : request->base_model_name;
  context.adapters.add({request->lora_name, request->lora_path, base, 0, std::move(*weights)});
  log::info("LoRA adapter loaded", {{"name", request->lora_name}, {"path", request->lora_path}});
  co_await call.text(200, "text/plain; charset=utf-8",
                     fmt::format("Success: LoRA adapter '{}' added successfully.", request->lora_name));
}

Task<void> handle_unload_adapter(Call& call) {
  auto body = co_await call.read_body();
  if (!body) {
    co_return;
  }
  auto request = parse_load_adapter_request(*body);
  if (!request) {
    co_return co_await call.error(request.error());
  }
  if (request->lora_name.empty()) {
    ApiError error{400, "InvalidUserInput", "'lora_name' must be provided.", std::nullopt};
    co_return co_await call.error(std::move(error));
  }
  if (!call.context().adapters.remove(request->lora_name)) {
    ApiError error{404, "NotFoundError",
                   fmt::format("The LoRA adapter '{}' cannot be found.", request->lora_name), std::nullopt};
    co_return co_await call.error(std::move(error));
  }
  log::info("LoRA adapter unloaded", {{"name", request->lora_name}});
  co_await call.text(200, "text/plain; charset=utf-8",
                     fmt::format("Success: LoRA adapter '{}' removed successfully.", request->lora_name));
}

}  // namespace llmd::engine
