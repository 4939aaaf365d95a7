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
// What comes back is bounded: a page that stops in the middle, is cut off, compressed, elsewhere or larger
// than `max_page` is a failure like no answer; one without any wanted number is an answer, but logged as the
// others. After a page that was too large its exporter is left alone for longer. A connection to a name ends
// after `resolve_every`, because the name may mean another address by then.
//
// Every source has its own connections, certificates and times, and asks every endpoint in a task of its own:
// one that is slow keeps nobody waiting.
//
// One loop. The picker outlives it.
#pragma once

#include <memory>

#include "async/event_loop.h"
#include "picker/picker.h"

namespace llmd::picker {

class PollSource;
struct Plan;

struct ScrapeOptions {
  Duration interval = std::chrono::milliseconds(50);
  Duration shortest_interval = std::chrono::milliseconds(50);  // that a source may have of its own
  Duration longest_interval = std::chrono::milliseconds(150);
  Duration timeout = std::chrono::seconds(1);
  std::size_t max_page = std::size_t{8} << 20;
  Duration resolve_every = std::chrono::seconds(30);      // where endpoints have names instead of addresses
  Duration certificates_every = std::chrono::seconds(1);  // are looked at, whether they have changed
};

// How often endpoints are asked at least while their numbers change: a source with an interval of its own
// goes by that, however short the others' are; one without goes as fast as the fastest.
Duration base_interval(const Plan& plan, const PollSource& source, const ScrapeOptions& options);

// The certificates that sources name can be used; where not, the error names source, file and cure. For the
// start of a program: later a source keeps what it has, and says so (PollSource::problem).
Result<void> check_sources(const Plan& plan);
// What is wrong with sources now, worded as above.
std::vector<Error> source_problems(const Plan& plan);

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
