#include <algorithm>
#include <optional>
#include <vector>

#include "base/strings.h"
#include "text/go_template_functions.h"
#include "text/go_template_lexer.h"
#include "text/go_template_nodes.h"

namespace llmd::text::go {
namespace {

const json::Value kNil(nullptr);

// A value that is either part of the data (no copy) or was computed here.
class Computed {
 public:
  Computed() : reference_(&kNil) {}
  explicit Computed(const json::Value* reference) : reference_(reference) {}
  explicit Computed(json::Value value) : owned_(std::make_shared<json::Value>(std::move(value))) {}
  const json::Value& value() const { return owned_ ? *owned_ : *reference_; }
  // A part of this value that keeps it alive.
  Computed part(const json::Value* inner) const {
    Computed result(inner);
    result.keeper_ = owned_ ? owned_ : keeper_;
    return result;
  }
  std::string path;  // as the template wrote it, for messages: ".Spec.Model"

 private:
  const json::Value* reference_ = nullptr;
  std::shared_ptr<const json::Value> owned_;
  std::shared_ptr<const json::Value> keeper_;
};

enum class Flow { Next, Break, Continue };

class Evaluator {
 public:
  Evaluator(const json::Value& data, const GoEnvironment& environment, const GoLimits& limits)
      : environment_(environment), limits_(limits) {
    variables_.emplace_back("", Computed(&data));
  }

  Result<std::string> run(const std::vector<Node>& nodes) {
    const Computed dot = variables_.front().second;
    LLMD_TRY_VOID(block(nodes, dot));
    return std::move(out_);
  }

 private:
  Result<void> step(const Position& position) {
    if (++steps_ > limits_.max_steps || out_.size() > limits_.max_output) {
      return resource_exhausted("{}:{}: the template runs too long", position.line, position.column);
    }
    return {};
  }

  Result<Flow> block(const std::vector<Node>& nodes, const Computed& dot) {
    const std::size_t scope = variables_.size();
    Flow flow = Flow::Next;
    for (const Node& node : nodes) {
      LLMD_TRY(flow, one(node, dot));
      if (flow != Flow::Next) {
        break;
      }
    }
    variables_.resize(scope);
    return flow;
  }

  Result<Flow> one(const Node& node, const Computed& dot) {
    LLMD_TRY_VOID(step(node.position));
    switch (node.kind) {
      case Node::Kind::Text:
        out_ += node.text;
        return Flow::Next;
      case Node::Kind::Break:
        return Flow::Break;
      case Node::Kind::Continue:
        return Flow::Continue;
      case Node::Kind::Print: {
        LLMD_TRY_VOID(print(node, dot));
        return Flow::Next;
      }
      case Node::Kind::Range:
        return range(node, dot);
      case Node::Kind::If:
      case Node::Kind::With:
        break;
    }
    const std::size_t scope = variables_.size();
    LLMD_TRY(const auto condition, pipeline(node.pipeline, dot));
    const bool holds = is_true(condition.value());
    const Computed& inner = node.kind == Node::Kind::With && holds ? condition : dot;
    LLMD_TRY(const auto flow, block(holds ? node.body : node.otherwise, inner));
    variables_.resize(scope);
    return flow;
  }

  Result<void> print(const Node& node, const Computed& dot) {
    LLMD_TRY(const auto result, pipeline(node.pipeline, dot));
    if (!node.pipeline.variables.empty()) {
      return {};
    }
    if (result.value().is_null()) {
      return error_at(node.position,
                      fmt::format("{} is not set", result.path.empty() ? "the value" : result.path))
          .hint(fmt::format("give it a value, or a default: {{{{ or {} \"...\" }}}}",
                            result.path.empty() ? ".X" : result.path));
    }
    print_to(out_, result.value());
    return {};
  }

