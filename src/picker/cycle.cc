#include "picker/cycle.h"

#include <algorithm>

namespace llmd::picker {
namespace {

template <typename Id>
Id find_or_add(std::vector<std::string>& names, std::string_view name) {
  const auto known = std::ranges::find(names, name);
  if (known == names.end()) {
    names.emplace_back(name);
    return static_cast<Id>(names.size() - 1);
  }
  return static_cast<Id>(known - names.begin());
}

std::uint64_t splitmix(std::uint64_t& state) {
  std::uint64_t z = state += 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

}  // namespace

Names::Names()
    : columns_{"waiting",          "running", "kv_usage",     "in_flight_requests",
               "in_flight_tokens", "age",     "block_tokens", "blocks"} {}

Column Names::column(std::string_view name) {
  return find_or_add<Column>(columns_, name);
}

Scalar Names::scalar(std::string_view name) {
  return find_or_add<Scalar>(scalars_, name);
}

Random::Random(std::uint64_t seed) : a_(splitmix(seed)), b_(splitmix(seed)) {}

std::uint64_t Random::next() {
  std::uint64_t x = a_;
  const std::uint64_t y = b_;
  a_ = y;
  x ^= x << 23;
  b_ = x ^ y ^ (x >> 17) ^ (y >> 26);
  return b_ + y;
}

void Cycle::begin(const Request& request, std::shared_ptr<const EndpointSnapshot> snapshot,
                  const Names& names, std::uint64_t sequence, std::uint64_t seed, TimePoint now) {
  request_ = &request;
  snapshot_ = std::move(snapshot);
  rows_ = snapshot_->endpoints.size();
  values_.assign(names.columns().size() * rows_, 0);
  scalars_.assign(names.scalars().size(), 0);
  candidates_.clear();
  left_out_.clear();
  sequence_ = sequence;
  seed_ = seed;
  now_ = now;
  random_ = Random(seed);
  peer_.reset();
  spans_ = nullptr;
}

}  // namespace llmd::picker
