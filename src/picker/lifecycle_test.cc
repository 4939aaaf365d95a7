// What must hold for every request, however it ends: leases come back, and nothing is allocated on the way.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <new>
#include <random>
#include <thread>

#include "metrics/registry.h"
#include "picker/picker.h"

namespace {
thread_local std::size_t allocations = 0;
std::atomic<std::size_t> allocations_of_all = 0;
}  // namespace

#if __has_feature(thread_sanitizer)
constexpr bool kAllocationsAreCounted = false;  // it has operators of its own and lets nobody replace them
#else
constexpr bool kAllocationsAreCounted = true;
void* operator new(std::size_t size) {
  ++allocations;
  allocations_of_all.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size)) {
    return memory;
  }
  throw std::bad_alloc();
}
// ASan has one of its own, whose memory the operator delete below must not get.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  allocations_of_all.fetch_add(1, std::memory_order_relaxed);
  return std::malloc(size);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
#endif

namespace llmd::picker {
namespace {

std::vector<Endpoint> endpoints(std::size_t count) {
  std::vector<Endpoint> made;
  for (std::size_t i = 0; i < count; ++i) {
    made.push_back({.address = {"10.0." + std::to_string(i / 250) + "." + std::to_string(i % 250), 8000},
                    .name = "e" + std::to_string(i),
                    .labels = {{"llm-d.ai/role", i % 4 == 0 ? "prefill" : "decode"}}});
  }
  return made;
}

constexpr std::string_view kPrefillDecode = R"(plugins:
- type: queue-scorer
- type: prefill-filter
- type: decode-filter
- type: always-disagg-pd-decider
- type: disagg-profile-handler
  parameters: {deciders: {prefill: always-disagg-pd-decider}}
schedulingProfiles:
- name: prefill
  plugins: [{pluginRef: prefill-filter}]
- name: decode
  plugins: [{pluginRef: decode-filter}, {pluginRef: queue-scorer}]
)";

// One request that ends in one of every possible ways.
void live(const Picker& picker, std::mt19937& random, std::vector<Decision>& held) {
  auto decision = picker.pick({.id = "r", .model = "m", .prompt_bytes = random() % 5000});
  if (!decision) {
    return;
  }
  switch (random() % 8) {
    case 0:  // answered
      decision->first_token();
      decision->complete({.usage = {.prompt_tokens = 5, .completion_tokens = 5}});
      break;
    case 1:  // answered twice over
      decision->complete({});
      decision->complete({});
      break;
    case 2:  // failed
      decision->complete({.cause = EndCause::Failed, .status = 500});
      break;
    case 3:  // the client leaves before the first byte
      break;
    case 4:  // and after it
      decision->first_token();
      break;
    case 5: {  // tried again elsewhere
      const EndpointPtr failed = decision->lease.endpoint();
      auto again = picker.pick({.model = "m"}, {{failed}});
      if (again) {
        *decision = std::move(*again);
      }
      break;
    }
    case 6:  // still running
      held.push_back(std::move(*decision));
      break;
    default:  // moved about
      Decision other = std::move(*decision);
      *decision = std::move(other);
      decision->first_token();
      decision->first_token();
  }
  if (held.size() > 50) {
    held.erase(held.begin());
  }
}

TEST(LeaseTest, AMillionRequestsThatEndInEveryWayLeaveNothingBehind) {
  auto picker = Picker::from_config(kPrefillDecode, "x").value();
  picker->update(endpoints(12));
  std::vector<EndpointPtr> all = picker->endpoints()->endpoints;
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 2; ++t) {
    threads.emplace_back([&picker, t] {
      std::mt19937 random(t);
      std::vector<Decision> held;
      for (int i = 0; i < 500'000; ++i) {
        live(*picker, random, held);
      }
    });
  }
  for (std::size_t i = 0; i < 20; ++i) {  // endpoints leave and come back meanwhile
    picker->update(endpoints(6 + i % 7));
    const auto now = picker->endpoints()->endpoints;
    all.insert(all.end(), now.begin(), now.end());
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const EndpointPtr& endpoint : all) {
    EXPECT_EQ(endpoint->running(), 0) << endpoint->full_name;
    EXPECT_EQ(endpoint->tokens(), 0) << endpoint->full_name;
  }
}

class AllocationTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!kAllocationsAreCounted) {
      GTEST_SKIP() << "under the thread sanitizer allocations cannot be counted";
    }
  }
  // 100 endpoints; few explanations, so that each place for one has been used before we count.
  void start(PickerOptions options = {}) {
    options.explanations = 100;
    picker_ = Picker::from_config("", "x", options).value();
    picker_->update(endpoints(100));
  }
  // 16,384 tokens in 256 blocks, which the engine has as predicted; another `prompt` shares none of them.
  void serve(std::uint64_t prompt) {
    for (std::size_t i = 0; i < units_.size(); ++i) {
      units_[i] = prompt * units_.size() + i + 1;
    }
    auto decision = picker_->pick(request_).value();
    decision.first_token();
    decision.complete(
        {.usage = {.prompt_tokens = 16384,
                   .completion_tokens = 1,
                   .cached_tokens = std::max<std::int64_t>(decision.predicted_cached_tokens, 0)}});
  }
  // Long enough for every list to have its size: 1,024 chains may wait to be inserted.
  static constexpr std::uint64_t kWarmUp = 2000;
  static constexpr std::uint64_t kCounted = 1000;

  std::unique_ptr<Picker> picker_;
  std::vector<std::uint64_t> units_ = std::vector<std::uint64_t>(1024);
  const Request request_{.id = "3c1e4f2a-0000-4000-8000-000000000000",
                         .model = "a-model-with-a-long-name-that-does-not-fit-inline",
                         .prompt_bytes = units_.size() * 64,
                         .prompt_units = units_};
};

TEST_F(AllocationTest, ADecisionAllocatesNothingOnceItHasWarmedUp) {
  start();
  for (std::uint64_t i = 0; i < kWarmUp; ++i) {
    serve(0);
  }
  const std::size_t before = allocations_of_all;
  for (std::uint64_t i = 0; i < kCounted; ++i) {
    serve(0);
  }
  EXPECT_EQ(allocations_of_all - before, 0) << "on any thread";
}

TEST_F(AllocationTest, NorDoesOneAboutAPromptThatWasNeverSeen) {
  start();
  for (std::uint64_t i = 0; i < kWarmUp; ++i) {
    serve(i);
  }
  const std::size_t before = allocations;
  for (std::uint64_t i = 0; i < kCounted; ++i) {
    serve(kWarmUp + i);
  }
  EXPECT_EQ(allocations - before, 0) << "on the thread that decides; another one makes the index grow";
}

TEST_F(AllocationTest, NorDoesOneThatIsCountedInEveryMetric) {
  metrics::Registry registry;
  start({.metrics = &registry, .request_metrics = true});
  for (std::uint64_t i = 0; i < kWarmUp; ++i) {
    serve(0);
  }
  const std::size_t before = allocations_of_all;
  for (std::uint64_t i = 0; i < kCounted; ++i) {
    serve(0);
  }
  EXPECT_EQ(allocations_of_all - before, 0) << "on any thread";
  picker_.reset();  // before the registry
}

}  // namespace
}  // namespace llmd::picker
