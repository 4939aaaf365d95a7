// One loop's connections to external endpoint pickers: HTTP/2, one per picker while it takes more streams,
// dialled when they are needed. Private to gateway; one loop.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "async/event.h"
#include "async/scope.h"
#include "gateway/route_table.h"
#include "http/http2_client.h"

namespace llmd::gateway {

class PickerLinks {
 public:
  explicit PickerLinks(Executor executor) : executor_(executor) {}

  // A connection that takes another call, to the first of the picker's addresses that can be reached.
  // Errors: Unavailable, DeadlineExceeded. Between open() and close() only.
  Task<Result<std::shared_ptr<http::Http2Client>>> get(const ExternalPicker& picker,
                                                       async::Deadline deadline);
  // `scope` runs the connections and is closed after close().
  void open(async::Scope& scope) { scope_ = &scope; }
  void close();

 private:
  struct Link {
    explicit Link(Executor executor) : changed(executor) {}
    std::vector<std::shared_ptr<http::Http2Client>> clients;
    bool dialling = false;
    async::Event changed;
  };
  using Key = std::pair<net::Address, bool>;  // with TLS?
  Task<Result<std::shared_ptr<http::Http2Client>>> get_one(Key key, async::Deadline deadline);
  Task<Result<void>> dial(Key key, std::shared_ptr<Link> link, async::Deadline deadline);

  Executor executor_;
  async::Scope* scope_ = nullptr;
  std::map<Key, std::shared_ptr<Link>> links_;
};

}  // namespace llmd::gateway
