// A model without weights whose logits are a hash of everything the sequence has put into the cache so far,
// read back through the block table. A wrong block, position or stale content changes the answer, as with a
// real model.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/core/random.h"
#include "engine/model/model.h"

namespace llmd::testing {

class FakeCache final : public engine::KvCache {
 public:
  FakeCache(int blocks, int block_size)
      : blocks_(blocks), block_size_(block_size), slots_(static_cast<std::size_t>(blocks * block_size), 0) {}
  int blocks() const override { return blocks_; }
  int block_size() const override { return block_size_; }
  std::size_t bytes() const override { return slots_.size() * sizeof(std::uint64_t); }
  std::uint64_t& slot(std::span<const int> table, int position) {
    const int block = table[static_cast<std::size_t>(position / block_size_)];
    return slots_[static_cast<std::size_t>(block * block_size_ + position % block_size_)];
  }

 private:
  int blocks_;
  int block_size_;
  std::vector<std::uint64_t> slots_;
};

struct FakeAdapter final : engine::LoraAdapter {
  explicit FakeAdapter(std::uint64_t s) : salt(s) {}
  int rank() const override { return 8; }
  std::uint64_t salt;
};

class FakeModel final : public engine::Model {
 public:
  explicit FakeModel(int vocab_size = 64) {
    config_.name = "fake";
    config_.vocab_size = vocab_size;
    config_.max_positions = 4096;
  }
  const engine::ModelConfig& config() const override { return config_; }
  std::unique_ptr<engine::KvCache> make_kv_cache(int blocks, int block_size) const override {
    return std::make_unique<FakeCache>(blocks, block_size);
  }
  std::size_t kv_block_bytes(int block_size) const override {
    return static_cast<std::size_t>(block_size) * 8;
  }
  std::string_view kernels() const override { return "fake"; }
  Result<std::unique_ptr<engine::LoraAdapter>> load_adapter(
      const std::filesystem::path& folder) const override {
    return std::make_unique<FakeAdapter>(folder.native().size());
  }

  void forward(std::span<const engine::SequenceChunk> batch, engine::KvCache& cache,
               std::span<float> logits) override {
    ++steps;
    auto& slots = dynamic_cast<FakeCache&>(cache);
    std::size_t row = 0;
    for (const engine::SequenceChunk& chunk : batch) {
      const auto* adapter = dynamic_cast<const FakeAdapter*>(chunk.adapter);
      const std::uint64_t salt = adapter == nullptr ? 0 : adapter->salt;
      const int length = static_cast<int>(chunk.tokens.size());
      computed_tokens += length;
      for (int i = 0; i < length; ++i) {
        const int position = chunk.position + i;
        slots.slot(chunk.block_table, position) = engine::random_bits(
            static_cast<std::uint64_t>(chunk.tokens[static_cast<std::size_t>(i)]) + 1 + salt,
            static_cast<std::uint64_t>(position));
        if (i >= length - chunk.logit_rows) {
          write_row(slots, chunk.block_table, position, logits, row++);
        }
      }
    }
  }

  int steps = 0;
  long computed_tokens = 0;

 private:
  void write_row(FakeCache& slots, std::span<const int> table, int position, std::span<float> logits,
                 std::size_t row) const {
    std::uint64_t state = 0;
    for (int p = 0; p <= position; ++p) {
      state = engine::mix_bits(state * 31 + slots.slot(table, p));
    }
    const auto width = static_cast<std::size_t>(config_.vocab_size);
    for (std::size_t i = 0; i < width; ++i) {
      logits[row * width + i] = static_cast<float>(engine::random_unit(state, i)) * 8.0F - 4.0F;
    }
  }

  engine::ModelConfig config_;
};

}  // namespace llmd::testing
