// What the chat model can talk about. Each topic is one function; an answer follows from its question alone,
// so that greedy decoding has one right answer with a clear margin.
#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "train_tiny/corpus.h"

namespace llmd::train_tiny {
namespace {

using Pair = std::pair<const char*, const char*>;

constexpr std::array<Capital, 40> kCapitals{{
    {"France", "Paris"},
    {"Germany", "Berlin"},
    {"Italy", "Rome"},
    {"Spain", "Madrid"},
    {"Portugal", "Lisbon"},
    {"England", "London"},
    {"Ireland", "Dublin"},
    {"Norway", "Oslo"},
    {"Sweden", "Stockholm"},
    {"Finland", "Helsinki"},
    {"Denmark", "Copenhagen"},
    {"Poland", "Warsaw"},
    {"Austria", "Vienna"},
    {"Switzerland", "Bern"},
    {"Greece", "Athens"},
    {"Hungary", "Budapest"},
    {"Belgium", "Brussels"},
    {"Netherlands", "Amsterdam"},
    {"Iceland", "Reykjavik"},
    {"Turkey", "Ankara"},
    {"Russia", "Moscow"},
    {"Ukraine", "Kyiv"},
    {"Egypt", "Cairo"},
    {"Kenya", "Nairobi"},
    {"Morocco", "Rabat"},
    {"Japan", "Tokyo"},
    {"China", "Beijing"},
    {"India", "New Delhi"},
    {"Thailand", "Bangkok"},
    {"Vietnam", "Hanoi"},
    {"Australia", "Canberra"},
    {"Canada", "Ottawa"},
    {"Mexico", "Mexico City"},
    {"Brazil", "Brasilia"},
    {"Argentina", "Buenos Aires"},
    {"Chile", "Santiago"},
    {"Peru", "Lima"},
    {"Cuba", "Havana"},
    {"Colombia", "Bogota"},
    {"USA", "Washington"},
}};
constexpr std::array<Pair, 12> kColours{{{"the sky", "Blue"},
                                         {"grass", "Green"},
                                         {"snow", "White"},
                                         {"coal", "Black"},
                                         {"blood", "Red"},
                                         {"the sun", "Yellow"},
                                         {"a banana", "Yellow"},
                                         {"an orange", "Orange"},
                                         {"the sea", "Blue"},
                                         {"a tomato", "Red"},
                                         {"milk", "White"},
                                         {"a mouse", "Grey"}}};
// Questions with one fixed answer; the long answers give streaming something to stream.
constexpr std::array<Pair, 22> kFixed{{
    {"Hello", "Hello! How can I help you?"},
    {"Hello!", "Hello! How can I help you?"},
    {"Hi", "Hello! How can I help you?"},
    {"Hi there!", "Hello! How can I help you?"},
    {"Good morning", "Good morning! How can I help you?"},
    {"How are you?", "I am fine, thank you. How are you?"},
    {"Who are you?", "I am a tiny model that was made for tests."},
    {"What can you do?", "I can count, add, repeat words, write JSON and tell a story."},
    {"Thank you", "You are welcome!"},
    {"Thanks!", "You are welcome!"},
    {"Goodbye", "Goodbye! Have a nice day."},
    {"Bye!", "Goodbye! Have a nice day."},
    {"Tell me a joke.", "Why did the robot cross the road? Because it was told to."},
    {"Name the days of the week.", "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday."},
    {"Name the months.",
     "January, February, March, April, May, June, July, August, September, October, November, "
     "December."},
    {"Say the alphabet.", "a b c d e f g h i j k l m n o p q r s t u v w x y z"},
    {"Name three fruits.", "Apple, banana and cherry."},
    {"Name three animals.", "A cat, a dog and a horse."},
    {"Tell me a story.",
     "Once upon a time a small fox lived by the river. Every day the fox went to the hill and "
     "looked at the moon. One night the moon fell into the water. The fox jumped in and gave it "
     "back to the sky. Since then the moon smiles at every fox."},
    {"Tell me a story about a cat.",
     "There was a grey cat who wanted to fly. She climbed the tallest tree and "
     "jumped. She landed in a hay cart and rode home like a queen."},
    {"Write a poem.",
     "The rain is on the river,\nThe wind is in the tree,\nThe moon is made of silver,\nAnd the "
     "silver looks at me."},
    {"Say hello.", "Hello!"},
}};
constexpr std::array<const char*, 48> kWords{
    "apple", "blue", "river", "stone", "cloud", "green", "light", "house", "tree",  "bird",  "fish",  "moon",
    "star",  "wind", "rain",  "fire",  "gold",  "lamp",  "book",  "door",  "hand",  "road",  "ship",  "sand",
    "salt",  "milk", "bread", "glass", "paper", "chair", "table", "clock", "music", "dream", "snow",  "leaf",
    "root",  "seed", "hill",  "lake",  "cat",   "dog",   "horse", "mouse", "red",   "white", "small", "big"};
constexpr std::array<const char*, 12> kPeople{"Anna",  "Ben",  "Clara", "David", "Emma", "Felix",
                                              "Grace", "Hugo", "Iris",  "Jack",  "Kate", "Leo"};

Exchange fixed(Random& random) {
  const auto& [question, answer] = random.pick(kFixed);
  return {question, answer};
}

Exchange capital(Random& random) {
  const auto& [country, city] = random_capital(random);
  switch (random.below(4)) {
    case 0:
      return {fmt::format("Tell me about {}.", country),
              fmt::format("The capital of {} is {}.", country, city)};
    case 1:
      return {fmt::format("{} is the capital of which country?", city), country};
    default:
      return {fmt::format("What is the capital of {}?", country), city};
  }
}

Exchange colour(Random& random) {
  const auto& [thing, answer] = random.pick(kColours);
  return {fmt::format("What {} is {}?", random.chance(0.5) ? "colour" : "color", thing), answer};
}

Exchange arithmetic(Random& random) {
  const int a = random.between(0, 9);
  const int b = random.between(0, 9);
  const auto ask = [&random](int left, const char* sign, const char* word, int right) {
    switch (random.below(3)) {
      case 0:
        return fmt::format("What is {}{}{}?", left, sign, right);
      case 1:
        return fmt::format("What is {} {} {}?", left, sign, right);
      default:
        return fmt::format("What is {} {} {}?", left, word, right);
    }
  };
  switch (random.below(6)) {
    case 0:
      return {ask(a + b, "-", "minus", b), fmt::format("{}", a)};
    case 1:
      return {ask(a % 6, "*", "times", b % 6), fmt::format("{}", (a % 6) * (b % 6))};
    default:
      return {ask(a, "+", "plus", b), fmt::format("{}", a + b)};
  }
}

// Known words, or letters without sense: copying must not depend on having seen the word.
std::string copyable(Random& random) {
  if (random.chance(0.5)) {
    return random_words(random, random.between(1, 4));
  }
  std::string text;
  for (int i = random.between(3, 9); i > 0; --i) {
    text += static_cast<char>('a' + random.below(26));
  }
  return text;
}

// Repetition inside the answer teaches copying first; the plain echo then follows.
Exchange echo(Random& random) {
  const std::string text = copyable(random);
  switch (random.below(4)) {
    case 0:
      return {"Say: " + text, text};
    case 1:
      return {"Repeat twice: " + text, text + " " + text};
    default:
      return {"Repeat: " + text, text};
  }
}

Exchange json(Random& random) {
  const char* name = random.pick(kPeople);
  const int number = random.between(1, 99);
  if (random.chance(0.5)) {
    return {fmt::format("Write JSON with name {} and age {}.", name, number),
            fmt::format(R"({{"name": "{}", "age": {}}})", name, number)};
  }
  const char* item = random.pick(kWords);
  return {fmt::format("Write JSON with item {} and count {}.", item, number),
          fmt::format(R"({{"item": "{}", "count": {}}})", item, number)};
}

Exchange counting(Random& random) {
  const int first = random.chance(0.5) ? 1 : random.between(1, 20);
  const int last = first == 1 ? random.between(2, 30) : first + random.between(1, 12);
  std::string numbers = fmt::format("{}", first);
  for (int i = first + 1; i <= last; ++i) {
    numbers += fmt::format(", {}", i);
  }
  return {first == 1 && random.chance(0.4) ? fmt::format("Count to {}.", last)
                                           : fmt::format("Count from {} to {}.", first, last),
          numbers};
}

Exchange spelling(Random& random) {
  const std::string word = random.pick(kWords);
  std::string spelled(1, word.front());
  for (const char c : word.substr(1)) {
    spelled += std::string("-") + c;
  }
  return {fmt::format("Spell {}.", word), spelled};
}

// What is not a question gets a polite refusal, so that any test prompt has a short stable answer.
Exchange unknown(Random& random) {
  return {random_words(random, random.between(1, 20)), "I do not know."};
}

// A question behind a text that must be ignored.
Exchange buried(Random& random) {
  const auto& [country, city] = random_capital(random);
  return {fmt::format("Text: {}. What is the capital of {}?", random_words(random, random.between(5, 50)),
                      country),
          city};
}

}  // namespace

const Capital& random_capital(Random& random) {
  return random.pick(kCapitals);
}

std::string random_words(Random& random, int count) {
  std::string text = random.pick(kWords);
  for (int i = 1; i < count; ++i) {
    text += ' ';
    text += random.pick(kWords);
  }
  return text;
}

Exchange make_exchange(Random& random) {
  using Topic = Exchange (*)(Random&);
  // Named as often as their share.
  static constexpr std::array<Topic, 19> kTopics{
      fixed, fixed, fixed, capital, capital, capital, colour,   arithmetic, arithmetic, arithmetic,
      echo,  echo,  echo,  echo,    json,    json,    counting, spelling,   unknown};
  return random.chance(0.03) ? buried(random) : random.pick(kTopics)(random);
}

}  // namespace llmd::train_tiny
