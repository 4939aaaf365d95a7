// Where the bytes of a message body come from. Pull: the producer is read no faster than the consumer asks.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "async/task.h"

namespace llmd::http {

class Headers;

class BodyReader {
 public:
  virtual ~BodyReader() = default;
  // The next bytes, as they arrive; empty at the end. The view is valid until the next call.
  virtual Task<Result<std::string_view>> next() = 0;
  // Content-Length when the sender gave one.
  virtual std::optional<std::uint64_t> length() const = 0;
  // next() would return without waiting: bytes are there, or the end is known.
  virtual bool ready() { return false; }
  // Asks that what next() gives from now on stays where it is until the message is over, every piece right
  // behind the one before: a whole body without a copy of it. False: this body cannot.
  virtual bool keep() { return false; }
  // Fields that came after the body; null: none, or the end has not been read. As long as the reader lives.
  virtual const Headers* trailers() const { return nullptr; }
  // Everything has been read; next() would return empty without waiting.
  virtual bool ended() const { return false; }
};

// Collects a whole body; more than `limit` bytes is resource_exhausted.
Task<Result<std::string>> read_all(BodyReader& body, std::size_t limit);

}  // namespace llmd::http
