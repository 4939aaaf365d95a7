// RequestScan: what routing needs to know of a request body, found in one forward pass while the body
// arrives. The bytes are neither kept nor changed, and nothing else of the document is understood or checked:
// that is the engine's business.
//
//   RequestScan scan;
//   for each piece: scan.feed(piece);
//   scan.finish();
//   scan.model(), scan.stream(), scan.model_position()
//
// Members are looked for at the top level only; of a name given twice the last counts, as in Python's json.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace llmd::openai {

class RequestScan {
 public:
  void feed(std::string_view bytes);
  // The body is complete. False when it is not one JSON object (as far as looked).
  bool finish();

  // The string value of "model", unescaped; nullopt when absent or not a string.
  const std::optional<std::string>& model() const { return model_; }
  bool stream() const { return stream_; }
  // Where the value of "model" stands in the body, with its quotes: to replace it without touching anything
  // else.
  struct Position {
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  const std::optional<Position>& model_position() const { return model_position_; }

 private:
  enum class State {
    Start,
    KeyOrEnd,
    Key,
    InKey,
    Colon,
    Value,
    InString,
    InScalar,
    InNested,
    AfterValue,
    End,
    Bad
  };
  std::size_t skip_string(std::string_view bytes, std::size_t at);
  std::size_t step(std::string_view bytes, std::size_t at);
  std::size_t nested(std::string_view bytes, std::size_t at);
  void begin_value(char c, std::size_t position);
  void end_value(std::size_t end);
  bool interesting() const { return key_ == "model" || key_ == "stream"; }

  State state_ = State::Start;
  std::size_t offset_ = 0;  // of the current piece in the body
  std::size_t depth_ = 0;   // of nested values
  bool nested_string_ = false;
  bool escaped_ = false;
  bool string_ended_ = false;
  std::string key_;
  bool capture_ = false;
  std::string value_;  // raw text of an interesting value
  std::size_t value_begin_ = 0;

  std::optional<std::string> model_;
  std::optional<Position> model_position_;
  bool stream_ = false;
};

}  // namespace llmd::openai
