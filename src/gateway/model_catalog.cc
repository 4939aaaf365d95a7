#include "gateway/model_catalog.h"

#include <algorithm>

#include "base/strings.h"

namespace llmd::gateway {
namespace {

openai::ApiError not_found_error(std::string message, std::string_view param) {
  return {.status = 404, .code = "model_not_found", .message = std::move(message), .param = param};
}

openai::ApiError unknown_model(std::string_view model, std::span<const ModelMapping> mappings) {
  constexpr std::size_t kMost = 10;
  std::vector<std::string> names;
  for (const ModelMapping& mapping : mappings) {
    if (names.empty() || names.back() != mapping.card.id) {
      names.push_back(mapping.card.id);
    }
  }
  std::string message = fmt::format("The model `{}` does not exist.", model);
  if (names.empty()) {
    return not_found_error(message + " No backend has listed a model yet.", "model");
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  if (const auto nearest = nearest_name(model, views)) {
    message += fmt::format(" Did you mean `{}`?", *nearest);
  }
  const std::size_t all = names.size();
  names.resize(std::min(all, kMost));
  message += " Models: " + join(names, ", ");
  message += all > kMost ? fmt::format(" and {} more (GET /v1/models).", all - kMost) : ".";
  return not_found_error(std::move(message), "model");
}

}  // namespace

std::expected<std::vector<const ModelMapping*>, openai::ApiError> ModelCatalog::find(
    std::string_view model, std::string_view owner) const {
  const auto named = std::ranges::equal_range(
      mappings, model, {}, [](const ModelMapping& mapping) { return std::string_view(mapping.card.id); });
  if (named.empty()) {
    return std::unexpected(unknown_model(model, mappings));
  }
  std::vector<const ModelMapping*> found;
  std::vector<std::string> owners;
  for (const ModelMapping& mapping : named) {
    owners.push_back(mapping.card.owned_by);
    if (owner.empty() || equals_ignoring_case(owner, mapping.card.owned_by)) {
      found.push_back(&mapping);
    }
  }
  if (found.empty()) {
    return std::unexpected(not_found_error(
        fmt::format("The model `{}` is not served by `{}`. Owners: {}.", model, owner, join(owners, ", ")),
        "owned_by"));
  }
  const auto chosen = std::ranges::find(found, true, &ModelMapping::by_default);
  if (owner.empty() && chosen != found.end()) {
    return std::vector{*chosen};
  }
  return found;
}

bool ModelCatalog::knows(std::string_view model) const {
  return std::ranges::binary_search(
      mappings, model, {}, [](const ModelMapping& mapping) { return std::string_view(mapping.card.id); });
}

std::vector<openai::ListedCard> ModelCatalog::list() const {
  std::vector<openai::ListedCard> cards;
  for (const ModelMapping& mapping : mappings) {
    cards.push_back(
        {.card = mapping.card, .stale = mapping.stale, .via = std::string(to_string(mapping.via()))});
  }
  return cards;
}

}  // namespace llmd::gateway
