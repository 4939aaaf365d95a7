// The training text: conversations and prose made from templates, tokenised to bytes and packed into rows.
// Everything follows from a seed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "train_tiny/model.h"
#include "train_tiny/random.h"

namespace llmd::train_tiny {

// Ids 0..255 are the bytes; the rest of the vocabulary:
inline constexpr Token kEndOfText = 256;  // between documents
inline constexpr Token kTurnStart = 257;
inline constexpr Token kTurnEnd = 258;
inline constexpr Token kPadding = 259;
inline constexpr Token kVocabulary = 264;  // 260..263 are unused

// The text of a special token, in id order from 256.
const std::vector<std::string>& special_tokens();

// Text to ids, special tokens by their text; and back.
std::vector<Token> encode(std::string_view text);
std::string decode(const std::vector<Token>& tokens, bool skip_special);

struct Message {
  std::string role;
  std::string content;
};
using Conversation = std::vector<Message>;

// What the chat template renders; ends with the opening of the assistant's turn when asked to.
std::string render_chat(const Conversation& conversation, bool add_generation_prompt);

struct Exchange {
  std::string question;
  std::string answer;
};
Exchange make_exchange(Random& random);          // one question out of all topics (chat_topics.cc)
Conversation make_conversation(Random& random);  // one to four exchanges, sometimes a system message
std::string make_prose(Random& random);          // a short text for plain completions (prose.cc)
std::string random_words(Random& random, int count);
// A table row both conversations and prose draw from.
struct Capital {
  const char* country;
  const char* city;
};
const Capital& random_capital(Random& random);

enum class Style { Plain, Shout };  // Shout: every answer in upper case

// Documents until `length` predictions are full. Answers and prose count fully in the loss, questions a
// little.
Row make_row(Random& random, int length, Style style);

}  // namespace llmd::train_tiny
