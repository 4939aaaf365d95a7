// White space as JSON has it. Private to openai.
#pragma once

namespace llmd::openai {

inline bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

}  // namespace llmd::openai
