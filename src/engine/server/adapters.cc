#include "engine/server/adapters.h"

#include <algorithm>

namespace llmd::engine {

std::shared_ptr<const NamedAdapter> AdapterRegistry::find(std::string_view name) const {
  const auto found = std::ranges::find(adapters_, name,
                                       [](const auto& adapter) -> std::string_view { return adapter->name; });
  return found == adapters_.end() ? nullptr : *found;
}

void AdapterRegistry::add(NamedAdapter adapter) {
  adapter.version = ++versions_;
  auto shared = std::make_shared<const NamedAdapter>(std::move(adapter));
  for (auto& existing : adapters_) {
    if (existing->name == shared->name) {
      existing = std::move(shared);
      return;
    }
  }
  adapters_.push_back(std::move(shared));
}

bool AdapterRegistry::remove(std::string_view name) {
  return std::erase_if(adapters_, [&](const auto& adapter) { return adapter->name == name; }) > 0;
}

}  // namespace llmd::engine
