#include "openai/top_level_members.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "json/value.h"
#include "openai/blank.h"

namespace llmd::openai {
namespace {

class Scanner {
 public:
  Scanner(std::string_view text, std::span<const std::string_view> names) : text_(text), names_(names) {}

  std::optional<std::vector<TopLevelMember>> run() {
    skip_blanks();
    if (!take('{')) {
      return std::nullopt;
    }
    skip_blanks();
    bool more = !take('}');
    while (more) {
      if (!member()) {
        return std::nullopt;
      }
      skip_blanks();
      more = take(',');
      if (!more && !take('}')) {
        return std::nullopt;
      }
      skip_blanks();
    }
    return at_ == text_.size() ? std::optional(std::move(found_)) : std::nullopt;
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && is_blank(text_[at_])) {
      ++at_;
    }
  }
  bool take(char wanted) {
    const bool there = at_ < text_.size() && text_[at_] == wanted;
    at_ += there ? 1 : 0;
    return there;
  }

  // From the opening quote to after the closing one. Prompts are nearly all string: this is the cost.
  bool string() {
    if (!take('"')) {
      return false;
    }
    while (at_ < text_.size()) {
      const void* quote = std::memchr(text_.data() + at_, '"', text_.size() - at_);
      if (quote == nullptr) {
        return false;
      }
      const auto end = static_cast<std::size_t>(static_cast<const char*>(quote) - text_.data());
      const void* backslash = std::memchr(text_.data() + at_, '\\', end - at_);
      if (backslash == nullptr) {
        at_ = end + 1;
        return true;
      }
      at_ = static_cast<std::size_t>(static_cast<const char*>(backslash) - text_.data()) + 2;
    }
    return false;
  }

  bool nested() {
    std::size_t depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        if (!string()) {
          return false;
        }
        continue;
      }
      ++at_;
      depth += c == '{' || c == '[' ? 1 : 0;
      if ((c == '}' || c == ']') && --depth == 0) {
        return true;
      }
    }
    return false;
  }

  bool value() {
    if (at_ == text_.size()) {
      return false;
    }
    if (text_[at_] == '"') {
      return string();
    }
    if (text_[at_] == '{' || text_[at_] == '[') {
      return nested();
    }
    const std::size_t begin = at_;
    while (at_ < text_.size() && !is_blank(text_[at_]) && text_[at_] != ',' && text_[at_] != '}') {
      ++at_;
    }
    return at_ > begin;
  }

  static std::optional<std::string> unquoted(std::string_view quoted) {
    if (quoted.find('\\') == std::string_view::npos) {
      return std::string(quoted.substr(1, quoted.size() - 2));
    }
    const auto parsed = json::parse(quoted);
    return parsed && parsed->is_string() ? std::optional(std::string(std::string_view(parsed->get_string())))
                                         : std::nullopt;
  }

  bool member() {
    TopLevelMember found;
    found.begin = at_;
    if (!string()) {
      return false;
    }
    constexpr std::size_t kLongestText = 4096;  // of names and values that anybody asks for
    const std::string_view quoted_name = text_.substr(found.begin, at_ - found.begin);
    skip_blanks();
    if (!take(':')) {
      return false;
    }
    skip_blanks();
    found.value_begin = at_;
    if (!value()) {
      return false;
    }
    found.end = at_;
    if (quoted_name.size() > kLongestText) {
      return true;
    }
    found.name = unquoted(quoted_name).value_or("");
    if (std::ranges::find(names_, found.name) == names_.end()) {
      return true;
    }
    const std::string_view written = text_.substr(found.value_begin, found.end - found.value_begin);
    if (written.starts_with('"') && written.size() <= kLongestText) {
      found.text = unquoted(written);
    }
    found_.push_back(std::move(found));
    return true;
  }

  std::string_view text_;
  std::span<const std::string_view> names_;
  std::size_t at_ = 0;
  std::vector<TopLevelMember> found_;
};

// With the comma after the member, or the one before it if it is the last.
void cut(std::string& text, const TopLevelMember& member) {
  std::size_t end = member.end;
  while (end < text.size() && is_blank(text[end])) {
    ++end;
  }
  std::size_t begin = member.begin;
  if (end < text.size() && text[end] == ',') {
    ++end;
    while (end < text.size() && is_blank(text[end])) {
      ++end;
    }
  } else {
    end = member.end;
    while (begin > 0 && is_blank(text[begin - 1])) {
      --begin;
    }
    begin = begin > 0 && text[begin - 1] == ',' ? begin - 1 : member.begin;
  }
  text.erase(begin, end - begin);
}

}  // namespace

std::optional<std::vector<TopLevelMember>> find_top_level_members(std::string_view text,
                                                                  std::span<const std::string_view> names) {
  return Scanner(text, names).run();
}

std::string with_members_changed(std::string_view text, std::span<const TopLevelMember> removed,
                                 const TopLevelMember* replaced, std::string_view value) {
  std::vector<const TopLevelMember*> changes;
  for (const TopLevelMember& member : removed) {
    changes.push_back(&member);
  }
  if (replaced != nullptr) {
    changes.push_back(replaced);
  }
  // From the back, so that positions further in front stay right.
  std::ranges::sort(changes, std::greater(), &TopLevelMember::begin);
  std::string made(text);
  for (const TopLevelMember* member : changes) {
    if (member == replaced) {
      std::string quoted;
      json::write_quoted_to(quoted, value);
      made.replace(member->value_begin, member->end - member->value_begin, quoted);
    } else {
      cut(made, *member);
    }
  }
  return made;
}

}  // namespace llmd::openai
