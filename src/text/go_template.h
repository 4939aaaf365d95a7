// A subset of Go's text/template, as LLMInferenceServiceConfig strings use it: pipelines, if/else/with/range
// (with break and continue), variables, trim markers, comments, and the built-in functions and or not eq ne
// lt le gt ge index len print printf println. `define`, `template`, `block` and method calls are refused.
//
// Two deliberate differences: a value that is not set never prints as text ("<no value>", "<nil>"), it is an
// error that names the variable; and field names match JSON members ignoring case (.Spec.Model.URI reads
// spec.model.uri).
//
// Pure and thread-safe: a parsed template may be executed by any number of threads.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "json/value.h"

namespace llmd::text {

using GoFunction = std::function<Result<json::Value>(std::span<const json::Value> arguments)>;
using GoFunctions = std::map<std::string, GoFunction, std::less<>>;

struct GoEnvironment {
  GoFunctions functions;  // beside the built-in ones
  // Called when `parent` (an object, reached by `path`, e.g. ".Spec.Model") has no member `name`. True: the
  // field exists in the type and is merely not set (nil). False: unknown, an error with the nearest known
  // name. Empty: false.
  std::function<bool(std::string_view path, std::string_view name)> is_known_field;
  // Other spellings of members: Go's embedded ObjectMeta is "metadata" on the wire. Empty result: no alias.
  std::function<std::string_view(std::string_view path, std::string_view name)> alias;
};

struct GoLimits {
  std::size_t max_steps = 100'000;     // evaluated nodes
  std::size_t max_output = 1U << 20U;  // bytes
};

class GoTemplate {
 public:
  // Errors are InvalidArgument and begin with the position in the text: "1:9: ...".
  static Result<GoTemplate> parse(std::string_view text);

  // InvalidArgument with position and variable; ResourceExhausted beyond the limits.
  Result<std::string> execute(const json::Value& data, const GoEnvironment& environment = {},
                              const GoLimits& limits = {}) const;

  struct Block;

 private:
  explicit GoTemplate(std::shared_ptr<const Block> root) : root_(std::move(root)) {}
  std::shared_ptr<const Block> root_;
};

}  // namespace llmd::text
