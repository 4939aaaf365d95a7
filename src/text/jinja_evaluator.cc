#include "text/jinja_evaluator.h"

#include <algorithm>

namespace llmd::text::jinja {
namespace {

constexpr int kMaxRecursion = 900;  // nodes on the stack: macros, blocks and expressions together

struct Deeper {
  explicit Deeper(int& depth) : depth_(depth) {
    if (depth_ >= kMaxRecursion) {
      throw Failure{ErrorKind::ResourceExhausted, "the template recurses too deeply"};
    }
    ++depth_;
  }
  ~Deeper() { --depth_; }
  int& depth_;
};

bool compare_values(Runtime& runtime, std::string_view operation, const Value& a, const Value& b) {
  if (operation == "==")
    return equal(a, b);
  if (operation == "!=")
    return !equal(a, b);
  if (operation == "in")
    return runtime.contains(b, a);
  if (operation == "not in")
    return !runtime.contains(b, a);
  const int order = compare(a, b);
  if (operation == "<")
    return order < 0;
  if (operation == "<=")
    return order <= 0;
  return operation == ">" ? order > 0 : order >= 0;
}

}  // namespace

const Value* Scope::find(std::string_view name) const {
  const auto found =
      std::ranges::find(names, name, [](const auto& pair) -> std::string_view { return pair.first; });
  return found == names.end() ? nullptr : &found->second;
}

void Scope::set(std::string_view name, Value value) {
  if (const auto* known = find(name)) {
    *const_cast<Value*>(known) = std::move(value);  // an entry of this very scope
  } else {
    names.emplace_back(name, std::move(value));
  }
}

Evaluator::Evaluator(Runtime& runtime, const Dict& context)
    : runtime_(runtime), context_(context), root_(std::make_shared<Scope>()), scope_(root_) {}

Value Evaluator::lookup(std::string_view name) {
  for (const auto* scope = scope_.get(); scope != nullptr; scope = scope->parent.get()) {
    if (const auto* value = scope->find(name))
      return *value;
  }
  if (const auto* value = context_.find(name))
    return *value;
  return runtime_.global(name);
}

Value Evaluator::evaluate(const Expression& node) {
  using Kind = Expression::Kind;
  const Deeper deeper(runtime_.depth);
  runtime_.charge(1);
  runtime_.line = node.line;
  switch (node.kind) {
    case Kind::Constant:
      return node.value;
    case Kind::Name:
      return lookup(node.name);
    case Kind::Tuple:
      return Value::list(all(node), ListKind::Tuple);
    case Kind::List:
      return Value::list(all(node));
    case Kind::Dict:
      return dict_display(node);
    case Kind::Attribute:
      return runtime_.attribute(evaluate(*node.children[0]), node.name);
    case Kind::Subscript: {
      const auto object = evaluate(*node.children[0]);
      return runtime_.item(object, evaluate(*node.children[1]));
    }
    case Kind::Slice: {
      const auto part = [&](std::size_t i) {
        return node.children[i] ? evaluate(*node.children[i]) : Value(None{});
      };
      const auto object = part(0);
      return runtime_.slice(object, part(1), part(2), part(3));
    }
    case Kind::Call:
      return call(node);
    case Kind::Filter:
      return filter(node, nullptr);
    case Kind::Test: {
      const auto subject = evaluate(*node.children[0]);
      return runtime_.test(node.name, subject, arguments(node));
    }
    case Kind::Unary:
      return unary(node);
    case Kind::Binary:
      return binary(node);
    case Kind::Concat: {
      std::string text;
      for (const auto& child : node.children) {
        text += to_text(evaluate(*child));
        runtime_.check_size(text.size());
      }
      return runtime_.text(std::move(text));
    }
    case Kind::Compare:
      return compare_chain(node);
    case Kind::Conditional:
      if (truthy(evaluate(*node.children[1])))
        return evaluate(*node.children[0]);
      if (node.children[2])
        return evaluate(*node.children[2]);
      return Value::undefined("the inline if-expression has no else");
  }
  return {};
}

std::vector<Value> Evaluator::all(const Expression& node, std::size_t from) {
  std::vector<Value> values;
  values.reserve(node.children.size() - from);
  for (auto i = from; i < node.children.size(); ++i)
    values.push_back(evaluate(*node.children[i]));
  return values;
}

Arguments Evaluator::arguments(const Expression& node) {
  Arguments result;
  result.positional = all(node, 1);
  for (const auto& [name, value] : node.keywords)
    result.keyword.emplace_back(name, evaluate(*value));
  return result;
}

Value Evaluator::dict_display(const Expression& node) {
  Dict dict;
  for (std::size_t i = 0; i < node.children.size(); i += 2) {
    auto key = evaluate(*node.children[i]);
    dict.set(std::move(key), evaluate(*node.children[i + 1]));
  }
  return Value::dict(std::move(dict));
}

Value Evaluator::compare_chain(const Expression& node) {
  auto left = evaluate(*node.children[0]);
  for (std::size_t i = 0; i < node.operators.size(); ++i) {
    auto right = evaluate(*node.children[i + 1]);
    if (!compare_values(runtime_, node.operators[i], left, right))
      return false;
    left = std::move(right);
  }
  return true;
}

Value Evaluator::call(const Expression& node) {
  const auto callee = evaluate(*node.children[0]);
  const auto given = arguments(node);
  runtime_.line = node.line;
  return runtime_.call(callee, given);
}

Value Evaluator::filter(const Expression& node, const Value*) {
  const auto subject = node.children[0] ? evaluate(*node.children[0]) : *filter_subject_;
  const auto given = arguments(node);
  runtime_.line = node.line;
  return runtime_.filter(node.name, subject, given);
}

Value Evaluator::unary(const Expression& node) {
  const auto value = evaluate(*node.children[0]);
  if (node.name == "not")
    return !truthy(value);
  if (value.is_undefined())
    fail("{}", value.undefined_message());
  if (!value.is_number())
    fail("bad operand type for unary {}: '{}'", node.name, type_name(value));
  if (node.name == "+")
    return value.is_integral() ? Value(value.integer()) : value;
  return value.is_integral() ? runtime_.binary("-", std::int64_t{0}, value) : Value(-value.number());
}

Value Evaluator::binary(const Expression& node) {
  auto left = evaluate(*node.children[0]);
  if (node.name == "and")
    return truthy(left) ? evaluate(*node.children[1]) : left;
  if (node.name == "or")
    return truthy(left) ? left : evaluate(*node.children[1]);
  const auto right = evaluate(*node.children[1]);
  return runtime_.binary(node.name, left, right);
}

std::string Evaluator::render(const Body& body) {
  std::string text;
  out_ = &text;
  execute(body);
  return text;
}

Evaluator::Flow Evaluator::execute(const Body& body) {
  for (const auto& statement : body) {
    const Deeper deeper(runtime_.depth);
    runtime_.charge(1);
    runtime_.line = statement->line;
    if (const auto flow = execute(*statement); flow != Flow::Next)
      return flow;
  }
  return Flow::Next;
}

}  // namespace llmd::text::jinja
