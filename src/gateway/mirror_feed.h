// What a call sends, for copies of it that nobody waits for: a copy that does not keep up is given up, so
// that the call itself is as fast as without it. Private to gateway; one loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "async/event.h"
#include "gateway/forwarding_exchange.h"

namespace llmd::gateway {

// The body of one copy, while it comes.
class MirrorFeed final : public http::BodyReader {
 public:
  explicit MirrorFeed(Executor executor) : changed_(executor) {}

  void add(std::string_view bytes);
  void end();
  // Unless it has ended: the copy has no end and must not look as if it had.
  void give_up();

  Task<Result<std::string_view>> next() override;
  std::optional<std::uint64_t> length() const override { return std::nullopt; }
  bool ended() const override { return ended_ && waiting_.empty(); }

 private:
  static constexpr std::size_t kMostWaiting = std::size_t{1} << 20;
  async::Event changed_;
  std::string waiting_;
  std::string reading_;
  bool ended_ = false;
  bool given_up_ = false;
};

// The exchange whose body is copied while it is read.
class MirroredBody final : public ForwardingExchange, private http::BodyReader {
 public:
  MirroredBody(http::Exchange& inner, std::vector<std::shared_ptr<MirrorFeed>> feeds)
      : ForwardingExchange(inner), feeds_(std::move(feeds)) {}
  ~MirroredBody() override;

  http::BodyReader& body() override { return *this; }

 private:
  Task<Result<std::string_view>> next() override;
  std::optional<std::uint64_t> length() const override { return inner_.body().length(); }
  bool ready() override { return inner_.body().ready(); }
  const http::Headers* trailers() const override { return inner_.body().trailers(); }
  bool ended() const override { return inner_.body().ended(); }

  std::vector<std::shared_ptr<MirrorFeed>> feeds_;
};

}  // namespace llmd::gateway
