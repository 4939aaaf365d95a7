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
  // The last read took all the room it had: the next one could bring more.
  bool full() const { return end_ == capacity_ && capacity_ > 0; }
  std::size_t capacity() const { return capacity_; }

  // Space for the next read, at least `wanted` bytes. Moves what is unread: views end here, unless keep()
  // made room for it.
  std::span<char> room(std::size_t wanted) {
    const std::size_t size = end_ - begin_;
    if (size == 0 && !kept_) {
      begin_ = end_ = 0;
    }
    if (capacity_ - end_ < wanted) {
      make_room(std::max(size + wanted, kIdleBytes));
    }
    return {data_.get() + end_, capacity_ - end_};
  }
  // Makes room for `bytes` from the first unread one, which stay where they are, used up or not, until
  // let_go().
  void keep(std::size_t bytes) {
    if (capacity_ - begin_ < bytes) {
      make_room(bytes);
    }
    kept_ = true;
  }
  void let_go() { kept_ = false; }
  void shrink_when_empty() {
    if (begin_ == end_ && capacity_ > kIdleBytes) {
      data_.reset();
      begin_ = end_ = capacity_ = 0;
    }
  }

 private:
  void make_room(std::size_t needed) {
    const std::size_t size = end_ - begin_;
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

  std::unique_ptr<char[]> data_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool kept_ = false;
};

}  // namespace llmd::http
