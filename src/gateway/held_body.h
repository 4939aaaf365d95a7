// The body of one request, held whole so that it can be read for picking and sent again. Counts against the
// budget of all requests while it lives. Private to gateway.
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "async/deadline.h"
#include "http/body.h"
#include "openai/request_scan.h"

namespace llmd::gateway {

class HeldBody {
 public:
  HeldBody(std::atomic<std::size_t>& held, std::size_t budget) : held_(held), budget_(budget) {}
  HeldBody(const HeldBody&) = delete;
  ~HeldBody() { held_.fetch_sub(counted_, std::memory_order_relaxed); }

  // Reads to the end and shows every piece to `scan`. Where the connection can keep the body, or it arrived
  // in one piece, it is not copied: the bytes stay in the connection's buffer, which nothing else touches
  // while the request is answered. Unavailable: the budget stayed exhausted until the deadline.
  Task<Result<void>> receive(http::BodyReader& body, openai::RequestScan& scan, async::Deadline deadline);
  std::string_view bytes() const { return bytes_; }

 private:
  Task<Result<void>> count(std::size_t bytes, async::Deadline deadline);

  std::atomic<std::size_t>& held_;
  std::size_t budget_;
  std::size_t counted_ = 0;
  std::string copy_;
  std::string_view bytes_;
};

}  // namespace llmd::gateway
