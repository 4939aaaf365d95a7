#include "cli/running.h"

#include <unistd.h>

#include <boost/json.hpp>

namespace llmd::cli {

Result<void> write_running(const DataDirectory& data, const Running& running) {
  const boost::json::object object{
      {"pid", ::getpid()}, {"api", running.api.to_string()}, {"gateway", running.gateway.to_string()}};
  return write_file_atomically(data.running(), boost::json::serialize(object) + "\n", 0600);
}

}  // namespace llmd::cli
