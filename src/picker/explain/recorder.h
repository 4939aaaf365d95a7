// Recorder: the last decisions, as the facts they were made from. Recording copies numbers into memory that
// is kept from one decision to the next; texts are made when somebody asks, by deciding again with the same
// facts (explain/render.h). Any thread. Private to picker.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "picker/evaluate.h"

namespace llmd::picker {

// The facts of one decision.
struct Recorded {
  std::uint64_t id = 0;  // 0: nothing recorded here
  std::uint64_t sequence = 0;
  std::uint64_t seed = 0;
  WallTime time;
  std::string request_id;
  std::string model;
  std::string target;
  std::string path;
  std::string fairness_id;
  std::vector<std::string> headers;  // values in the order of Plan::headers; empty: absent
  bool stream = false;
  bool multimodal = false;
  int priority = 0;
  std::int64_t prompt_tokens = 0;
  std::int64_t prompt_bytes = 0;
  std::int64_t max_tokens = 0;
  std::shared_ptr<const EndpointSnapshot> snapshot;
  std::vector<Row> candidates;
  std::vector<Row> left_out;    // refused connections
  std::vector<Column> columns;  // those that hold anything but zeros
  std::vector<float> values;    // of these columns, one after the other
  std::vector<float> scalars;
  std::vector<Row> primary;  // what was chosen; empty: rejected
  std::optional<Row> prefill;
  std::vector<Row> encode;
  std::string rejection;

  // The cycle as it was; `request` must live as long as the cycle is used.
  void restore(const Plan& plan, const Request& request, Cycle& cycle) const;
};

// Headers of a recorded request, by the names that plugins read.
struct RecordedHeaders {
  const std::vector<std::string>& names;
  const std::vector<std::string>& values;
  std::optional<std::string_view> find(std::string_view name) const;
};
Request recorded_request(const Recorded& recorded, const RecordedHeaders& headers);

class Recorder {
 public:
  explicit Recorder(std::size_t capacity);
  ~Recorder();

  // `rejection` empty: stages tell what was chosen. Returns the explanation's id.
  std::uint64_t record(const Plan& plan, const Cycle& cycle, const Stages& stages, WallTime time,
                       std::string_view rejection);

  // Copies; nullopt when it is no longer there.
  std::optional<Recorded> find(std::string_view request_id) const;
  // Newest first.
  std::vector<Recorded> last(std::size_t count) const;

 private:
  struct Slot;
  // Memory comes a chunk at a time: most pickers of a gateway see few requests.
  static constexpr std::size_t kChunk = 256;
  Slot& slot(std::uint64_t id);
  const Slot* find_slot(std::uint64_t id) const;  // null: nothing was ever recorded near it

  const std::size_t capacity_;
  const std::unique_ptr<std::atomic<Slot*>[]> chunks_;
  std::atomic<std::uint64_t> next_{0};
};

}  // namespace llmd::picker
