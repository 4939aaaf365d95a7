// Runs: stretches of a chain whose blocks all have the same few owners. A reader who stands at the first
// block of a run and whose chain has the run's last block where it should be has all between in common as
// well (a block's hash covers everything before it), and passes the whole stretch in one step.
//
// A run is whole or broken. A whole one may grow at its end. Whoever changes the owners of one of its blocks
// breaks it first; then its blocks are looked at one by one. Numbers begin at 1 and are reused: what a reader
// finds under one tells by `first` whose run it is. Records live as long as the object.
//
// read(): any thread. All else: the writer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace llmd::kvcache {

class OwnerRuns {
 public:
  struct Run {
    std::uint64_t first = 0;  // keys of its ends
    std::uint64_t last = 0;
    std::uint64_t owners = 0;  // word of each of its blocks (owner_word.h); 0: broken
    std::uint32_t blocks = 0;
  };

  OwnerRuns() : chunks_(new std::atomic<Record*>[kMaxChunks]()) {}
  ~OwnerRuns() {
    for (std::size_t i = 0; i < kMaxChunks; ++i) {
      delete[] chunks_[i].load(std::memory_order_relaxed);
    }
  }
  OwnerRuns(const OwnerRuns&) = delete;

  // All zero when it is being changed at this moment.
  Run read(std::uint32_t number) const {
    const Record& record = at(number);
    const std::uint32_t before = record.version.load(std::memory_order_acquire);
    const Run run{record.first.load(std::memory_order_acquire), record.last.load(std::memory_order_acquire),
                  record.owners.load(std::memory_order_acquire),
                  record.blocks.load(std::memory_order_acquire)};
    const bool steady = before % 2 == 0 && record.version.load(std::memory_order_relaxed) == before;
    return steady ? run : Run();
  }

  // The number of a new run that has run.blocks members; 0: there are too many.
  std::uint32_t make(const Run& run) {
    std::uint32_t number = 0;
    if (!free_.empty()) {
      number = free_.back();
      free_.pop_back();
    } else if (members_.size() < kMaxChunks * kChunkRuns) {
      if (members_.size() % kChunkRuns == 0) {
        chunks_[members_.size() / kChunkRuns].store(new Record[kChunkRuns], std::memory_order_release);
        bytes_.fetch_add(kChunkRuns * sizeof(Record), std::memory_order_relaxed);
      }
      members_.push_back(0);
      number = static_cast<std::uint32_t>(members_.size());
    } else {
      return 0;
    }
    members_[number - 1] = run.blocks;
    write(number, run);
    return number;
  }
  // So many more blocks with its owners follow its last one. Not of a broken run.
  void extend(std::uint32_t number, std::uint64_t last, std::uint32_t blocks) {
    Run run = read(number);
    run.last = last;
    run.blocks += blocks;
    members_[number - 1] += blocks;
    write(number, run);
  }
  // One of its blocks changes or leaves.
  void leave(std::uint32_t number) {
    Run run = read(number);
    if (run.owners != 0) {
      run.owners = 0;
      write(number, run);
    }
    if (--members_[number - 1] == 0) {
      free_.push_back(number);
    }
  }

  std::size_t memory_bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  struct Record {
    std::atomic<std::uint32_t> version = 0;  // odd: being written
    std::atomic<std::uint32_t> blocks = 0;
    std::atomic<std::uint64_t> first = 0;
    std::atomic<std::uint64_t> last = 0;
    std::atomic<std::uint64_t> owners = 0;
  };
  static constexpr std::size_t kChunkRuns = 1024;
  static constexpr std::size_t kMaxChunks = 8192;

  Record& at(std::uint32_t number) const {
    const std::size_t index = number - 1;
    return chunks_[index / kChunkRuns].load(std::memory_order_acquire)[index % kChunkRuns];
  }
  void write(std::uint32_t number, const Run& run) {
    Record& record = at(number);
    const std::uint32_t version = record.version.load(std::memory_order_relaxed);
    record.version.store(version + 1, std::memory_order_relaxed);
    // Released, so that nobody sees one of them before the odd version.
    record.first.store(run.first, std::memory_order_release);
    record.last.store(run.last, std::memory_order_release);
    record.owners.store(run.owners, std::memory_order_release);
    record.blocks.store(run.blocks, std::memory_order_release);
    record.version.store(version + 2, std::memory_order_release);
  }

  std::unique_ptr<std::atomic<Record*>[]> chunks_;
  std::vector<std::uint32_t> members_;  // by number - 1: blocks that name it
  std::vector<std::uint32_t> free_;
  std::atomic<std::size_t> bytes_ = 0;
};

}  // namespace llmd::kvcache
