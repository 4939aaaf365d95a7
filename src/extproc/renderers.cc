#include "extproc/renderers.h"

#include "picker/plan.h"

namespace llmd::extproc {
namespace {

constexpr auto kLookEvery = std::chrono::seconds(1);

Task<void> keep(std::shared_ptr<Renderer> renderer) {
  co_await renderer->keep_warm();
}

std::vector<std::uint32_t> endpoints_of(const Pool& pool) {
  std::vector<std::uint32_t> ids;
  for (const picker::EndpointPtr& endpoint : pool.picker->endpoints()->endpoints) {
    ids.push_back(endpoint->id);
  }
  return ids;
}

}  // namespace

Renderers::Known& Renderers::find(const PoolPtr& pool) {
  Known& known = known_[pool.get()];
  const bool same = !known.pool.owner_before(pool) && !pool.owner_before(known.pool);
  if (same) {
    return known;
  }
  if (known.renderer) {
    known.renderer->retire();
  }
  known = {.pool = pool, .renderer = nullptr};
  for (const auto& plugin : pool->picker->plan().plugins) {
    const auto* producer = dynamic_cast<const picker::TokenProducer*>(plugin.get());
    if (producer != nullptr && producer->renders()) {
      known.renderer = std::make_shared<Renderer>(*loop_, producer->options);
    }
  }
  return known;
}

Renderer* Renderers::of(const PoolPtr& pool) {
  return loop_ == nullptr ? nullptr : find(pool).renderer.get();
}

void Renderers::look(const Pools& pools, async::Scope& scope) {
  std::erase_if(known_, [](const auto& each) {
    const bool gone = each.second.pool.expired();
    if (gone && each.second.renderer) {
      each.second.renderer->retire();
    }
    return gone;
  });
  for (const PoolPtr& pool : pools.all()) {
    Known& known = find(pool);
    if (!known.renderer) {
      continue;
    }
    std::vector<std::uint32_t> endpoints = endpoints_of(*pool);
    const bool changed = endpoints != known.endpoints;
    known.endpoints = std::move(endpoints);
    if (!std::exchange(known.kept_warm, true)) {
      scope.spawn("renderer", keep(known.renderer));
    } else if (changed) {
      known.renderer->cool();
    }
  }
}

Task<void> Renderers::keep_warm(const Pools& pools) {
  co_await async::with_scope(loop_->executor(), [this, &pools](async::Scope& scope) -> Task<void> {
    while (true) {
      look(pools, scope);
      co_await async::sleep(kLookEvery);
    }
  });
}

}  // namespace llmd::extproc
