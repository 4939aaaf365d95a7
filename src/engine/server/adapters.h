// The LoRA adapters that requests may name. One loop; loading itself happens elsewhere.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/generation.h"
#include "engine/server/api_error.h"

namespace llmd::engine {

class AdapterRegistry {
 public:
  std::shared_ptr<const NamedAdapter> find(std::string_view name) const;
  // In the order of loading; the same name again replaces it in place.
  void add(NamedAdapter adapter);
  bool remove(std::string_view name);
  const std::vector<std::shared_ptr<const NamedAdapter>>& all() const { return adapters_; }

 private:
  std::vector<std::shared_ptr<const NamedAdapter>> adapters_;
  std::uint64_t versions_ = 0;
};

}  // namespace llmd::engine
