// What one connection sends next. Heads and small pieces are copied together; large pieces that somebody
// keeps stay where they are. Private to http.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "http/kept_bytes.h"

namespace llmd::http {

class Http2Batch {
 public:
  void append(std::string_view bytes) {
    copied_ += bytes;
    size_ += bytes.size();
  }
  void append(KeptBytes piece);

  std::size_t size() const { return size_; }
  // In order; valid until the batch changes.
  std::span<const std::string_view> pieces();
  // Lets go of everything, but not of much memory.
  void clear();

 private:
  struct Kept {
    std::size_t after;  // bytes of copied_ that go before it
    KeptBytes piece;
  };
  std::string copied_;
  std::vector<Kept> kept_;
  std::vector<std::string_view> pieces_;
  std::size_t size_ = 0;
};

// What one stream has to send and the connection has not taken yet. Private to http.
class Http2Queue {
 public:
  void add(std::string_view bytes);
  void add(KeptBytes piece);
  std::size_t size() const { return size_; }
  // The first `bytes`, which must be there, go over into the batch.
  void move_to(Http2Batch& batch, std::size_t bytes);

 private:
  // Either copied bytes or a kept piece.
  struct Segment {
    std::string copied;
    KeptBytes kept;
    std::string_view bytes() const { return kept.owner ? kept.bytes : std::string_view(copied); }
  };
  Segment& add_segment();
  void drop_first();

  std::vector<Segment> segments_;
  std::size_t first_ = 0;  // of segments_: those before are used up
  std::size_t begin_ = 0;  // of the first segment
  std::size_t size_ = 0;
};

}  // namespace llmd::http