  Result<Flow> range(const Node& node, const Computed& dot) {
    const std::size_t scope = variables_.size();
    Pipeline source = node.pipeline;
    const std::vector<std::string> names = std::exchange(source.variables, {});
    LLMD_TRY(const auto collection, pipeline(source, dot));
    LLMD_TRY(const auto items, items_of(collection, node.position));
    if (items.empty()) {
      return block(node.otherwise, dot);
    }
    for (const auto& [key, item] : items) {
      if (names.size() == 2) {
        variables_.emplace_back(names[0], key);
      }
      if (!names.empty()) {
        variables_.emplace_back(names.back(), item);
      }
      LLMD_TRY(const auto flow, block(node.body, item));
      variables_.resize(scope);
      if (flow == Flow::Break) {
        break;
      }
    }
    return Flow::Next;
  }

  using Items = std::vector<std::pair<Computed, Computed>>;
  // Lists in order, maps by sorted key, integers from 0.
  Result<Items> items_of(const Computed& collection, const Position& position) {
    Items items;
    const json::Value& value = collection.value();
    if (value.is_null()) {
      return items;
    }
    if (value.is_array()) {
      for (std::size_t i = 0; i < value.get_array().size(); ++i) {
        items.emplace_back(Computed(json::Value(i)), collection.part(&value.get_array()[i]));
      }
      return items;
    }
    if (!value.is_object()) {
      return error_at(position, fmt::format("cannot range over {}", json::kind_name(value)));
    }
    std::vector<const boost::json::key_value_pair*> members;
    for (const auto& member : value.get_object()) {
      members.push_back(&member);
    }
    std::ranges::sort(members, {}, [](const auto* member) { return member->key(); });
    for (const auto* member : members) {
      items.emplace_back(Computed(json::Value(json::String(member->key()))),
                         collection.part(&member->value()));
    }
    return items;
  }

  Result<Computed> pipeline(const Pipeline& source, const Computed& dot) {
    Computed result;
    for (std::size_t i = 0; i < source.commands.size(); ++i) {
      LLMD_TRY(result, command(source.commands[i], dot, i > 0 ? &result : nullptr));
    }
    for (const std::string& name : source.variables) {
      LLMD_TRY_VOID(set(source, name, result));
    }
    return result;
  }

  Result<void> set(const Pipeline& source, const std::string& name, const Computed& value) {
    if (!source.assigns) {
      variables_.emplace_back(name, value);
      return {};
    }
    const auto found = std::ranges::find(variables_.rbegin(), variables_.rend(), name,
                                         &std::pair<std::string, Computed>::first);
    if (found == variables_.rend()) {
      return error_at(source.position, fmt::format("undefined variable ${}", name));
    }
    found->second = value;
    return {};
  }

  // `piped`: the result of the command before, the last argument of this one.
  Result<Computed> command(const Command& source, const Computed& dot, const Computed* piped) {
    const Operand& first = source.operands.front();
    if (first.kind != Operand::Kind::Function) {
      if (piped != nullptr) {
        return error_at(first.position, "a value cannot be piped into something that is not a function");
      }
      return operand(first, dot);
    }
    LLMD_TRY_VOID(step(first.position));
    if (first.name == "and" || first.name == "or") {
      return shortcut(source, dot, piped);
    }
    std::vector<json::Value> arguments;
    for (std::size_t i = 1; i < source.operands.size(); ++i) {
      LLMD_TRY(const auto argument, operand(source.operands[i], dot));
      arguments.push_back(argument.value());
    }
    if (piped != nullptr) {
      arguments.push_back(piped->value());
    }
    return call(first, arguments);
  }

  Result<Computed> call(const Operand& function, std::span<const json::Value> arguments) {
    auto result = [&]() -> Result<json::Value> {
      if (const auto found = environment_.functions.find(function.name);
          found != environment_.functions.end()) {
        return found->second(arguments);
      }
      if (const auto builtin = find_builtin(function.name)) {
        return builtin(arguments);
      }
      std::vector<std::string_view> known(builtin_names().begin(), builtin_names().end());
      for (const auto& [name, unused] : environment_.functions) {
        known.push_back(name);
      }
      return invalid_argument("unknown function '{}'", function.name)
          .hint(did_you_mean(function.name, known));
    }();
    if (!result) {
      return std::move(result).error().within(
          fmt::format("{}:{}", function.position.line, function.position.column));
    }
    Computed computed(std::move(*result));
    return fields(function, std::move(computed));
  }

