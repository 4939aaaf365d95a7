// Finds the token counts in an engine's answer without parsing it: looks for the last "usage":{…} in the
// bytes, also when it is split over pieces, and reads numbers from that object only. Pure.
#pragma once

#include <string>
#include <string_view>

#include "picker/request.h"

namespace llmd::extproc {

class UsageFinder {
 public:
  void feed(std::string_view bytes);
  // Of the last usage object that was complete; empty counts when there was none.
  picker::Usage usage() const;

 private:
  enum class State { Searching, Key, Object };
  void search(std::string_view& bytes);
  void key(std::string_view& bytes);
  void object(std::string_view& bytes);

  State state_ = State::Searching;
  std::string tail_;   // while searching: the end of the last piece, shorter than what is searched for
  std::string text_;   // the object so far
  std::string found_;  // the last complete one
  int depth_ = 0;
  bool colon_ = false;
};

}  // namespace llmd::extproc
