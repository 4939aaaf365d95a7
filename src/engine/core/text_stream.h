// The text of one answer while it is made: whole UTF-8 characters only, stop strings found the moment they
// are complete, and nothing shown that may turn out to be the beginning of one.
//
// However the bytes are cut into pushes and whenever take() is called, the pieces taken join to the same
// text, and it ends at the stop string whose last byte comes first (of several with the same end: at the
// longest).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/detokenize.h"

namespace llmd::engine {

class TextStream {
 public:
  TextStream(std::vector<std::string> stops, bool include_stop)
      : stops_(std::move(stops)), include_stop_(include_stop) {}

  // Adds the bytes of the next token. When that completes a stop string, the text is cut there and the index
  // of the stop string returned: nothing may be pushed afterwards. `may_stop` false (before min_tokens): no
  // search in here.
  std::optional<std::size_t> push(std::string_view bytes, bool may_stop = true);
  // What is certain and has not been taken yet.
  std::string take();
  // No more bytes will come: everything that has not been taken.
  std::string finish();

 private:
  std::size_t held_back() const;

  const std::vector<std::string> stops_;
  const bool include_stop_;
  tokenizer::Utf8Stream utf8_;
  std::string text_;          // not taken yet
  std::size_t searched_ = 0;  // no stop string ends in the first this-many bytes of it
  std::size_t exempt_ = 0;    // and none begins before this one
  bool stopped_ = false;
};

}  // namespace llmd::engine
