// The one read buffer of a connection: bytes come in at the end and are used up at the front. It grows for
// large heads and bodies and shrinks when the connection idles. Private to http.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace llmd::http {

class ReadBuffer {
 public:
  static constexpr std::size_t kIdleBytes = 8 * 1024;
  std::string_view unread() const { return {data_.get() + begin_, end_ - begin_}; }
  void consume(std::size_t bytes) { begin_ += bytes; }
  void added(std::size_t bytes) { end_ += bytes; }

  // Space for the next read, at least `wanted` bytes. Moves what is unread: views end here.
  std::span<char> room(std::size_t wanted) {
    const std::size_t size = end_ - begin_;
    if (size == 0) {
      begin_ = end_ = 0;
    }
    if (capacity_ - end_ < wanted) {
      const std::size_t needed = std::max(size + wanted, kIdleBytes);
      if (needed > capacity_) {
        auto larger = std::make_unique_for_overwrite<char[]>(needed);
        if (size > 0) {
          std::memcpy(larger.get(), data_.get() + begin_, size);
        }
        data_ = std::move(larger);
        capacity_ = needed;
      } else if (size > 0) {
        std::memmove(data_.get(), data_.get() + begin_, size);
      }
      begin_ = 0;
      end_ = size;
    }
    return {data_.get() + end_, capacity_ - end_};
  }
  void shrink_when_empty() {
    if (begin_ == end_ && capacity_ > kIdleBytes) {
      data_.reset();
      begin_ = end_ = capacity_ = 0;
    }
  }

 private:
  std::unique_ptr<char[]> data_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace llmd::http
