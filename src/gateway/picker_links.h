// One loop's connections to external endpoint pickers. Private to gateway; one loop.
#pragma once

#include <memory>

#include "gateway/route_table.h"
#include "http/http2_pool.h"

namespace llmd::gateway {

class PickerLinks {
 public:
  explicit PickerLinks(Executor executor);

  // A connection that takes another call, to the first of the picker's addresses that can be reached. Errors:
  // Unavailable, DeadlineExceeded. Between open() and close() only.
  Task<Result<std::shared_ptr<http::Http2Client>>> get(const ExternalPicker& picker,
                                                       async::Deadline deadline);
  // `scope` runs the connections and is closed after close().
  void open(async::Scope& scope);
  void close();

 private:
  http::Http2Pool plain_;
  http::Http2Pool tls_;
};

}  // namespace llmd::gateway
