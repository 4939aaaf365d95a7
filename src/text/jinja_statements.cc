// Statements: control flow, assignments, macros.
#include <algorithm>

#include "text/jinja_evaluator.h"

namespace llmd::text::jinja {

// A macro or the caller of a call block. It does not own the scope it was defined in, which may hold it.
class Macro final : public Object {
 public:
  Macro(Evaluator& evaluator, const Statement& node, const ScopePtr& scope)
      : evaluator_(evaluator), node_(node), scope_(scope) {}
  Value call(Runtime&, const Arguments& arguments) override {
    auto scope = scope_.lock();
    return evaluator_.call_function(node_, scope ? scope : evaluator_.root_, arguments);
  }
  std::string text() const override { return "<Macro '" + node_.text + "'>"; }
  std::optional<Value> attribute(std::string_view name) const override {
    if (name == "name")
      return Value(node_.text);
    return std::nullopt;
  }

 private:
  Evaluator& evaluator_;
  const Statement& node_;
  std::weak_ptr<Scope> scope_;
};

// The `loop` variable.
class Loop final : public Object, public std::enable_shared_from_this<Loop> {
 public:
  Loop(Evaluator& evaluator, const Statement& node, std::vector<Value> items, int level)
      : evaluator_(evaluator), node_(node), items_(std::move(items)), level_(level) {
    for (const auto& item : items_)
      depth = std::max(depth, item.depth() + 1);
    if (depth >= kMaxValueDepth)
      throw Failure{ErrorKind::ResourceExhausted, "values nested too deeply"};
  }

  const std::vector<Value>& items() const { return items_; }
  void go_to(std::size_t index) { at_ = index; }
  bool callable() const override { return node_.recursive; }
  std::string text() const override { return fmt::format("<LoopContext {}/{}>", at_ + 1, items_.size()); }

  Value call(Runtime& runtime, const Arguments& arguments) override {
    if (arguments.positional.size() != 1)
      fail("loop() takes the inner iterable");
    auto inner = runtime.iterate(arguments.positional[0]);
    return runtime.text(evaluator_.run_loop(node_, std::move(inner), level_ + 1));
  }

  std::optional<Value> attribute(std::string_view name) const override {
    const auto index = static_cast<std::int64_t>(at_);
    const auto size = static_cast<std::int64_t>(items_.size());
    if (name == "index")
      return index + 1;
    if (name == "index0")
      return index;
    if (name == "revindex")
      return size - index;
    if (name == "revindex0")
      return size - index - 1;
    if (name == "first")
      return index == 0;
    if (name == "last")
      return index + 1 == size;
    if (name == "length")
      return size;
    if (name == "depth")
      return std::int64_t{level_ + 1};
    if (name == "depth0")
      return std::int64_t{level_};
    if (name == "previtem")
      return index > 0 ? items_[at_ - 1] : Value::undefined("there is no previous item");
    if (name == "nextitem")
      return index + 1 < size ? items_[at_ + 1] : Value::undefined("there is no next item");
    if (name == "cycle")
      return method("cycle", [](const Loop& self, const Arguments& arguments) -> Value {
        if (arguments.positional.empty())
          fail("no items for cycling given");
        return arguments.positional[self.at_ % arguments.positional.size()];
      });
    if (name == "changed")
      return method("changed", [](const Loop& self, const Arguments& arguments) -> Value {
        auto current = Value::list(arguments.positional, ListKind::Tuple);
        const bool same = self.has_last_ && equal(self.last_, current);
        self.has_last_ = true;
        self.last_ = std::move(current);
        return !same;
      });
    return std::nullopt;
  }

 private:
  template <typename Body>
  Value method(std::string name, Body body) const {
    auto result = std::make_shared<Function>(
        std::move(name), [self = weak_from_this(), body](Runtime&, const Arguments& arguments) -> Value {
          const auto loop = self.lock();
          if (!loop)
            fail("the loop is over");
          return body(*loop, arguments);
        });
    return Value(std::static_pointer_cast<Object>(std::move(result)));
  }

