#include "picker/dumped_endpoints.h"

namespace llmd::picker {

json::Object dumped_endpoints(json::Array endpoints) {
  json::Object said;
  const std::size_t total = endpoints.size();
  if (total > kMostDumped) {
    endpoints.resize(kMostDumped);
  }
  said["endpoints"] = std::move(endpoints);
  said["totalEndpoints"] = total;
  said["maxEndpoints"] = kMostDumped;
  said["truncated"] = total > kMostDumped;
  return said;
}

}  // namespace llmd::picker
