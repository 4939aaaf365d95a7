// Cycle: everything about one decision that plugins may look at.
//
// Endpoints are rows of the snapshot; what is known about them stands in columns (structure of arrays): the
// numbers of scrapers and leases, and what producers computed for this request. Filters, scorers, pickers and
// profile handlers see nothing else, keep no state, and so decide the same whenever a recorded cycle is
// played again.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "picker/endpoint.h"
#include "picker/request.h"

namespace llmd::picker {

struct SpanParent;

using Row = std::uint16_t;     // position of an endpoint in the snapshot
using Column = std::uint16_t;  // one number per endpoint
using Scalar = std::uint16_t;  // one number per request

// Columns that every cycle has.
enum : Column {
  kWaiting,           // requests in the engine's queue, as reported
  kRunning,           // requests the engine works on, as reported
  kKvUsage,           // 0..1
  kInFlightRequests,  // leases
  kInFlightTokens,    // prompt tokens of leases whose answer has not begun
  kAge,               // seconds since the numbers were reported; infinite before the first report
  kBlockTokens,       // the engine's block size; 0: unknown
  kBlocks,            // the engine's cache size in blocks; 0: unknown
  kBasicColumns
};

// The names of a plan's columns and scalars: producers and consumers meet by name.
class Names {
 public:
  Names();
  Column column(std::string_view name);  // made on first use
  Scalar scalar(std::string_view name);
  const std::vector<std::string>& columns() const { return columns_; }
  const std::vector<std::string>& scalars() const { return scalars_; }

 private:
  std::vector<std::string> columns_;
  std::vector<std::string> scalars_;
};

// xorshift128+; the same seed gives the same numbers on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed = 1);
  std::uint64_t next();
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // [0, 1)
  std::size_t below(std::size_t n) { return n == 0 ? 0 : static_cast<std::size_t>(next() % n); }

 private:
  std::uint64_t a_;
  std::uint64_t b_;
};

class Cycle {
 public:
  // For one decision at a time; memory is kept between decisions.
  void begin(const Request& request, std::shared_ptr<const EndpointSnapshot> snapshot, const Names& names,
             std::uint64_t sequence, std::uint64_t seed, TimePoint now);
  void end() { snapshot_.reset(); }

  const Request& request() const { return *request_; }
  const EndpointSnapshot& snapshot() const { return *snapshot_; }
  const std::shared_ptr<const EndpointSnapshot>& snapshot_ptr() const { return snapshot_; }
  const EndpointState& endpoint(Row row) const { return *snapshot_->endpoints[row]; }
  const Endpoint& described(Row row) const { return *snapshot_->described[row]; }
  std::size_t rows() const { return rows_; }
  bool has(Row row, unsigned predicate) const { return (snapshot_->masks[row] >> predicate & 1) != 0; }

  std::span<const float> column(Column column) const { return {values_.data() + column * rows_, rows_}; }
  float at(Column of, Row row) const { return values_[of * rows_ + row]; }
  float scalar(Scalar scalar) const { return scalars_[scalar]; }

  // For producers. Columns begin as zeros.
  std::span<float> fill(Column column) { return {values_.data() + column * rows_, rows_}; }
  void set_scalar(Scalar scalar, float value) { scalars_[scalar] = value; }

  // The endpoints that may serve the request at all.
  std::span<const Row> candidates() const { return candidates_; }
  void set_candidates(std::span<const Row> rows) { candidates_.assign(rows.begin(), rows.end()); }
  // Those that only may not because they refuse connections, for the explanation.
  std::span<const Row> left_out() const { return left_out_; }
  void set_left_out(std::span<const Row> rows) { left_out_.assign(rows.begin(), rows.end()); }

  // Decisions of this picker so far: for taking turns.
  std::uint64_t sequence() const { return sequence_; }
  std::uint64_t seed() const { return seed_; }
  TimePoint now() const { return now_; }
  Random& random() { return random_; }
  // So that what was drawn before the profiles run does not change what they draw.
  void restart_random() { random_ = Random(seed_); }

  // The endpoint that another stage of this request got (prefill and decode near each other).
  std::optional<Row> peer() const { return peer_; }
  void set_peer(std::optional<Row> row) { peer_ = row; }

  // Where plugins may add spans of their own (spans.h); null: nobody wants them.
  const SpanParent* spans() const { return spans_; }
  void set_spans(const SpanParent* parent) { spans_ = parent; }

  // All values, columns first, for recording and playing again.
  std::span<const float> values() const { return values_; }
  std::span<const float> scalars() const { return scalars_; }

 private:
  const Request* request_ = nullptr;
  std::shared_ptr<const EndpointSnapshot> snapshot_;
  std::size_t rows_ = 0;
  std::vector<float> values_;
  std::vector<float> scalars_;
  std::vector<Row> candidates_;
  std::vector<Row> left_out_;
  std::uint64_t sequence_ = 0;
  std::uint64_t seed_ = 0;
  TimePoint now_;
  Random random_;
  std::optional<Row> peer_;
  const SpanParent* spans_ = nullptr;
};

}  // namespace llmd::picker
