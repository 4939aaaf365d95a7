#include "http/http2_batch.h"

#include <algorithm>

namespace llmd::http {
namespace {

// Copying less is cheaper than one more entry in a gathered write.
constexpr std::size_t kWorthKeeping = 2048;
constexpr std::size_t kIdleBytes = 256 * 1024;
constexpr std::size_t kUsedUp = 64;  // segments

}  // namespace

void Http2Batch::append(KeptBytes piece) {
  if (piece.bytes.size() < kWorthKeeping || !piece.owner) {
    append(piece.bytes);
    return;
  }
  size_ += piece.bytes.size();
  kept_.push_back({copied_.size(), std::move(piece)});
}

std::span<const std::string_view> Http2Batch::pieces() {
  pieces_.clear();
  const auto add = [this](std::string_view bytes) {
    if (!bytes.empty()) {
      pieces_.push_back(bytes);
    }
  };
  const std::string_view copied = copied_;
  std::size_t at = 0;
  for (const Kept& kept : kept_) {
    add(copied.substr(at, kept.after - at));
    add(kept.piece.bytes);
    at = kept.after;
  }
  add(copied.substr(at));
  return pieces_;
}

void Http2Batch::clear() {
  copied_.clear();
  if (copied_.capacity() > 2 * kIdleBytes) {
    copied_ = std::string();
  }
  kept_.clear();
  pieces_.clear();
  size_ = 0;
}

Http2Queue::Segment& Http2Queue::add_segment() {
  if (first_ >= kUsedUp) {
    segments_.erase(segments_.begin(), segments_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
  return segments_.emplace_back();
}

void Http2Queue::add(std::string_view bytes) {
  if (bytes.empty()) {
    return;
  }
  const bool joins = first_ < segments_.size() && !segments_.back().kept.owner;
  std::string& copied = (joins ? segments_.back() : add_segment()).copied;
  if (joins && first_ + 1 == segments_.size() && begin_ > 0 && begin_ >= copied.size() - begin_) {
    copied.erase(0, begin_);
    begin_ = 0;
  }
  copied += bytes;
  size_ += bytes.size();
}

void Http2Queue::add(KeptBytes piece) {
  if (piece.bytes.size() < kWorthKeeping || !piece.owner) {
    add(piece.bytes);
    return;
  }
  size_ += piece.bytes.size();
  add_segment().kept = std::move(piece);
}

void Http2Queue::drop_first() {
  begin_ = 0;
  Segment& used_up = segments_[first_];
  if (first_ + 1 < segments_.size()) {
    used_up = Segment();
    ++first_;
    return;
  }
  // The last one: its memory serves the next bytes.
  Segment empty;
  used_up.copied.clear();
  empty.copied.swap(used_up.copied);
  segments_.clear();
  first_ = 0;
  if (empty.copied.capacity() > 0 && empty.copied.capacity() <= kIdleBytes) {
    segments_.push_back(std::move(empty));
  }
}

void Http2Queue::move_to(Http2Batch& batch, std::size_t bytes) {
  size_ -= bytes;
  while (bytes > 0) {
    const Segment& segment = segments_[first_];
    const std::string_view rest = segment.bytes().substr(begin_, bytes);
    batch.append(KeptBytes{rest, segment.kept.owner});
    begin_ += rest.size();
    bytes -= rest.size();
    if (begin_ == segment.bytes().size()) {
      drop_first();
    }
  }
}

}  // namespace llmd::http
