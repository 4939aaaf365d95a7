#include "gateway/held_body.h"

namespace llmd::gateway {

Task<Result<void>> HeldBody::count(std::size_t bytes, async::Deadline deadline) {
  while (true) {
    const std::size_t before = held_.fetch_add(bytes, std::memory_order_relaxed);
    if (before == 0 || before + bytes <= budget_) {  // one alone always passes
      counted_ += bytes;
      co_return Result<void>();
    }
    held_.fetch_sub(bytes, std::memory_order_relaxed);
    if (deadline.expired()) {
      co_return unavailable("the memory for request bodies ({} bytes) is in use", budget_);
    }
    co_await async::sleep(std::chrono::milliseconds(10));
  }
}

Task<Result<void>> HeldBody::receive(http::BodyReader& body, openai::RequestScan& scan,
                                     async::Deadline deadline) {
  if (const auto length = body.length()) {
    LLMD_CO_TRY_VOID(co_await count(static_cast<std::size_t>(*length), deadline));
  }
  const bool counted = body.length().has_value();
  const bool kept = body.keep();
  while (true) {
    LLMD_CO_TRY(const std::string_view piece, co_await body.next());
    if (piece.empty()) {
      break;
    }
    if (!counted) {
      LLMD_CO_TRY_VOID(co_await count(piece.size(), deadline));
    }
    scan.feed(piece);
    if (kept) {
      bytes_ = bytes_.empty() ? piece : std::string_view(bytes_.data(), bytes_.size() + piece.size());
      continue;
    }
    if (copy_.empty() && body.ended()) {
      bytes_ = piece;
      co_return Result<void>();
    }
    if (copy_.empty() && counted) {
      copy_.reserve(static_cast<std::size_t>(*body.length()));
    }
    copy_ += piece;
  }
  if (!kept) {
    bytes_ = copy_;
  }
  co_return Result<void>();
}

}  // namespace llmd::gateway
