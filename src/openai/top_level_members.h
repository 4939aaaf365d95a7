// Where named members stand at the top level of a JSON object, so that they can be read, replaced or cut out
// while every other byte stays as it came. One forward pass over the whole text; nothing else of it is
// understood or checked. Pure; any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llmd::openai {

struct TopLevelMember {
  std::string name;
  std::optional<std::string> text;  // the value, unescaped, if it is a string
  std::size_t begin = 0;            // of the name's opening quote
  std::size_t value_begin = 0;
  std::size_t end = 0;  // after the value
};

// The members with these names in the order of the text; of a name given twice both, where the last counts,
// as in Python's json. nullopt: the text is not one JSON object (as far as looked).
std::optional<std::vector<TopLevelMember>> find_top_level_members(std::string_view text,
                                                                  std::span<const std::string_view> names);

// The text without these members (each goes with the comma that belongs to it) and, if `replaced` is given,
// with `value` as that member's value. All members must come from this text.
std::string with_members_changed(std::string_view text, std::span<const TopLevelMember> removed,
                                 const TopLevelMember* replaced, std::string_view value);

}  // namespace llmd::openai
