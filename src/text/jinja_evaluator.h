// Walks the tree of one template for one render.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_runtime.h"

namespace llmd::text::jinja {

struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<std::string, Value>> names;

  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};
using ScopePtr = std::shared_ptr<Scope>;

class Evaluator {
 public:
  Evaluator(Runtime& runtime, const Dict& context);
  std::string render(const Body& body);

  Value evaluate(const Expression& node);

 private:
  friend class Macro;
  friend class Loop;
  enum class Flow { Next, Break, Continue };

  Flow execute(const Body& body);
  Flow execute(const Statement& node);
  Flow if_statement(const Statement& node);
  Flow for_statement(const Statement& node);
  std::string run_loop(const Statement& node, std::vector<Value> items, int depth);
  void set_statement(const Statement& node);
  void call_block(const Statement& node);
  void with_statement(const Statement& node);
  void print(const Value& value);
  void write(std::string_view text);
  void assign(const Expression& target, Value value);
  // The output of the body in a scope of its own.
  std::string capture(const Body& body);
  Value call_function(const Statement& node, const ScopePtr& definition, const Arguments& arguments);
  void bind_parameters(const Statement& node, const Arguments& arguments);
  void bind_surplus(const Statement& node, const Arguments& arguments);

  Value lookup(std::string_view name);
  Value dict_display(const Expression& node);
  Value compare_chain(const Expression& node);
  Value call(const Expression& node);
  Value filter(const Expression& node, const Value* subject);
  Value unary(const Expression& node);
  Value binary(const Expression& node);
  std::vector<Value> all(const Expression& node, std::size_t from = 0);
  Arguments arguments(const Expression& node);

  Runtime& runtime_;
  const Dict& context_;
  ScopePtr root_;
  ScopePtr scope_;
  std::string* out_ = nullptr;
  // The subject of the innermost filter block, where the chain has no expression of its own.
  const Value* filter_subject_ = nullptr;
};

}  // namespace llmd::text::jinja
