// PageShare: whether an exporter is asked for its whole page or for the few series that we want.
//
// Prometheus' client libraries, and so vLLM, SGLang and `llmd serve`, answer `?name[]=a&name[]=b` with these
// alone. Others ignore the query, and some (client libraries in several processes) answer with nothing. So an
// exporter is believed only while its part says all that its whole page says: both are compared before parts
// are taken for good, and again and again. One that fails the comparison is asked for whole pages until it
// was away and may have become another.
//
// One per endpoint and source; one thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "picker/endpoint.h"

namespace llmd::picker {

class PageShare {
 public:
  enum class Question { Whole, Part };
  // What to ask next.
  Question next() const;
  // The answer to that, of so many bytes.
  void answered(const EngineReport& report, std::size_t bytes);
  // There was none, or it was no page.
  void failed();

 private:
  enum class State {
    Unknown,   // whole pages are asked for, until one is large
    Compared,  // the last page was whole; is the part as good?
    Trusted,
    Refused,
  };
  State state_ = State::Unknown;
  EngineReport whole_;  // what the last whole page told
  std::size_t whole_bytes_ = 0;
  int parts_ = 0;  // in a row
};

}  // namespace llmd::picker
