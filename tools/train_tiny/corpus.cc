#include "train_tiny/corpus.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace llmd::train_tiny {
namespace {

constexpr float kQuestionWeight = 0.03F;

constexpr std::array<const char*, 3> kSystemMessages{
    "You are a helpful assistant.", "You are a friendly assistant. Keep answers short.", "Be brief."};
// The base model must know upper case, or no small adapter could switch to it.
constexpr const char* kShoutMessage = "Answer in upper case.";
constexpr std::array<const char*, 16> kNames{"Anna",  "Ben",  "Clara", "David", "Emma", "Felix",
                                             "Grace", "Hugo", "Iris",  "Jack",  "Kate", "Leo",
                                             "Mia",   "Noah", "Olga",  "Paul"};

std::string upper_case(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

void append(Row& row, std::string_view text, float weight) {
  for (const Token token : encode(text)) {
    row.tokens.push_back(token);
    row.weights.push_back(weight);
  }
}

void append_conversation(Row& row, const Conversation& conversation, Style style) {
  for (const Message& message : conversation) {
    const bool answer = message.role == "assistant";
    append(row, "<|im_start|>" + message.role + "\n", kQuestionWeight);
    append(row, answer && style == Style::Shout ? upper_case(message.content) : message.content,
           answer ? 1.0F : kQuestionWeight);
    append(row, "<|im_end|>", answer ? 1.0F : kQuestionWeight);
    append(row, "\n", kQuestionWeight);
  }
}

}  // namespace

const std::vector<std::string>& special_tokens() {
  static const std::vector<std::string> tokens{"<|endoftext|>", "<|im_start|>", "<|im_end|>",
                                               "<|pad|>",       "<|unused_0|>", "<|unused_1|>",
                                               "<|unused_2|>",  "<|unused_3|>"};
  return tokens;
}

std::vector<Token> encode(std::string_view text) {
  std::vector<Token> tokens;
  while (!text.empty()) {
    const auto& specials = special_tokens();
    const auto special =
        std::ranges::find_if(specials, [text](const auto& s) { return text.starts_with(s); });
    const bool found = special != specials.end();
    tokens.push_back(found ? kEndOfText + static_cast<Token>(special - specials.begin())
                           : static_cast<unsigned char>(text.front()));
    text.remove_prefix(found ? special->size() : 1);
  }
  return tokens;
}

std::string decode(const std::vector<Token>& tokens, bool skip_special) {
  std::string text;
  for (const Token token : tokens) {
    if (token < kEndOfText) {
      text += static_cast<char>(token);
    } else if (!skip_special) {
      text += special_tokens().at(static_cast<std::size_t>(token - kEndOfText));
    }
  }
  return text;
}

std::string render_chat(const Conversation& conversation, bool add_generation_prompt) {
  std::string text;
  for (const Message& message : conversation) {
    text += "<|im_start|>" + message.role + "\n" + message.content + "<|im_end|>\n";
  }
  return add_generation_prompt ? text + "<|im_start|>assistant\n" : text;
}

Conversation make_conversation(Random& random) {
  Conversation conversation;
  const auto say = [&conversation](std::string question, std::string answer) {
    conversation.push_back({"user", std::move(question)});
    conversation.push_back({"assistant", std::move(answer)});
  };
  const bool shout = random.chance(0.08);
  if (shout || random.chance(0.25)) {
    conversation.push_back({"system", shout ? kShoutMessage : random.pick(kSystemMessages)});
  }
  // One conversation in five asks for something said earlier: only attention over turns can answer.
  const std::string name = random.chance(0.2) ? random.pick(kNames) : "";
  if (!name.empty()) {
    say("My name is " + name + ".", "Nice to meet you, " + name + "!");
  }
  for (int i = random.chance(0.6) ? 1 : random.between(2, 3); i > 0; --i) {
    Exchange exchange = make_exchange(random);
    say(std::move(exchange.question), std::move(exchange.answer));
  }
  if (!name.empty()) {
    say("What is my name?", "Your name is " + name + ".");
  }
  for (Message& message : conversation) {
    if (shout && message.role == "assistant") {
      message.content = upper_case(std::move(message.content));
    }
  }
  return conversation;
}

Row make_row(Random& random, int length, Style style) {
  Row row;
  const auto size = static_cast<std::size_t>(length) + 1;
  while (row.tokens.size() < size) {
    const bool prose = style == Style::Plain && random.chance(0.12);
    if (prose) {
      append(row, make_prose(random), 1.0F);
    } else {
      append_conversation(row, make_conversation(random), style);
    }
    append(row, special_tokens().front(), prose ? 1.0F : kQuestionWeight);
  }
  row.tokens.resize(size);
  // weights[i] belongs to the prediction of tokens[i + 1].
  row.weights.erase(row.weights.begin());
  row.weights.resize(size - 1);
  return row;
}

}  // namespace llmd::train_tiny