  // Returns the operand that decides, without evaluating those behind it.
  Result<Computed> shortcut(const Command& source, const Computed& dot, const Computed* piped) {
    const bool stop_at = source.operands.front().name == "or";
    if (source.operands.size() == 1 && piped == nullptr) {
      return error_at(source.operands.front().position,
                      fmt::format("{} needs an argument", source.operands.front().name));
    }
    Computed result;
    for (std::size_t i = 1; i < source.operands.size(); ++i) {
      LLMD_TRY(result, operand(source.operands[i], dot));
      if (is_true(result.value()) == stop_at) {
        return result;
      }
    }
    return piped != nullptr ? *piped : result;
  }

  Result<Computed> operand(const Operand& source, const Computed& dot) {
    LLMD_TRY_VOID(step(source.position));
    switch (source.kind) {
      case Operand::Kind::Dot:
        return fields(source, dot);
      case Operand::Kind::Literal:
        return Computed(&source.literal);
      case Operand::Kind::Function:
        return call(source, {});
      case Operand::Kind::Group: {
        LLMD_TRY(auto inner, pipeline(*source.group, dot));
        return fields(source, std::move(inner));
      }
      case Operand::Kind::Variable:
        break;
    }
    const auto found = std::ranges::find(variables_.rbegin(), variables_.rend(), source.name,
                                         &std::pair<std::string, Computed>::first);
    if (found == variables_.rend()) {
      return error_at(source.position, fmt::format("undefined variable ${}", source.name));
    }
    Computed start = found->second;
    return fields(source, std::move(start));
  }

  Result<Computed> fields(const Operand& source, Computed start) {
    for (const std::string& name : source.fields) {
      LLMD_TRY(start, field(source.position, start, name));
    }
    return start;
  }

  Result<Computed> field(const Position& position, const Computed& parent, const std::string& name) {
    const std::string path = parent.path + "." + name;
    const json::Object* object = parent.value().if_object();
    if (object == nullptr) {
      if (parent.value().is_null()) {
        return error_at(position, fmt::format("{} needs {}, which is not set", path,
                                              parent.path.empty() ? "the data" : parent.path));
      }
      return error_at(position, fmt::format("{}: {} has no fields", path, json::kind_name(parent.value())));
    }
    if (const json::Value* member = find_member(*object, parent.path, name)) {
      Computed result = parent.part(member);
      result.path = path;
      return result;
    }
    if (environment_.is_known_field && environment_.is_known_field(parent.path, name)) {
      Computed result;
      result.path = path;
      return result;
    }
    std::vector<std::string_view> known;
    for (const auto& member : *object) {
      known.emplace_back(member.key().data(), member.key().size());
    }
    return error_at(position, fmt::format("unknown variable {}", path)).hint(did_you_mean(name, known));
  }

  const json::Value* find_member(const json::Object& object, std::string_view path,
                                 std::string_view name) const {
    if (const auto* exact = object.if_contains(boost::json::string_view(name.data(), name.size()))) {
      return exact;
    }
    for (const auto& member : object) {
      if (equals_ignoring_case({member.key().data(), member.key().size()}, name)) {
        return &member.value();
      }
    }
    const std::string_view other = environment_.alias ? environment_.alias(path, name) : std::string_view();
    return other.empty() ? nullptr : object.if_contains(boost::json::string_view(other.data(), other.size()));
  }

  const GoEnvironment& environment_;
  const GoLimits limits_;
  std::vector<std::pair<std::string, Computed>> variables_;
  std::string out_;
  std::size_t steps_ = 0;
};

}  // namespace
}  // namespace llmd::text::go

namespace llmd::text {

Result<std::string> GoTemplate::execute(const json::Value& data, const GoEnvironment& environment,
                                        const GoLimits& limits) const {
  return go::Evaluator(data, environment, limits).run(root_->nodes);
}

}  // namespace llmd::text
