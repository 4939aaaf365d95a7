#include "picker/explain/recorder.h"

#include <algorithm>
#include <bit>

namespace llmd::picker {

struct Recorder::Slot {
  mutable std::mutex mutex;
  Recorded recorded;
};

namespace {

bool any_but_zero(std::span<const float> values) {
  std::uint32_t bits = 0;  // without a way out in the middle, so that many are taken at a time
  for (const float value : values) {
    bits |= std::bit_cast<std::uint32_t>(value) << 1;  // both zeros
  }
  return bits != 0;
}

void record_request(const Plan& plan, const Request& request, Recorded& into) {
  into.request_id = request.id;
  into.model = request.model;
  into.target = request.target_model;
  into.path = request.path;
  into.fairness_id = request.fairness_id;
  into.headers.resize(plan.headers.size());
  for (std::size_t i = 0; i < plan.headers.size(); ++i) {
    into.headers[i] = request.headers.find(plan.headers[i]).value_or("");
  }
  into.stream = request.stream;
  into.multimodal = request.multimodal;
  into.priority = request.priority;
  into.prompt_tokens = request.prompt_tokens();
  into.prompt_bytes = static_cast<std::int64_t>(request.prompt_bytes);
  into.max_tokens = request.max_tokens;
}

void record_values(const Cycle& cycle, Recorded& into) {
  into.columns.clear();
  into.values.clear();
  const std::size_t columns = cycle.rows() == 0 ? 0 : cycle.values().size() / cycle.rows();
  for (std::size_t i = 0; i < columns; ++i) {
    const auto values = cycle.column(static_cast<Column>(i));
    if (any_but_zero(values)) {
      into.columns.push_back(static_cast<Column>(i));
      into.values.insert(into.values.end(), values.begin(), values.end());
    }
  }
  into.scalars.assign(cycle.scalars().begin(), cycle.scalars().end());
}

}  // namespace

void Recorded::restore(const Plan& plan, const Request& request, Cycle& cycle) const {
  cycle.begin(request, snapshot, plan.names, sequence, seed, TimePoint());
  const std::size_t rows = cycle.rows();
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::copy_n(values.begin() + static_cast<std::ptrdiff_t>(i * rows), rows, cycle.fill(columns[i]).begin());
  }
  for (std::size_t i = 0; i < scalars.size(); ++i) {
    cycle.set_scalar(static_cast<Scalar>(i), scalars[i]);
  }
  cycle.set_candidates(candidates);
}

std::optional<std::string_view> RecordedHeaders::find(std::string_view name) const {
  for (std::size_t i = 0; i < names.size() && i < values.size(); ++i) {
    if (names[i] == name && !values[i].empty()) {
      return values[i];
    }
  }
  return std::nullopt;
}

Request recorded_request(const Recorded& recorded, const RecordedHeaders& headers) {
  Request request;
  request.id = recorded.request_id;
  request.model = recorded.model;
  request.target_model = recorded.target;
  request.headers = headers;
  request.path = recorded.path;
  request.stream = recorded.stream;
  request.priority = recorded.priority;
  request.fairness_id = recorded.fairness_id;
  request.prompt_bytes = static_cast<std::size_t>(recorded.prompt_bytes);
  request.estimated_tokens = recorded.prompt_tokens;
  request.max_tokens = recorded.max_tokens;
  request.multimodal = recorded.multimodal;
  return request;
}

Recorder::Recorder(std::size_t capacity)
    : capacity_(capacity),
      chunks_(std::make_unique<std::atomic<Slot*>[]>((capacity + kChunk - 1) / kChunk)) {}

Recorder::~Recorder() {
  for (std::size_t i = 0; i < (capacity_ + kChunk - 1) / kChunk; ++i) {
    delete[] chunks_[i].load();
  }
}

Recorder::Slot& Recorder::slot(std::uint64_t id) {
  const std::size_t place = (id - 1) % capacity_;
  std::atomic<Slot*>& chunk = chunks_[place / kChunk];
  Slot* slots = chunk.load(std::memory_order_acquire);
  if (slots == nullptr) {
    auto fresh = std::make_unique<Slot[]>(kChunk);
    if (chunk.compare_exchange_strong(slots, fresh.get())) {
      slots = fresh.release();
    }
  }
  return slots[place % kChunk];
}

const Recorder::Slot* Recorder::find_slot(std::uint64_t id) const {
  const std::size_t place = (id - 1) % capacity_;
  const Slot* slots = chunks_[place / kChunk].load(std::memory_order_acquire);
  return slots != nullptr ? &slots[place % kChunk] : nullptr;
}

std::uint64_t Recorder::record(const Plan& plan, const Cycle& cycle, const Stages& stages, WallTime time,
                               std::string_view rejection) {
  const std::uint64_t id = next_.fetch_add(1, std::memory_order_relaxed) + 1;
  Slot& own = slot(id);
  const std::lock_guard lock(own.mutex);
  Recorded& into = own.recorded;
  into.id = id;
  into.sequence = cycle.sequence();
  into.seed = cycle.seed();
  into.time = time;
  record_request(plan, cycle.request(), into);
  record_values(cycle, into);
  into.snapshot = cycle.snapshot_ptr();
  into.candidates.assign(cycle.candidates().begin(), cycle.candidates().end());
  into.left_out.assign(cycle.left_out().begin(), cycle.left_out().end());
  into.rejection = rejection;
  into.primary = stages.primary;
  into.prefill = stages.prefill;
  into.encode = stages.encode;
  return id;
}

std::optional<Recorded> Recorder::find(std::string_view request_id) const {
  std::optional<Recorded> newest;
  for (std::uint64_t id = 1; id <= capacity_; ++id) {
    const Slot* slot = find_slot(id);
    if (slot == nullptr) {
      continue;
    }
    const std::lock_guard lock(slot->mutex);
    const Recorded& recorded = slot->recorded;
    if (recorded.id != 0 && recorded.request_id == request_id && (!newest || recorded.id > newest->id)) {
      newest = recorded;
    }
  }
  return newest;
}

std::vector<Recorded> Recorder::last(std::size_t count) const {
  std::vector<Recorded> found;
  const std::uint64_t newest = next_.load(std::memory_order_relaxed);
  const std::uint64_t wanted = std::min<std::uint64_t>({count, capacity_, newest});
  for (std::uint64_t id = newest; id > newest - wanted; --id) {
    const Slot* slot = find_slot(id);
    if (slot == nullptr) {
      continue;
    }
    const std::lock_guard lock(slot->mutex);
    if (slot->recorded.id == id) {
      found.push_back(slot->recorded);
    }
  }
  return found;
}

}  // namespace llmd::picker
