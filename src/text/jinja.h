// Jinja templates as published chat templates use them: the syntax and the semantics of jinja2 with the
// settings of transformers (sandboxed and immutable, loop controls, `generation` blocks, tojson without HTML
// escapes). Not here: include, import, extends, block, autoescape.
//
// A JinjaTemplate is immutable after parsing; any thread may render it. No I/O; templates and data may be
// hostile: nesting, work and output are bounded, and passing a bound is an error like any other. Errors carry
// the template's line: "line 12: 'messages' is undefined".
#pragma once

#include <boost/json/fwd.hpp>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace llmd::text {

struct JinjaOptions {
  bool trim_blocks = true;    // the first newline after a block disappears
  bool lstrip_blocks = true;  // blanks before a block at the start of a line disappear
  bool keep_trailing_newline = false;
  std::size_t max_output_bytes = std::size_t{64} << 20;  // of the whole text and of any one string on the way
  std::uint64_t max_steps = 10'000'000;  // nodes visited, elements made, and 128 bytes of text each
  const Clock* clock = nullptr;  // for strftime_now; system_clock() when null, must outlive the template
};

namespace jinja {
struct Program;
}

class JinjaTemplate {
 public:
  // InvalidArgument with the line for anything that is not a template of this subset.
  static Result<JinjaTemplate> parse(std::string_view source, JinjaOptions options = {});

  // Names of `context` are the template's variables. Fails with InvalidArgument when the template raises,
  // uses an undefined value or does something that Python would refuse; ResourceExhausted when it passes a
  // limit.
  Result<std::string> render(const boost::json::object& context) const;

  // Does the template look into message content as a list of parts ({% for part in message.content %} or
  // message['content'][0]), so that callers should not flatten it to text?
  bool iterates_content() const;

 private:
  explicit JinjaTemplate(std::shared_ptr<const jinja::Program> program) : program_(std::move(program)) {}
  std::shared_ptr<const jinja::Program> program_;
};

}  // namespace llmd::text
