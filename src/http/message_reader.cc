#include "http/message_reader.h"

#include <fmt/format.h>

#include "http/body_source.h"

namespace llmd::http {
namespace {

std::string describe(const Headers& headers) {
  std::string text;
  for (const auto& [name, value] : headers) {
    text += fmt::format("{}={};", name, value);
  }
  return text;
}

std::string describe(const Framing& framing) {
  return fmt::format("body {} {}\n", static_cast<int>(framing.kind), framing.length);
}

// One direction of a connection without its I/O.
class Reader {
 public:
  explicit Reader(bool requests) : requests_(requests) {}

  // False: refused, nothing more is read.
  bool feed(std::string_view bytes) {
    const auto room = buffer_.room(bytes.size());
    std::memcpy(room.data(), bytes.data(), bytes.size());
    buffer_.added(bytes.size());
    while (true) {
      const auto progress = source_.done() ? read_head() : read_body();
      if (!progress) {
        seen += fmt::format("refused {} {}\n", progress.error().status, progress.error().reason);
        return false;
      }
      if (!*progress) {
        return true;
      }
    }
  }
  void end() { seen += source_.end_of_input() ? "complete\n" : "cut off\n"; }

  std::string seen;

 private:
  std::expected<bool, Refusal> read_head() {
    const auto size = scanner_.scan(buffer_.unread());
    if (!size) {
      return std::unexpected(size.error());
    }
    if (!*size) {
      return false;
    }
    const std::string_view text = buffer_.unread().substr(0, **size);
    scanner_.reset();
    if (requests_ && **size == 2) {
      buffer_.consume(2);
      return true;
    }
    const auto refusal = requests_ ? parse_request(text, request_) : parse_response(text, "GET", response_);
    buffer_.consume(**size);
    if (refusal) {
      return std::unexpected(*refusal);
    }
    const Framing& framing = requests_ ? request_.framing : response_.framing;
    seen += requests_ ? fmt::format("{} {} {}{}", request_.head.method, request_.head.target,
                                    request_.keep_alive, describe(request_.head.headers))
                      : fmt::format("{} {}{}", response_.head.status, response_.keep_alive,
                                    describe(response_.head.headers));
    seen += describe(framing);
    source_.start(framing);
    return true;
  }

  std::expected<bool, Refusal> read_body() {
    const auto piece = source_.take();
    if (!piece) {
      return std::unexpected(piece.error());
    }
    seen += *piece;
    if (source_.done()) {
      seen += "\nend of body\n";
    }
    return source_.done() || !piece->empty();
  }

  bool requests_;
  ReadBuffer buffer_;
  HeadScanner scanner_;
  ParsedRequest request_;
  ParsedResponse response_;
  BodySource source_{buffer_};
};

std::string transcript(std::string_view bytes, std::size_t step, bool requests) {
  Reader reader(requests);
  while (!bytes.empty()) {
    if (!reader.feed(bytes.substr(0, step))) {
      return reader.seen;
    }
    bytes.remove_prefix(std::min(step, bytes.size()));
  }
  reader.end();
  return reader.seen;
}

}  // namespace

std::string transcript_of_requests(std::string_view bytes, std::size_t step) {
  return transcript(bytes, step, true);
}

std::string transcript_of_responses(std::string_view bytes, std::size_t step) {
  return transcript(bytes, step, false);
}

}  // namespace llmd::http
