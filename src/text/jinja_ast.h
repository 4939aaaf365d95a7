// The syntax tree of a template. Depth is bounded at construction, so recursion over it fits the stack.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja.h"
#include "text/jinja_value.h"

namespace llmd::text::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Expression {
  enum class Kind {
    Constant,     // value
    Name,         // name
    Tuple,        // children
    List,         // children
    Dict,         // children: key, value, key, value, ...
    Attribute,    // children[0] . name
    Subscript,    // children[0] [ children[1] ]
    Slice,        // children[0] [ children[1] : children[2] : children[3] ], null where absent
    Call,         // children[0] ( children[1..], keywords )
    Filter,       // children[0] | name ( children[1..], keywords ); children[0] is null in filter blocks
    Test,         // children[0] is name ( children[1..], keywords )
    Unary,        // name: "not", "-", "+"
    Binary,       // name: arithmetic operator, "and", "or"
    Concat,       // children joined as text
    Compare,      // children[0] operators[0] children[1] operators[1] ...
    Conditional,  // children[0] if children[1] else children[2]; the last may be null
  };
  Kind kind;
  int line;
  std::string name;
  Value value;
  std::vector<ExpressionPtr> children;
  std::vector<std::pair<std::string, ExpressionPtr>> keywords;
  std::vector<std::string> operators;
  int depth = 1;
};

struct Statement;
using Body = std::vector<std::unique_ptr<Statement>>;

struct Statement {
  enum class Kind {
    Data,
    Print,
    If,
    For,
    Set,
    SetBlock,
    Macro,
    CallBlock,
    FilterBlock,
    With,
    Scope,
    Break,
    Continue
  };
  Kind kind;
  int line;
  std::string text;      // Data; name of a Macro
  ExpressionPtr target;  // For, Set: Name, Tuple of them, or Attribute of a namespace
  ExpressionPtr value;   // Print, Set, For: iterable; CallBlock: the call; filters of SetBlock, FilterBlock
  ExpressionPtr condition;                               // For: the filter
  std::vector<std::pair<ExpressionPtr, Body>> branches;  // If: condition (null for else) and body
  std::vector<std::pair<std::string, ExpressionPtr>>
      parameters;  // Macro, CallBlock: name, default; With: name, value
  Body body;
  Body otherwise;              // For: when there was nothing
  bool recursive = false;      // For
  bool takes_varargs = false;  // Macro, CallBlock: the body mentions varargs, kwargs
  bool takes_kwargs = false;
};

struct Program {
  JinjaOptions options;
  Body body;
  bool iterates_content = false;
};

}  // namespace llmd::text::jinja
