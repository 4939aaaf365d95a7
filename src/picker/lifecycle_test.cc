// What must hold for every request, however it ends: leases come back, and nothing is allocated on the way.
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>
#include <random>
#include <thread>

#include "picker/picker.h"

namespace {
thread_local std::size_t allocations = 0;
}  // namespace

#if __has_feature(thread_sanitizer)
constexpr bool kAllocationsAreCounted = false;  // it has operators of its own and lets nobody replace them
#else
constexpr bool kAllocationsAreCounted = true;
void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) {
    return memory;
  }
  throw std::bad_alloc();
}
// ASan has one of its own, whose memory the operator delete below must not get.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
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

TEST(AllocationTest, ADecisionAllocatesNothingOnceItHasWarmedUp) {
  if (!kAllocationsAreCounted) {
    GTEST_SKIP() << "under the thread sanitizer allocations cannot be counted";
  }
  auto picker = Picker::from_config("", "x", {.explanations = 100}).value();
  picker->update(endpoints(100));
  std::vector<std::uint64_t> units(1024);
  for (std::size_t i = 0; i < units.size(); ++i) {
    units[i] = i + 1;
  }
  const Request request{.id = "3c1e4f2a-0000-4000-8000-000000000000",
                        .model = "a-model-with-a-long-name-that-does-not-fit-inline",
                        .prompt_bytes = units.size() * 64,
                        .prompt_units = units};
  const auto once = [&] {
    auto decision = picker->pick(request).value();
    decision.first_token();
    decision.complete({.usage = {.prompt_tokens = 16384, .completion_tokens = 1, .cached_tokens = 16384}});
  };
  for (int i = 0; i < 2000; ++i) {
    once();
  }
  const std::size_t before = allocations;
  for (int i = 0; i < 1000; ++i) {
    once();
  }
  EXPECT_EQ(allocations - before, 0);
}

}  // namespace
}  // namespace llmd::picker
