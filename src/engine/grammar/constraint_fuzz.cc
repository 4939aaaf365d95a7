// Regular expressions and schemas from strangers: compile or refuse, and run a few bytes.

#include <cstddef>
#include <cstdint>

#include "engine/grammar/automaton.h"
#include "engine/grammar/regex_grammar.h"
#include "engine/grammar/schema_grammar.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace llmd;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  engine::GrammarBuilder builder;
  auto piece = [&]() -> Result<engine::GrammarBuilder::Piece> {
    const auto schema = json::parse(text);
    return schema ? engine::schema_piece(builder, *schema) : engine::regex_piece(builder, text);
  }();
  if (!piece) {
    return 0;
  }
  auto grammar = std::move(builder).finish(*piece);
  if (!grammar) {
    return 0;
  }
  engine::Automaton automaton(*std::move(grammar));
  auto state = automaton.start();
  for (const char c : text.substr(0, 64)) {
    state = automaton.next(state, static_cast<unsigned char>(c));
  }
  return 0;
}
