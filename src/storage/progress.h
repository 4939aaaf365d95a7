// Shows the progress of a fetch: a bar that redraws itself on a terminal, one JSON object per line otherwise
//   {"event":"progress","step":"downloading","bytes":1048576,"total":92900000}
//   {"event":"done","path":"/models/x.gguf","bytes":98362432,"sha256":"…","was_there":false}
#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "storage/fetch.h"

namespace llmd::storage {

enum class ProgressStyle { Auto, Bar, Json, None };

class ProgressPrinter {
 public:
  // Writes to `fd` (not owned); Auto is a bar if it is a terminal.
  ProgressPrinter(int fd, ProgressStyle style, std::string name, const Clock& clock = system_clock());
  ~ProgressPrinter();

  void update(const Progress& progress);
  void done(const Fetched& fetched);

 private:
  void draw(const Progress& progress);
  void write(std::string_view text) const;
  std::string rate(std::uint64_t bytes, TimePoint now);

  const int fd_;
  const ProgressStyle style_;
  const std::string name_;
  const Clock& clock_;
  bool drawn_ = false;
  std::optional<Progress> last_;
  TimePoint last_time_{};
  double bytes_per_second_ = 0;
};

}  // namespace llmd::storage
