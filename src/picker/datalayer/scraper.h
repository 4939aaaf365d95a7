// Scraper: asks the endpoints of a picker for their numbers, as the configuration's data sources say.
//
// Every endpoint is asked on its own, over one kept connection. While its numbers tell something it is asked
// every `interval`; less and less often, up to `longest_interval`, while they stand still, or while nobody
// waits there, its cache has room, and the requests it counts are those that we have sent to it: leases know
// those as soon as it does. The longest interval stays below the age at which saturation detectors stop to
// trust numbers. Where an exporter can tell the wanted series alone, it is asked for no more (page_share.h).
// An endpoint that does not answer keeps its last numbers, which lose their weight with age (gather.h); a
// line is logged when that begins and when it ends. Where numbers come from the address that requests go to,
// one that refuses connections is known as such (EndpointState::unreachable) until it does no longer.
//
// One loop. The picker outlives it.
#pragma once

#include <memory>

#include "async/event_loop.h"
#include "picker/picker.h"

namespace llmd::picker {

struct ScrapeOptions {
  Duration interval = std::chrono::milliseconds(50);
  Duration longest_interval = std::chrono::milliseconds(150);
  Duration timeout = std::chrono::seconds(1);
  std::size_t max_page = std::size_t{8} << 20;
};

class Scraper {
 public:
  Scraper(async::EventLoop& loop, const Picker& picker, ScrapeOptions options = {});
  ~Scraper();

  // Until cancelled.
  Task<void> run();

  struct Stats {
    std::uint64_t pages = 0;
    std::uint64_t failures = 0;
  };
  Stats stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::picker
