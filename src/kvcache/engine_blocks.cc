#include "kvcache/engine_blocks.h"

#include <algorithm>

#include "base/assert.h"
#include "kvcache/mixing.h"

namespace llmd::kvcache {

std::size_t EngineBlocks::home(EngineHash hash) const {
  static const std::uint64_t secret = process_secret();
  return scaled(mixed(hash, secret), table_.size());
}

EngineBlock* EngineBlocks::find(EngineHash hash, std::uint16_t group) {
  if (table_.empty()) {
    return nullptr;
  }
  for (std::size_t place = home(hash); table_[place].key != 0; place = after(place)) {
    if (table_[place].hash == hash && table_[place].group == group) {
      return &table_[place];
    }
  }
  return nullptr;
}

const EngineBlock* EngineBlocks::find_any(EngineHash hash) const {
  if (table_.empty()) {
    return nullptr;
  }
  for (std::size_t place = home(hash); table_[place].key != 0; place = after(place)) {
    if (table_[place].hash == hash) {
      return &table_[place];
    }
  }
  return nullptr;
}

void EngineBlocks::grow() {
  std::vector<EngineBlock> old(std::max<std::size_t>(64, table_.size() + table_.size() / 2));
  old.swap(table_);
  size_ = 0;
  for (const EngineBlock& block : old) {
    if (block.key != 0) {
      put(block);
    }
  }
}

EngineBlock& EngineBlocks::put(const EngineBlock& block) {
  LLMD_ASSERT(block.key != 0, "request keys are never 0");
  if ((size_ + 1) * 4 > table_.size() * 3) {
    grow();
  }
  std::size_t place = home(block.hash);
  while (table_[place].key != 0) {
    place = after(place);
  }
  ++size_;
  return table_[place] = block;
}

void EngineBlocks::erase(EngineHash hash, std::uint16_t group) {
  const EngineBlock* const block = find(hash, group);
  if (block == nullptr) {
    return;
  }
  const std::size_t size = table_.size();
  const auto distance = [size](std::size_t from, std::size_t to) {
    return to >= from ? to - from : to + size - from;
  };
  // Later blocks of the probe run move forward over the hole.
  auto hole = static_cast<std::size_t>(block - table_.data());
  for (std::size_t place = after(hole); table_[place].key != 0; place = after(place)) {
    if (distance(home(table_[place].hash), place) >= distance(hole, place)) {
      table_[hole] = table_[place];
      hole = place;
    }
  }
  table_[hole] = EngineBlock();
  --size_;
}

void EngineBlocks::clear() {
  *this = EngineBlocks();
}

}  // namespace llmd::kvcache
