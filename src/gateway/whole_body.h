// A request whose body has been read, for those who read it from the exchange. Private to gateway; one loop,
// one request.
#pragma once

#include <string_view>
#include <utility>

#include "gateway/forwarding_exchange.h"

namespace llmd::gateway {

class WholeBody final : public ForwardingExchange, private http::BodyReader {
 public:
  // `bytes` outlive this.
  WholeBody(http::Exchange& inner, std::string_view bytes) : ForwardingExchange(inner), bytes_(bytes) {}

  http::BodyReader& body() override { return *this; }

 private:
  Task<Result<std::string_view>> next() override { co_return std::exchange(bytes_, {}); }
  std::optional<std::uint64_t> length() const override { return std::nullopt; }
  bool ready() override { return true; }
  const http::Headers* trailers() const override { return inner_.body().trailers(); }
  bool ended() const override { return bytes_.empty(); }

  std::string_view bytes_;
};

}  // namespace llmd::gateway
