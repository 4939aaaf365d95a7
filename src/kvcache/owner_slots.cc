#include "kvcache/owner_slots.h"

#include <sys/mman.h>

#include <memory>

#include "base/assert.h"

namespace llmd::kvcache {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

}  // namespace

OwnerSlots::OwnerSlots(std::size_t count, bool with_runs) {
  std::size_t wanted = count * sizeof(OwnerEntry);
  const bool huge = wanted >= kHugePage;
  wanted = huge ? (wanted + kHugePage - 1) / kHugePage * kHugePage : wanted;
  memory_size_ = huge ? wanted + kHugePage : wanted;
  memory_ = mmap(nullptr, memory_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  LLMD_ASSERT(memory_ != MAP_FAILED, "memory for the prefix index");
  void* start = memory_;
  if (huge) {
    std::size_t space = memory_size_;
    start = std::align(kHugePage, wanted, start, space);
    madvise(start, wanted, MADV_HUGEPAGE);  // a wish; without it look-ups are slower
  }
  entries = static_cast<OwnerEntry*>(start);
  size = wanted / sizeof(OwnerEntry) / kLine * kLine;
  if (with_runs) {
    void* const numbers = mmap(nullptr, size * sizeof(std::uint32_t), PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    LLMD_ASSERT(numbers != MAP_FAILED, "memory for the prefix index");
    runs = static_cast<std::atomic<std::uint32_t>*>(numbers);
  }
}

OwnerSlots::~OwnerSlots() {
  if (runs != nullptr) {
    munmap(runs, size * sizeof(std::uint32_t));
  }
  munmap(memory_, memory_size_);
}

}  // namespace llmd::kvcache
