// Tool calls in the text that a model generates.
//
//   hermes    <tool_call>{"name": .., "arguments": {..}}</tool_call>, between other text
//   named     the whole text is the arguments of one tool (a constraint sees to it)
//   required  the whole text is a list [{"name": .., "parameters": {..}}, ..] (the same)
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace llmd::engine {

struct ToolForm {
  enum class Mode { None, Hermes, Named, Required };
  Mode mode = Mode::None;
  std::string name;  // of the named tool
};

struct ToolCall {
  std::string name;       // empty in a delta that continues a call
  std::string arguments;  // JSON
};

// Reads one answer, as it comes. The pieces concatenate to the whole: what may still become a call is held
// back; what turns out to be none is content.
class ToolReader {
 public:
  explicit ToolReader(const ToolForm& form) : form_(form) {}

  struct Delta {
    std::string content;
    std::vector<ToolCall> calls;  // continue the call before them, or begin the next one
  };
  Delta push(std::string_view text, bool end);
  int calls() const { return calls_; }  // begun so far

 private:
  Delta read_hermes(bool end);
  Delta read_named(std::string_view text);
  Delta read_required();
  bool take_call(std::string_view json, Delta& delta);
  void add_content(std::string_view text, Delta& delta);

  const ToolForm form_;
  std::string held_;
  bool inside_ = false;  // hermes: behind <tool_call>
  int calls_ = 0;
};

}  // namespace llmd::engine
