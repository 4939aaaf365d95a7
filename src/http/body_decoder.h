// Takes a message body out of the bytes of a connection: counted, chunked or until the close. Pure; no I/O,
// no copies but of trailers: the data it finds are views into what it was given.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/head_parser.h"

namespace llmd::http {

class BodyDecoder {
 public:
  void start(const Framing& framing);

  struct Step {
    std::size_t consumed = 0;  // bytes of the input that are used up
    std::string_view data;     // body bytes among them; empty: give more input, unless done()
  };
  // One step forward: at most one piece of data. Errors (400): malformed chunks.
  std::expected<Step, Refusal> step(std::string_view input);
  // The connection has ended. False when the body is incomplete.
  bool end_of_input();

  bool done() const { return state_ == State::Done; }
  // Fields after the last chunk as they stand there, each with "\n" behind it. Once done().
  std::string_view trailers() const { return trailers_; }
  std::uint64_t received() const { return received_; }  // body bytes so far
  // Bytes of the current piece that are still to come: how much a read could bring.
  std::uint64_t expected() const { return remaining_; }

 private:
  enum class State {
    Counted,
    UntilClose,
    SizeFirst,
    Size,
    Extension,
    SizeEnd,
    Data,
    DataReturn,
    DataEnd,
    TrailerStart,
    Trailer,
    TrailerEnd,
    LastEnd,
    Done
  };
  std::size_t usual_framing(std::string_view input);
  std::expected<void, Refusal> control(char c);
  Step take(std::string_view input);

  State state_ = State::Done;
  std::uint64_t remaining_ = 0;
  std::uint64_t received_ = 0;
  int size_digits_ = 0;
  std::string trailers_;
  std::size_t overhead_ = 0;  // bytes of extensions and trailers
};

}  // namespace llmd::http
