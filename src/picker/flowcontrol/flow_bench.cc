// What flow control costs, by itself: the pool is a number. After llm-d's benchmarks of its flow controller:
//
//   FlowMatrix         requests of so many clients, by limit of the pool (0: none), threads, priorities,
//   flows.
//                      llm-d varies its shards; here all threads share one queue, so that threads are varied.
//   FlowChoice         llm-d's HighShardSort orders many shards for each request. There are no shards here;
//   what
//                      a request chooses among are flows and bands, so these are many.
//   FlowTopologyChurn  every request a flow that nobody saw before, while bands and the pool come and go.
//   FlowMassCancel     so many clients wait, and leave at once.
//   FlowIdleWait       what it costs that so many wait.
//   FlowFullPath       a request through the picker, without flow control and with it.
//   FlowPage           /metrics while so many wait.
//
// CPU time of the process per request (cpu_us): on a busy machine the clock on the wall measures neighbours.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <atomic>
#include <ctime>
#include <functional>
#include <thread>
#include <vector>

#include "async/event_loop.h"
#include "async/scope.h"
#include "picker/flowcontrol/flow_control.h"
#include "picker/picker.h"
#include "picker/plan.h"

namespace llmd::picker {
namespace {

double process_microseconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) * 1e-3;
}

// A pool that serves `limit` requests at a time, 0: any number, behind flow control.
struct Pool {
  explicit Pool(int limit_, std::string_view flow = "")
      : limit(limit_),
        plan(build_plan(
                 parse_configuration(fmt::format("featureGates: [flowControl]\nplugins: [{{type: "
                                                 "concurrency-detector}}]\nflowControl: {{"
                                                 "saturationDetector: {{pluginRef: concurrency-detector}}"
                                                 "{}{}}}\n",
                                                 flow.empty() ? "" : ", ", flow),
                                     "bench", {})
                     .value(),
                 {})
                 .value()),
        control(std::make_shared<FlowControl>(
            plan, 429, system_clock(),
            [this](FlowControl::Pending pending) -> FlowControl::Pool {
              const int all = running.load(std::memory_order_relaxed);
              return {limit == 0 ? 0 : static_cast<double>(all + pending.requests) / limit, empty, all};
            },
            [](const EndpointState&) { return true; })) {}
  ~Pool() { control->shut_down(); }

  // One request from its arrival to its end; it runs for a turn of the loop.
  Task<void> serve(const Request& request) {
    auto admitted = co_await control->admit(request, async::Deadline::never());
    if (!admitted) {
      co_return;
    }
    {
      const FlowControl::Admission room = std::move(*admitted);
      running.fetch_add(1, std::memory_order_relaxed);
    }
    co_await async::sleep(Duration::zero());
    running.fetch_sub(1, std::memory_order_relaxed);
    control->poke();
  }

  const int limit;
  std::atomic<int> running{0};
  std::atomic<bool> empty{false};
  const std::shared_ptr<const Plan> plan;
  const std::shared_ptr<FlowControl> control;
};

std::string bands(int count) {
  std::string text;
  for (int priority = 0; priority < count; ++priority) {
    text += fmt::format("{}{{priority: {}, maxRequests: 1M}}", text.empty() ? "" : ", ", -priority);
  }
  return "priorityBands: [" + text + "]";
}

std::vector<std::string> flow_names(int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) {
    names.push_back(fmt::format("tenant-{}", i));
  }
  return names;
}

// `clients` tasks on `threads` loops share `requests` requests.
struct Load {
  Pool& pool;
  int clients;
  int requests;
  int priorities;
  const std::vector<std::string>& flows;
  std::atomic<int> next{0};

  Task<void> client() {
    for (int number = next.fetch_add(1); number < requests; number = next.fetch_add(1)) {
      const Request request{.model = "m",
                            .priority = -(number % priorities),
                            .fairness_id = flows[static_cast<std::size_t>(number) % flows.size()],
                            .body_bytes = 1000};
      co_await pool.serve(request);
    }
  }
  void run(int threads) {
    std::vector<std::thread> all;
    for (int t = 0; t < threads; ++t) {
      all.emplace_back([this, threads, t] {
        async::EventLoop loop;
        loop.block_on([&]() -> Task<void> {
          co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
            for (int i = t; i < clients; i += threads) {
              scope.spawn("client", client());
            }
            co_await scope.join();
          });
        }());
      });
    }
    for (std::thread& thread : all) {
      thread.join();
    }
  }
};

void report(benchmark::State& state, double begin, std::int64_t requests) {
  state.counters["cpu_us"] = (process_microseconds() - begin) / static_cast<double>(requests);
}

