// Values of the Jinja evaluator, with Python's semantics. Containers never change after they are made (the
// sandbox forbids mutation); namespaces are the one exception. Sharing is by reference counting within one
// render.
#pragma once

#include <fmt/format.h>

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"

namespace llmd::text::jinja {

// Thrown inside the library only; JinjaTemplate turns it into an Error with the line.
struct Failure {
  ErrorKind kind;
  std::string message;
};
template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Failure{ErrorKind::InvalidArgument, fmt::format(format, std::forward<Args>(args)...)};
}

// Containers deeper than this are refused, so that walking (and freeing) them fits the stack.
inline constexpr int kMaxValueDepth = 200;

struct List;
enum class ListKind;
struct Dict;
class Object;
struct None {};
struct Undefined {
  std::shared_ptr<const std::string> message;  // what to say when it is used
};
struct Text {
  std::shared_ptr<const std::string> bytes;
  bool markup = false;  // came through |safe or |escape: `+` escapes the other operand
};

enum class Kind { Undefined, None, Bool, Int, Float, String, List, Dict, Object };

class Value {
 public:
  Value() = default;
  Value(None) : data_(None{}) {}
  Value(bool value) : data_(value) {}
  Value(std::int64_t value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(std::string text, bool markup = false)
      : data_(Text{std::make_shared<const std::string>(std::move(text)), markup}) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  Value(std::shared_ptr<const List> list) : data_(std::move(list)) {}
  Value(std::shared_ptr<const Dict> dict) : data_(std::move(dict)) {}
  Value(std::shared_ptr<Object> object) : data_(std::move(object)) {}
  static Value undefined(std::string message);
  static Value list(std::vector<Value> items, ListKind kind);
  static Value list(std::vector<Value> items);
  static Value dict(Dict dict);

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is_undefined() const { return kind() == Kind::Undefined; }
  bool is_none() const { return kind() == Kind::None; }
  bool is_string() const { return kind() == Kind::String; }
  bool is_list() const { return kind() == Kind::List; }
  bool is_dict() const { return kind() == Kind::Dict; }
  bool is_integral() const { return kind() == Kind::Int || kind() == Kind::Bool; }
  bool is_number() const { return is_integral() || kind() == Kind::Float; }
  bool is_markup() const { return is_string() && std::get<Text>(data_).markup; }

  const std::string& string() const { return *std::get<Text>(data_).bytes; }
  const List& list() const { return *std::get<std::shared_ptr<const List>>(data_); }
  const Dict& dict() const { return *std::get<std::shared_ptr<const Dict>>(data_); }
  Object* object() const {
    return kind() == Kind::Object ? std::get<std::shared_ptr<Object>>(data_).get() : nullptr;
  }
  std::int64_t integer() const;  // Int or Bool
  double number() const;         // Int, Bool or Float
  int depth() const;
  // What an undefined value says when used.
  std::string undefined_message() const;

 private:
  std::variant<Undefined, None, bool, std::int64_t, double, Text, std::shared_ptr<const List>,
               std::shared_ptr<const Dict>, std::shared_ptr<Object>>
      data_;
};

// Python has four kinds of things that Jinja iterates and that differ in what else one may do with them.
enum class ListKind {
  List,
  Tuple,
  Generator,  // map, select, ...: always true, no length, no index
  View,       // dict.items() and friends: a length, but no index
};

struct List {
  std::vector<Value> items;
  ListKind kind = ListKind::List;
  int depth = 1;

  bool indexable() const { return kind == ListKind::List || kind == ListKind::Tuple; }
};

// Insertion-ordered; any key that Python could hash.
struct Dict {
  std::vector<std::pair<Value, Value>> entries;
  int depth = 1;

  const Value* find(const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(Value key, Value value);

 private:
  std::unordered_map<std::string, std::size_t> index_;  // string keys, once there are many
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> keyword;

  const Value* find(std::string_view name) const;
  // The argument at `position` or by `name`; null when not given.
  const Value* get(std::size_t position, std::string_view name) const;
};

class Runtime;

// Everything that is not plain data: macros, functions, bound methods, loop, namespace.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::optional<Value> attribute(std::string_view name) const;
  virtual bool callable() const { return true; }
  virtual Value call(Runtime& runtime, const Arguments& arguments);
  virtual std::string text() const = 0;
  int depth = 1;
};

class Function final : public Object {
 public:
  using Body = std::function<Value(Runtime&, const Arguments&)>;
  Function(std::string name, Body body) : name_(std::move(name)), body_(std::move(body)) {}
  Value call(Runtime& runtime, const Arguments& arguments) override { return body_(runtime, arguments); }
  std::string text() const override { return "<function " + name_ + ">"; }

 private:
  std::string name_;
  Body body_;
};

class Namespace final : public Object {
 public:
  std::optional<Value> attribute(std::string_view name) const override;
  bool callable() const override { return false; }
  std::string text() const override { return "<Namespace>"; }
  std::map<std::string, Value, std::less<>> attributes;
};

bool truthy(const Value& value);
bool equal(const Value& a, const Value& b);
// Negative, zero, positive; fails for values that Python does not order.
int compare(const Value& a, const Value& b);
std::string_view type_name(const Value& value);  // as Python calls it: "str", "NoneType"
std::string to_text(const Value& value);         // str(value)
std::string repr(const Value& value);
std::string float_text(double value);  // Python's repr of a float
Value from_json(const boost::json::value& json);
Value from_json(const boost::json::object& json);
Value parse_json(std::string_view text);

}  // namespace llmd::text::jinja
