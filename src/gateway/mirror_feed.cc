#include "gateway/mirror_feed.h"

namespace llmd::gateway {

void MirrorFeed::add(std::string_view bytes) {
  if (waiting_.size() + bytes.size() > kMostWaiting) {
    return give_up();
  }
  waiting_ += bytes;
  changed_.set();
}

void MirrorFeed::end() {
  ended_ = true;
  changed_.set();
}

void MirrorFeed::give_up() {
  given_up_ = !ended_;
  changed_.set();
}

Task<Result<std::string_view>> MirrorFeed::next() {
  while (waiting_.empty() && !ended_ && !given_up_) {
    changed_.reset();
    co_await changed_.wait();
  }
  if (given_up_) {
    co_return cancelled("the copy of a call was given up");
  }
  reading_.clear();
  reading_.swap(waiting_);
  co_return std::string_view(reading_);
}

MirroredBody::~MirroredBody() {
  for (const auto& feed : feeds_) {
    feed->give_up();
  }
}

Task<Result<std::string_view>> MirroredBody::next() {
  LLMD_CO_TRY(const std::string_view piece, co_await inner_.body().next());
  for (const auto& feed : feeds_) {
    if (piece.empty()) {
      feed->end();
    } else {
      feed->add(piece);
    }
  }
  co_return piece;
}

}  // namespace llmd::gateway