// limit, threads, priorities, flows, clients
void BM_FlowMatrix(benchmark::State& state) {
  const auto arg = [&state](std::size_t i) { return static_cast<int>(state.range(i)); };
  const int requests = std::max(2000, arg(4) + arg(4) / 5);
  const std::vector<std::string> flows = flow_names(arg(3));
  const double begin = process_microseconds();
  for (auto _ : state) {
    Pool pool(arg(0), bands(arg(2)));
    Load load{pool, arg(4), requests, arg(2), flows};
    load.run(arg(1));
  }
  report(state, begin, state.iterations() * requests);
}
BENCHMARK(BM_FlowMatrix)
    ->ArgNames({"limit", "threads", "priorities", "flows", "clients"})
    ->ArgsProduct({{0, 1, 100}, {1, 8}, {1, 8}, {10, 50'000}, {10, 5'000, 50'000}})
    ->Iterations(1)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

// How many requests wait, each with an owner of its own, without threads.
struct Waiters {
  Waiters(std::string_view flow, int count, int flows, int priorities)
      : plan(build_plan(parse_configuration(fmt::format("featureGates: [flowControl]\nplugins: [{{type: "
                                                        "program-aware-fairness}}]\nflowControl: {{{}}}\n",
                                                        flow),
                                            "bench", {.allow_experimental = true})
                            .value(),
                        {.load = {.allow_experimental = true}})
                 .value()),
        queue(plan->configuration.flow, *plan, 429),
        names(flow_names(flows)),
        items(static_cast<std::size_t>(count)) {
    for (std::size_t i = 0; i < items.size(); ++i) {
      items[i].priority = -static_cast<int>(i) % priorities;
      items[i].flow = names[i % names.size()];
      items[i].bytes = 1000;
      items[i].settle = [this](const std::optional<Rejection>&) { ++settled; };
      queue.add(items[i], now).value();
    }
  }
  const TimePoint now{std::chrono::hours(1)};
  const std::shared_ptr<const Plan> plan;
  FlowQueue queue;
  const std::vector<std::string> names;
  std::vector<FlowQueue::Waiting> items;
  std::size_t settled = 0;
};

// policy, flows, priorities: all of 50,000 waiting requests are dispatched.
void BM_FlowChoice(benchmark::State& state) {
  static constexpr const char* kPolicies[] = {"global-strict-fairness-policy", "round-robin-fairness-policy",
                                              "program-aware-fairness"};
  const auto priorities = static_cast<int>(state.range(2));
  std::string configured;
  for (int priority = 0; priority < priorities; ++priority) {
    configured += fmt::format("{}{{priority: {}, maxRequests: 1M, fairnessPolicyRef: {}}}",
                              configured.empty() ? "" : ", ", -priority, kPolicies[state.range(0)]);
  }
  constexpr int kMost = 500;  // of the waiting ones, so that slow policies end
  std::int64_t dispatched = 0;
  double spent = 0;
  for (auto _ : state) {
    Waiters waiters("priorityBands: [" + configured + "]", 50'000, static_cast<int>(state.range(1)),
                    priorities);
    const double begin = process_microseconds();
    for (int i = 0; i < kMost && waiters.queue.dispatch_one(0, waiters.now); ++i) {
      ++dispatched;
    }
    spent += process_microseconds() - begin;
  }
  state.counters["cpu_us"] = spent / static_cast<double>(dispatched);
}
BENCHMARK(BM_FlowChoice)
    ->ArgNames({"policy", "flows", "priorities"})
    ->ArgsProduct({{0, 1, 2}, {10, 1'000, 50'000}, {1, 64}})
    ->Iterations(1);

// clients; each request is a flow of its own, and every hundredth changes bands and the pool.
void BM_FlowTopologyChurn(benchmark::State& state) {
  const auto clients = static_cast<int>(state.range(0));
  const int requests = std::max(5000, 2 * clients);
  const std::vector<std::string> flows = flow_names(requests);
  const double begin = process_microseconds();
  for (auto _ : state) {
    Pool pool(10, "defaultPriorityBand: {maxRequests: 1M}");
    std::atomic<bool> done{false};
    std::thread changes([&] {
      for (int i = 0; !done; ++i) {
        const int levels[] = {-(i % 3), -(i % 5), i % 2};
        pool.control->set_priorities(levels);
        pool.empty = i % 2 == 0;
        pool.control->poke();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    Load load{pool, clients, requests, 5, flows};
    load.run(2);
    done = true;
    changes.join();
  }
  report(state, begin, state.iterations() * requests);
}
BENCHMARK(BM_FlowTopologyChurn)->Arg(10)->Arg(1'000)->Arg(10'000)->Iterations(1)->UseRealTime();

// Clients on one loop that wait for a pool which serves nobody.
struct Crowd {
  explicit Crowd(int clients_) : clients(clients_) { pool.running = 1; }
  // They leave when `body` has ended.
  void wait_while(const std::function<Task<void>()>& body) {
    loop.block_on([&]() -> Task<void> {
      co_await async::with_scope(loop.executor(), [&](async::Scope& scope) -> Task<void> {
        for (int i = 0; i < clients; ++i) {
          scope.spawn("client", load.client());
        }
        while (pool.control->waiting() < static_cast<std::size_t>(clients)) {
          co_await async::sleep(Duration::zero());
        }
        co_await body();
      });
    }());
  }
  const int clients;
  const std::vector<std::string> flows = flow_names(1000);
  Pool pool{1, bands(1)};
  async::EventLoop loop;
  Load load{pool, clients, clients, 1, flows};
};

// clients: all of them arrive, wait, and leave at once.
void BM_FlowMassCancel(benchmark::State& state) {
  double arriving = 0;
  double leaving = 0;
  for (auto _ : state) {
    Crowd crowd(static_cast<int>(state.range(0)));
    double begin = process_microseconds();
    crowd.wait_while([&]() -> Task<void> {
      arriving += process_microseconds() - begin;
      begin = process_microseconds();
      co_return;
    });
    leaving += process_microseconds() - begin;
  }
  const auto all = static_cast<double>(state.iterations() * state.range(0));
  state.counters["cpu_us_to_arrive"] = arriving / all;
  state.counters["cpu_us_to_leave"] = leaving / all;
}
BENCHMARK(BM_FlowMassCancel)->Arg(500)->Arg(5'000)->Arg(50'000)->Iterations(1);

// clients that wait for a second of the wall clock: what waiting itself costs.
void BM_FlowIdleWait(benchmark::State& state) {
  double spent = 0;
  for (auto _ : state) {
    Crowd crowd(static_cast<int>(state.range(0)));
    crowd.wait_while([&]() -> Task<void> {
      const double begin = process_microseconds();
      const auto since = std::chrono::steady_clock::now();
      co_await async::sleep(std::chrono::seconds(1));
      const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - since;
      spent += (process_microseconds() - begin) / wall.count();
    });
  }
  state.counters["cpu_ms_per_s"] = spent / 1000 / static_cast<double>(state.iterations());
}
BENCHMARK(BM_FlowIdleWait)->Arg(10)->Arg(1'000)->Arg(10'000)->Iterations(1)->UseRealTime();

// gate, endpoints: a whole request of a picker that has room, without flow control and with it.
void BM_FlowFullPath(benchmark::State& state) {
  auto picker =
      Picker::from_config(state.range(0) != 0 ? "featureGates: [flowControl]\nplugins: [{type: "
                                                "concurrency-detector}]\nflowControl: "
                                                "{saturationDetector: {pluginRef: concurrency-detector}}\n"
                                              : "",
                          "bench")
          .value();
  std::vector<Endpoint> endpoints;
  for (int i = 0; i < state.range(1); ++i) {
    endpoints.push_back({.address = {fmt::format("10.0.0.{}", i), 8000}, .name = fmt::format("e{}", i)});
  }
  picker->update(std::move(endpoints));
  async::EventLoop loop;
  constexpr int kBatch = 1000;
  const double begin = process_microseconds();
  for (auto _ : state) {
    loop.block_on([&]() -> Task<void> {
      for (int i = 0; i < kBatch; ++i) {
        auto decision =
            co_await picker->decide({.id = "r", .model = "m", .body_bytes = 1000}, async::Deadline::never());
        decision->complete({.status = 200, .usage = {}});
      }
    }());
  }
  report(state, begin, state.iterations() * kBatch);
}
BENCHMARK(BM_FlowFullPath)->ArgNames({"gate", "endpoints"})->ArgsProduct({{0, 1}, {8, 100}})->Iterations(20);

// waiting requests, flows: one look of Prometheus.
void BM_FlowPage(benchmark::State& state) {
  Waiters waiters(bands(1), static_cast<int>(state.range(0)), static_cast<int>(state.range(1)), 1);
  for (auto _ : state) {
    Page page;
    waiters.queue.totals().write(page, "pool");
    benchmark::DoNotOptimize(page);
  }
}
BENCHMARK(BM_FlowPage)
    ->Args({1'000, 10})
    ->Args({50'000, 10})
    ->Args({50'000, 50'000})
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace llmd::picker
