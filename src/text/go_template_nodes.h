// The tree of a parsed Go template; shared by the parser and the evaluator, seen by nobody else.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "text/go_template.h"

namespace llmd::text::go {

struct Position {
  std::size_t line = 1;
  std::size_t column = 1;
};

struct Pipeline;

// One operand, possibly followed by field names: .Spec.Name, $x.y, (index .a 0).b, "text", 3, eq.
struct Operand {
  enum class Kind { Dot, Variable, Literal, Function, Group };
  Kind kind = Kind::Dot;
  std::string name;                 // of the variable (without $) or function
  json::Value literal;              // Literal
  std::shared_ptr<Pipeline> group;  // Group
  std::vector<std::string> fields;  // after the operand
  Position position;
};

struct Command {
  std::vector<Operand> operands;  // the first is the function when it is one, else there is only one
};

struct Pipeline {
  std::vector<std::string> variables;  // declared or assigned, without $
  bool assigns = false;                // $x = ..., not $x := ...
  std::vector<Command> commands;
  Position position;
};

struct Node {
  enum class Kind { Text, Print, If, With, Range, Break, Continue };
  Kind kind = Kind::Text;
  std::string text;
  Pipeline pipeline;
  std::vector<Node> body;
  std::vector<Node> otherwise;
  Position position;
};

Result<std::vector<Node>> parse_nodes(std::string_view text);

}  // namespace llmd::text::go

namespace llmd::text {
struct GoTemplate::Block {
  std::vector<go::Node> nodes;
};
}  // namespace llmd::text
