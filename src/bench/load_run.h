// Sends the requests and measures them. One event loop, one thread, any number of connections.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "async/event_loop.h"
#include "bench/latency_histogram.h"
#include "bench/load_options.h"

namespace llmd::bench {

struct LoadResult {
  Duration elapsed{};  // of the counted part
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  std::uint64_t events = 0;                     // of streams: about one per token
  std::uint64_t bytes = 0;                      // of bodies
  std::map<std::string, std::uint64_t> errors;  // by kind: "unavailable", "http 503", "stream cut off", …
  std::map<std::string, std::string> examples;  // the first message of each kind
  LatencyHistogram first_token;                 // the first event of a stream, else the response's head
  LatencyHistogram latency;                     // the whole answer
  LatencyHistogram gaps;                        // between arrivals of events
};

struct LoadHooks {
  std::function<void()> on_start;  // warm-up is over, counting begins
  std::function<void()> on_end;    // the last counted request is answered
};

// Ends early, with what was measured until then, when `stop` is called (from a task on the same loop).
class Load {
 public:
  Load(async::EventLoop& loop, LoadOptions options, LoadHooks hooks = {});
  ~Load();
  Task<Result<LoadResult>> run();
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::bench
