// The renderers of a service's pools, each made when it is first needed, and kept warm: the engine that is
// asked loads its tokenizer and template before the first client waits for them, at the start, when the
// endpoints of the pool have changed, and after a failure. In the background: nobody waits for it, readiness
// neither. One loop. Private to extproc.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "async/scope.h"
#include "extproc/pools.h"
#include "extproc/renderer.h"

namespace llmd::extproc {

class Renderers {
 public:
  // Before, nobody is asked. Once.
  void start_on(async::EventLoop& loop) { loop_ = &loop; }
  // Of the pool's token-producer, as long as the pool lives; null: tokens are estimated.
  Renderer* of(const PoolPtr& pool);
  // Keeps the renderers of these pools warm, also of those that are still to come, until cancelled.
  Task<void> keep_warm(const Pools& pools);

 private:
  struct Known {
    std::weak_ptr<const Pool> pool;  // tells it from another one at the same place
    std::shared_ptr<Renderer> renderer;
    bool kept_warm = false;
    std::vector<std::uint32_t> endpoints = {};  // when they were looked at last
  };
  Known& find(const PoolPtr& pool);
  void look(const Pools& pools, async::Scope& scope);

  async::EventLoop* loop_ = nullptr;
  std::map<const Pool*, Known> known_;
};

}  // namespace llmd::extproc
