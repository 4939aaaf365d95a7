#include "kvcache/chain_runs.h"

#include <algorithm>

#include "base/assert.h"

namespace llmd::kvcache {
namespace {

// A place in a list of items whose free ones are linked through `next`.
template <typename Item>
std::uint32_t take_place(std::vector<Item>& items, std::uint32_t& free) {
  if (free != NodeTable::kNone) {
    const std::uint32_t place = free;
    free = items[place].next;
    return place;
  }
  LLMD_ASSERT(items.size() < NodeTable::kNone, "an endpoint has fewer than 2^32 blocks");
  items.emplace_back();
  return static_cast<std::uint32_t>(items.size() - 1);
}

template <typename Item>
void give_back(std::vector<Item>& items, std::uint32_t& free, std::uint32_t place) {
  items[place].next = free;
  free = place;
}

}  // namespace

std::uint32_t ChainRuns::common_length(std::uint32_t run, std::span<const BlockHash> chain) const {
  std::uint32_t length = 0;
  for (Cursor at = begin_of(run); at.left > 0; at = next_chunk(at)) {
    const auto held = hashes_at(at);
    const auto asked = chain.subspan(length, std::min(held.size(), chain.size() - length));
    const auto common = std::ranges::mismatch(held, asked).in1 - held.begin();
    length += static_cast<std::uint32_t>(common);
    if (static_cast<std::size_t>(common) < held.size()) {
      break;
    }
  }
  return length;
}

std::size_t ChainRuns::touch(std::span<const BlockHash> chain) {
  std::size_t held = 0;
  deepest_ = kNone;
  is_cut_ = false;
  while (held < chain.size()) {
    const std::uint32_t run = by_first_block_.find(chain[held], hashes());
    if (run == kNone || runs_[run].parent != deepest_) {
      break;
    }
    const std::uint32_t common = common_length(run, chain.subspan(held));
    held += common;
    deepest_ = run;
    if (common < runs_[run].count) {
      cut(common);
      break;
    }
  }
  for (std::uint32_t run = deepest_; run != kNone; run = runs_[run].parent) {
    unlink(run);
    link_behind(run, kNone);
  }
  return held;
}

bool ChainRuns::may_extend(BlockHash first) const {
  if (is_cut_) {
    return false;
  }
  const bool grows_in_place = deepest_ != kNone && runs_[deepest_].children == 0;
  return grows_in_place || by_first_block_.find(first, hashes()) == kNone;
}

void ChainRuns::extend(std::span<const BlockHash> blocks) {
  if (blocks.empty()) {
    return;
  }
  if (deepest_ != kNone && runs_[deepest_].children == 0) {
    append(deepest_, blocks);
  } else {
    const std::uint32_t run = new_run(deepest_);
    if (deepest_ != kNone) {
      ++runs_[deepest_].children;
    }
    append(run, blocks);
    link_behind(run, deepest_);
    index(run);
    deepest_ = run;
  }
  size_ += blocks.size();
}

// Where the first `length` blocks of a run end.
ChainRuns::Cursor ChainRuns::advanced(Cursor at, std::uint32_t length) const {
  while (length >= hashes_at(at).size()) {
    length -= static_cast<std::uint32_t>(hashes_at(at).size());
    at = next_chunk(at);
  }
  return {at.chunk, at.begin + length, at.left - length};
}

// Makes the first blocks of the deepest run a run of their own that leads to it and is now the deepest. The
// rest keeps its number, because the runs that follow know it.
void ChainRuns::cut(std::uint32_t length) {
  const std::uint32_t run = deepest_;
  const Cursor at = advanced(begin_of(run), length);
  if (by_first_block_.find(chunks_[at.chunk].hashes[at.begin], hashes()) != kNone) {
    is_cut_ = true;  // two prefixes with one hash
    return;
  }
  const std::uint32_t head = new_run(runs_[run].parent);
  by_first_block_.replace(hash_of(run), head, hashes());
  Run& rest = runs_[run];
  Run& front = runs_[head];
  front.begin = rest.begin;
  front.count = length;
  front.children = 1;
  if (at.chunk != rest.first_chunk) {
    front.first_chunk = rest.first_chunk;
    front.last_chunk = chunks_[at.chunk].previous;
  }
  const std::uint32_t meeting = at.chunk == rest.first_chunk ? rest.begin : 0;
  if (at.begin > meeting) {  // the chunk in which both meet
    const std::uint32_t copy = add_chunk(head);
    std::copy_n(chunks_[at.chunk].hashes.begin() + meeting, at.begin - meeting,
                chunks_[copy].hashes.begin() + meeting);
  } else {
    chunks_[front.last_chunk].next = kNone;
  }
  chunks_[at.chunk].previous = kNone;
  rest.first_chunk = at.chunk;
  rest.begin = at.begin;
  rest.count -= length;
  rest.parent = head;
  link_behind(head, kNone);
  index(run);
  deepest_ = head;
}

std::uint32_t ChainRuns::new_run(std::uint32_t parent) {
  const std::uint32_t run = take_place(runs_, free_run_);
  runs_[run] = {kNone, kNone, 0, 0, parent, 0, kNone, kNone};
  return run;
}

// An empty chunk at the end of a run.
std::uint32_t ChainRuns::add_chunk(std::uint32_t number) {
  const std::uint32_t chunk = take_place(chunks_, free_chunk_);
  Run& run = runs_[number];
  chunks_[chunk].previous = run.last_chunk;
  chunks_[chunk].next = kNone;
  (run.last_chunk == kNone ? run.first_chunk : chunks_[run.last_chunk].next) = chunk;
  run.last_chunk = chunk;
  return chunk;
}

void ChainRuns::append(std::uint32_t number, std::span<const BlockHash> blocks) {
  Run& run = runs_[number];
  while (!blocks.empty()) {
    const std::uint32_t place = (run.begin + run.count) % kChunk;
    if (place == 0 || run.count == 0) {
      add_chunk(number);
    }
    const auto piece = blocks.first(std::min<std::size_t>(kChunk - place, blocks.size()));
    std::ranges::copy(piece, chunks_[run.last_chunk].hashes.begin() + place);
    run.count += static_cast<std::uint32_t>(piece.size());
    blocks = blocks.subspan(piece.size());
  }
}

void ChainRuns::index(std::uint32_t run) {
  if (by_first_block_.is_full()) {
    by_first_block_.reserve(std::max<std::size_t>(16, by_first_block_.size() * 2), hashes());
  }
  by_first_block_.insert(run, hashes());
}

std::span<const BlockHash> ChainRuns::pop_excess() {
  if (size_ <= capacity_) {
    return {};
  }
  const std::uint32_t number = last_;
  Run& run = runs_[number];
  LLMD_ASSERT(run.children == 0, "the least recent run is an end of the tree");
  const std::uint32_t chunk = run.last_chunk;
  const std::uint32_t from = chunk == run.first_chunk ? run.begin : 0;
  const std::uint32_t end = (run.begin + run.count - 1) % kChunk + 1;
  const auto excess = static_cast<std::uint32_t>(std::min<std::size_t>(size_ - capacity_, kChunk));
  const std::uint32_t count = std::min(excess, end - from);
  size_ -= count;
  if (count == run.count) {
    remove(number);
  } else {
    run.count -= count;
  }
  if (count == end - from) {
    run.last_chunk = chunks_[chunk].previous;
    if (run.last_chunk != kNone) {
      chunks_[run.last_chunk].next = kNone;
    }
    give_back(chunks_, free_chunk_, chunk);
  }
  return std::span(chunks_[chunk].hashes).subspan(end - count, count);
}

void ChainRuns::remove(std::uint32_t number) {
  by_first_block_.erase(hash_of(number), hashes());
  unlink(number);
  if (runs_[number].parent != kNone) {
    --runs_[runs_[number].parent].children;
  }
  if (deepest_ == number) {
    deepest_ = kNone;
  }
  give_back(runs_, free_run_, number);
}

void ChainRuns::unlink(std::uint32_t number) {
  const Run& run = runs_[number];
  (run.previous == kNone ? first_ : runs_[run.previous].next) = run.next;
  (run.next == kNone ? last_ : runs_[run.next].previous) = run.previous;
}

void ChainRuns::link_behind(std::uint32_t number, std::uint32_t other) {
  Run& run = runs_[number];
  run.previous = other;
  run.next = other == kNone ? first_ : runs_[other].next;
  (run.previous == kNone ? first_ : runs_[run.previous].next) = number;
  (run.next == kNone ? last_ : runs_[run.next].previous) = number;
}

std::size_t ChainRuns::memory_bytes() const {
  return sizeof *this + chunks_.capacity() * sizeof(Chunk) + runs_.capacity() * sizeof(Run) +
         by_first_block_.memory_bytes();
}

}  // namespace llmd::kvcache
