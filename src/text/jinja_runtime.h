// What evaluation needs besides the tree: limits, attribute lookup, filters, tests and the global functions.
// One Runtime serves one render on one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja.h"
#include "text/jinja_value.h"

namespace llmd::text::jinja {

class Runtime {
 public:
  explicit Runtime(const JinjaOptions& options) : options_(options) {}
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const JinjaOptions& options() const { return options_; }
  void charge(std::uint64_t steps);
  // Every text made during a render passes here: bounded in size and paid for.
  Value text(std::string text, bool markup = false);
  void check_size(std::size_t bytes) const;  // before making a text whose size is known

  // The elements of anything that Python could iterate.
  std::vector<Value> iterate(const Value& value);
  std::int64_t length(const Value& value) const;
  bool contains(const Value& container, const Value& item);
  Value attribute(const Value& object, std::string_view name);  // object.name
  Value item(const Value& object, const Value& key);            // object[key]
  Value slice(const Value& object, const Value& start, const Value& stop, const Value& step);
  Value binary(std::string_view operation, const Value& a, const Value& b);
  Value call(const Value& callee, const Arguments& arguments);
  Value filter(std::string_view name, const Value& value, const Arguments& arguments);
  bool test(std::string_view name, const Value& value, const Arguments& arguments);
  // "a.b.0": how map(attribute=...), selectattr and sort name a part of an element.
  Value path(const Value& object, const Value& path);

  std::shared_ptr<Namespace> make_namespace();
  // A global function (range, namespace, ...); undefined when there is none.
  Value global(std::string_view name);

  int line = 1;   // of the node under evaluation, for errors
  int depth = 0;  // of recursion

 private:
  const JinjaOptions& options_;
  std::uint64_t steps_ = 0;
  // Namespaces may come to contain themselves; they are emptied when the render ends.
  std::vector<std::shared_ptr<Namespace>> namespaces_;
};

using Filter = Value (*)(Runtime&, const Value&, const Arguments&);
using Test = bool (*)(Runtime&, const Value&, const Arguments&);
// Null when there is none of that name.
Filter find_text_filter(std::string_view name);
Filter find_sequence_filter(std::string_view name);
Filter find_filter(std::string_view name);
Test find_test(std::string_view name);

// The method `name` bound to `self` (a str, list, tuple or dict); undefined for methods that the sandbox
// forbids because they change their object; nullopt when there is no such method.
std::optional<Value> bound_method(const Value& self, std::string_view name);

// Arguments as filters take them.
std::int64_t integer_argument(const Arguments& arguments, std::size_t position, std::string_view name,
                              std::int64_t fallback);
std::string string_argument(const Arguments& arguments, std::size_t position, std::string_view name,
                            std::string_view fallback);
bool bool_argument(const Arguments& arguments, std::size_t position, std::string_view name, bool fallback);

// json.dumps(value, ensure_ascii=..., indent=...). `indent` is the text of one level, null for one line.
struct JsonStyle {
  const std::string* indent = nullptr;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
  bool ensure_ascii = false;
};
std::string to_json(const Value& value, const JsonStyle& style);

std::string percent_format(const std::string& format, const Value& values);  // "%s" % x
std::string brace_format(Runtime& runtime, const std::string& format,
                         const Arguments& arguments);  // "{}".format(x)
std::string strftime_now(const Clock& clock, const std::string& format);

}  // namespace llmd::text::jinja
