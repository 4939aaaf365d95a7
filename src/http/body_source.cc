#include "http/body_source.h"

#include "base/strings.h"

namespace llmd::http {
namespace {

constexpr std::uint64_t kSmallestRead = 4 * 1024;
constexpr std::uint64_t kLargestRead = 64 * 1024;
constexpr std::size_t kGrowth = 4;

// Lines that are no fields are left out: nobody acts on trailers before the message is over.
Headers parse_trailers(std::string_view text) {
  Headers fields;
  for (const std::string_view line : split(text, '\n')) {
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && is_token(line.substr(0, colon))) {
      fields.add(std::string(line.substr(0, colon)), std::string(trim(line.substr(colon + 1))));
    }
  }
  return fields;
}

}  // namespace

void BodySource::start(const Framing& framing) {
  decoder_.start(framing);
  counted_ = framing.kind == Framing::Kind::Length || framing.kind == Framing::Kind::None;
  failure_.reset();
  trailers_.reset();
}

std::expected<std::string_view, Refusal> BodySource::take() {
  if (failure_) {
    return std::unexpected(*failure_);
  }
  char* first = nullptr;
  std::size_t size = 0;
  while (!decoder_.done() && !buffer_.unread().empty()) {
    const auto step = decoder_.step(buffer_.unread());
    if (!step) {
      failure_ = step.error();
      if (size > 0) {
        break;  // what was good goes out first
      }
      return std::unexpected(*failure_);
    }
    buffer_.consume(step->consumed);
    const std::string_view data = step->data;
    if (first == nullptr) {
      first = const_cast<char*>(data.data());  // the buffer is ours and writable
    } else if (!data.empty()) {
      std::memmove(first + size, data.data(), data.size());
    }
    size += data.size();
  }
  if (decoder_.done() && !trailers_ && !decoder_.trailers().empty()) {
    trailers_ = parse_trailers(decoder_.trailers());
  }
  return std::string_view(first, size);
}

// A chunk tells nothing about those behind it: whether more could have come shows when a read fills its room.
std::span<char> BodySource::room() {
  std::uint64_t wanted = decoder_.expected();
  if (buffer_.full()) {
    wanted = std::max<std::uint64_t>(wanted, buffer_.capacity() * kGrowth);
  }
  return buffer_.room(static_cast<std::size_t>(std::clamp(wanted, kSmallestRead, kLargestRead)));
}

bool BodySource::keep() {
  if (!counted_) {
    return false;
  }
  const auto size = static_cast<std::size_t>(decoder_.expected());
  buffer_.keep(buffer_.unread().size() >= size ? size : size + kSmallestRead);
  return true;
}

}  // namespace llmd::http
