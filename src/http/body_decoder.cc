#include "http/body_decoder.h"

#include <algorithm>

namespace llmd::http {
namespace {

constexpr int kMaxSizeDigits = 15;              // of a chunk: keeps sums below 2^63
constexpr std::size_t kMaxOverhead = 8 * 1024;  // extensions and trailers of one body

int hex_value(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

constexpr Refusal kBadChunk{400, "a chunk of the body is malformed"};
constexpr Refusal kBadTrailer{400, "the end of the chunked body is malformed"};

}  // namespace

void BodyDecoder::start(const Framing& framing) {
  received_ = 0;
  remaining_ = framing.length;
  size_digits_ = 0;
  overhead_ = 0;
  trailers_.clear();
  switch (framing.kind) {
    case Framing::Kind::None:
      state_ = State::Done;
      break;
    case Framing::Kind::Length:
      state_ = framing.length == 0 ? State::Done : State::Counted;
      break;
    case Framing::Kind::Chunked:
      state_ = State::SizeFirst;
      break;
    case Framing::Kind::UntilClose:
      state_ = State::UntilClose;
      break;
  }
}

BodyDecoder::Step BodyDecoder::take(std::string_view input) {
  const auto size = state_ == State::UntilClose
                        ? input.size()
                        : static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, input.size()));
  received_ += size;
  if (state_ != State::UntilClose) {
    remaining_ -= size;
    if (remaining_ == 0) {
      state_ = state_ == State::Counted ? State::Done : State::DataReturn;
    }
  }
  return {size, input.substr(0, size)};
}

// What stands between two chunks nearly always, when all of it is there: the end of the one and the size of
// the other. Returns how long that is; 0, and nothing has changed, when it is anything else.
std::size_t BodyDecoder::usual_framing(std::string_view input) {
  constexpr std::size_t kMostDigits = 8;
  constexpr std::string_view kEnd = "\r\n";
  std::size_t at = 0;
  if (state_ == State::DataReturn && input.starts_with(kEnd)) {
    at = kEnd.size();
  } else if (state_ != State::SizeFirst) {
    return 0;
  }
  const std::size_t first = at;
  std::uint64_t size = 0;
  for (; at < input.size() && at - first < kMostDigits; ++at) {
    const int digit = hex_value(input[at]);
    if (digit < 0) {
      break;
    }
    size = size * 16 + static_cast<unsigned>(digit);
  }
  if (size == 0 || !input.substr(at).starts_with(kEnd)) {
    return 0;
  }
  state_ = State::Data;
  remaining_ = size;
  return at + kEnd.size();
}

// Everything else of a chunked body that is not data, one byte at a time.
std::expected<void, Refusal> BodyDecoder::control(char c) {
  switch (state_) {
    case State::SizeFirst:
    case State::Size:
      if (const int digit = hex_value(c); digit >= 0) {
        if (++size_digits_ > kMaxSizeDigits) {
          return std::unexpected(kBadChunk);
        }
        remaining_ = remaining_ * 16 + static_cast<unsigned>(digit);
        state_ = State::Size;
        return {};
      }
      if (state_ == State::SizeFirst || (c != ';' && c != '\r' && c != ' ' && c != '\t')) {
        return std::unexpected(kBadChunk);
      }
      state_ = c == '\r' ? State::SizeEnd : State::Extension;
      return {};
    case State::Extension:
      if (c == '\r') {
        state_ = State::SizeEnd;
      } else if (is_control(c) || ++overhead_ > kMaxOverhead) {
        return std::unexpected(kBadChunk);
      }
      return {};
    case State::SizeEnd:
      state_ = remaining_ > 0 ? State::Data : State::TrailerStart;
      size_digits_ = 0;
      return c == '\n' ? std::expected<void, Refusal>() : std::unexpected(kBadChunk);
    case State::DataReturn:
      state_ = State::DataEnd;
      return c == '\r' ? std::expected<void, Refusal>() : std::unexpected(kBadChunk);
    case State::DataEnd:
      state_ = State::SizeFirst;
      return c == '\n' ? std::expected<void, Refusal>() : std::unexpected(kBadChunk);
    case State::TrailerStart:
    case State::Trailer:
      if (c == '\r') {
        state_ = state_ == State::TrailerStart ? State::LastEnd : State::TrailerEnd;
      } else if (is_control(c) || ++overhead_ > kMaxOverhead) {
        return std::unexpected(kBadTrailer);
      } else {
        state_ = State::Trailer;
        trailers_ += c;
      }
      return {};
    case State::TrailerEnd:
      state_ = State::TrailerStart;
      trailers_ += '\n';
      return c == '\n' ? std::expected<void, Refusal>() : std::unexpected(kBadTrailer);
    case State::LastEnd:
      state_ = State::Done;
      return c == '\n' ? std::expected<void, Refusal>() : std::unexpected(kBadTrailer);
    case State::Counted:
    case State::UntilClose:
    case State::Data:
    case State::Done:
      break;
  }
  return {};
}

std::expected<BodyDecoder::Step, Refusal> BodyDecoder::step(std::string_view input) {
  std::size_t consumed = 0;
  while (consumed < input.size() && state_ != State::Done) {
    if (state_ == State::Counted || state_ == State::UntilClose || state_ == State::Data) {
      Step taken = take(input.substr(consumed));
      taken.consumed += consumed;
      return taken;
    }
    if (const std::size_t usual = usual_framing(input.substr(consumed)); usual > 0) {
      consumed += usual;
      continue;
    }
    if (auto next = control(input[consumed++]); !next) {
      return std::unexpected(next.error());
    }
  }
  return Step{consumed, {}};
}

bool BodyDecoder::end_of_input() {
  if (state_ == State::UntilClose) {
    state_ = State::Done;
  }
  return state_ == State::Done;
}

}  // namespace llmd::http