  Evaluator& evaluator_;
  const Statement& node_;
  std::vector<Value> items_;
  std::size_t at_ = 0;
  int level_;
  mutable Value last_;  // of changed(): the method is reached through a const attribute lookup
  mutable bool has_last_ = false;
};

namespace {

// Sets a variable for the life of this object, whatever ends the block.
template <typename T>
class Swapped {
 public:
  Swapped(T& place, T value) : place_(place), saved_(std::exchange(place, std::move(value))) {}
  ~Swapped() { place_ = std::move(saved_); }
  Swapped(const Swapped&) = delete;
  Swapped& operator=(const Swapped&) = delete;

 private:
  T& place_;
  T saved_;
};

ScopePtr inner(const ScopePtr& parent) {
  auto scope = std::make_shared<Scope>();
  scope->parent = parent;
  return scope;
}

}  // namespace

Evaluator::Flow Evaluator::execute(const Statement& node) {
  using Kind = Statement::Kind;
  switch (node.kind) {
    case Kind::Data:
      write(node.text);
      break;
    case Kind::Print:
      print(evaluate(*node.value));
      break;
    case Kind::If:
      return if_statement(node);
    case Kind::For:
      return for_statement(node);
    case Kind::Set:
    case Kind::SetBlock:
      set_statement(node);
      break;
    case Kind::Macro:
      scope_->set(node.text,
                  Value(std::static_pointer_cast<Object>(std::make_shared<Macro>(*this, node, scope_))));
      break;
    case Kind::CallBlock:
      call_block(node);
      break;
    case Kind::FilterBlock: {
      const auto text = runtime_.text(capture(node.body));
      const Swapped subject(filter_subject_, &text);
      print(evaluate(*node.value));
      break;
    }
    case Kind::With:
      with_statement(node);
      break;
    case Kind::Scope: {
      const Swapped scope(scope_, inner(scope_));
      return execute(node.body);
    }
    case Kind::Break:
      return Flow::Break;
    case Kind::Continue:
      return Flow::Continue;
  }
  return Flow::Next;
}

Evaluator::Flow Evaluator::if_statement(const Statement& node) {
  for (const auto& [condition, body] : node.branches) {
    if (!condition || truthy(evaluate(*condition)))
      return execute(body);
  }
  return Flow::Next;
}

Evaluator::Flow Evaluator::for_statement(const Statement& node) {
  write(run_loop(node, runtime_.iterate(evaluate(*node.value)), 0));
  return Flow::Next;
}

std::string Evaluator::run_loop(const Statement& node, std::vector<Value> items, int depth) {
  std::string text;
  const Swapped output(out_, &text);
  if (node.condition) {
    std::vector<Value> chosen;
    for (auto& item : items) {
      const Swapped scope(scope_, inner(scope_));
      assign(*node.target, item);
      if (truthy(evaluate(*node.condition)))
        chosen.push_back(std::move(item));
    }
    items = std::move(chosen);
  }
  if (items.empty()) {
    execute(node.otherwise);
    return text;
  }
  const auto loop = std::make_shared<Loop>(*this, node, std::move(items), depth);
  for (std::size_t i = 0; i < loop->items().size(); ++i) {
    const Swapped scope(scope_, inner(scope_));
    loop->go_to(i);
    scope_->set("loop", Value(std::static_pointer_cast<Object>(loop)));
    assign(*node.target, loop->items()[i]);
    if (execute(node.body) == Flow::Break)
      break;
  }
  return text;
}

void Evaluator::set_statement(const Statement& node) {
  if (node.kind == Statement::Kind::Set) {
    assign(*node.target, evaluate(*node.value));
    return;
  }
  auto text = runtime_.text(capture(node.body));
  if (node.value) {
    const Swapped subject(filter_subject_, static_cast<const Value*>(&text));
    assign(*node.target, evaluate(*node.value));
  } else {
    assign(*node.target, std::move(text));
  }
}

void Evaluator::assign(const Expression& target, Value value) {
  if (target.kind == Expression::Kind::Name) {
    scope_->set(target.name, std::move(value));
  } else if (target.kind == Expression::Kind::Attribute) {
    const auto holder = evaluate(*target.children[0]);
    auto* space = dynamic_cast<Namespace*>(holder.object());
    if (space == nullptr)
      fail("cannot assign attribute on non-namespace object");
    space->attributes.insert_or_assign(target.name, std::move(value));
  } else {
    const auto parts = runtime_.iterate(value);
    if (parts.size() != target.children.size()) {
      fail("cannot unpack {} values into {} names", parts.size(), target.children.size());
    }
    for (std::size_t i = 0; i < parts.size(); ++i)
      assign(*target.children[i], parts[i]);
  }
}

void Evaluator::call_block(const Statement& node) {
  const auto& call_node = *node.value;
  const auto callee = evaluate(*call_node.children[0]);
  auto given = arguments(call_node);
  given.keyword.emplace_back(
      "caller", Value(std::static_pointer_cast<Object>(std::make_shared<Macro>(*this, node, scope_))));
  print(runtime_.call(callee, given));
}

void Evaluator::with_statement(const Statement& node) {
  auto scope = inner(scope_);
  for (const auto& [name, value] : node.parameters)
    scope->set(name, evaluate(*value));
  const Swapped entered(scope_, std::move(scope));
  std::string text;
  {
    const Swapped output(out_, &text);
    execute(node.body);
  }
  write(text);
}

std::string Evaluator::capture(const Body& body) {
  std::string text;
  const Swapped output(out_, &text);
  const Swapped scope(scope_, inner(scope_));
  execute(body);
  return text;
}

Value Evaluator::call_function(const Statement& node, const ScopePtr& definition,
                               const Arguments& arguments) {
  const auto line = runtime_.line;
  std::string text;
  const Swapped output(out_, &text);
  const Swapped scope(scope_, inner(definition));
  bind_parameters(node, arguments);
  execute(node.body);
  runtime_.line = line;
  return runtime_.text(std::move(text));
}

void Evaluator::bind_parameters(const Statement& node, const Arguments& arguments) {
  for (std::size_t i = 0; i < node.parameters.size(); ++i) {
    const auto& [name, fallback] = node.parameters[i];
    const auto* given = arguments.get(i, name);
    if (given != nullptr) {
      scope_->set(name, *given);
    } else if (fallback) {
      scope_->set(name, evaluate(*fallback));
    } else {
      scope_->set(name, Value::undefined(fmt::format("parameter '{}' was not provided", name)));
    }
  }
  bind_surplus(node, arguments);
}

void Evaluator::bind_surplus(const Statement& node, const Arguments& arguments) {
  const auto wanted = node.parameters.size();
  if (node.takes_varargs) {
    std::vector<Value> rest;
    for (auto i = wanted; i < arguments.positional.size(); ++i)
      rest.push_back(arguments.positional[i]);
    scope_->set("varargs", Value::list(std::move(rest), ListKind::Tuple));
  } else if (arguments.positional.size() > wanted) {
    fail("macro '{}' takes not more than {} argument(s)", node.text, wanted);
  }
  Dict rest;
  for (const auto& [name, value] : arguments.keyword) {
    const auto position = std::ranges::find(
        node.parameters, name, [](const auto& pair) -> const std::string& { return pair.first; });
    if (position != node.parameters.end()) {
      if (static_cast<std::size_t>(position - node.parameters.begin()) < arguments.positional.size()) {
        fail("macro '{}' got multiple values for argument '{}'", node.text, name);
      }
    } else if (name == "caller") {
      scope_->set(name, value);
    } else if (node.takes_kwargs) {
      rest.set(name, value);
    } else {
      fail("macro '{}' takes no keyword argument '{}'", node.text, name);
    }
  }
  if (node.takes_kwargs)
    scope_->set("kwargs", Value::dict(std::move(rest)));
}

void Evaluator::print(const Value& value) {
  if (value.is_string()) {
    write(value.string());
  } else {
    write(to_text(value));
  }
}

void Evaluator::write(std::string_view text) {
  runtime_.check_size(out_->size() + text.size());
  runtime_.charge(text.size() / 128);
  out_->append(text);
}

}  // namespace llmd::text::jinja
