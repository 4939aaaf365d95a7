#include "engine/core/text_stream.h"

#include <algorithm>

namespace llmd::engine {

std::optional<std::size_t> TextStream::push(std::string_view bytes, bool may_stop) {
  text_ += utf8_.push(bytes);
  if (!may_stop) {
    exempt_ = searched_ = text_.size();
    return std::nullopt;
  }
  std::optional<std::size_t> winner;
  std::size_t begin = 0;
  std::size_t end = std::string::npos;
  for (std::size_t i = 0; i < stops_.size(); ++i) {
    const std::size_t length = stops_[i].size();
    const std::size_t from = std::max(exempt_, searched_ - std::min(searched_, length - 1));
    const std::size_t at = text_.find(stops_[i], from);
    if (at == std::string::npos) {
      continue;
    }
    if (at + length < end || (at + length == end && at < begin)) {
      winner = i;
      begin = at;
      end = at + length;
    }
  }
  searched_ = text_.size();
  if (winner) {
    text_.resize(include_stop_ ? end : begin);
    stopped_ = true;
  }
  return winner;
}

std::string TextStream::take() {
  const std::size_t certain = text_.size() - held_back();
  std::string taken = text_.substr(0, certain);
  text_.erase(0, certain);
  searched_ -= std::min(searched_, certain);
  exempt_ -= std::min(exempt_, certain);
  return taken;
}

std::string TextStream::finish() {
  if (!stopped_) {
    text_ += utf8_.flush();
  }
  stopped_ = true;
  return take();
}

// The longest end of the text that is the beginning of a stop string.
std::size_t TextStream::held_back() const {
  if (stopped_) {
    return 0;
  }
  std::size_t longest = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t n = std::min(stop.size() - 1, text_.size() - exempt_); n > longest; --n) {
      if (text_.ends_with(std::string_view(stop).substr(0, n))) {
        longest = n;
      }
    }
  }
  return longest;
}

}  // namespace llmd::engine
