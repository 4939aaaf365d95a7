#include "text/jinja.h"

#include <boost/json.hpp>

#include "text/jinja_evaluator.h"
#include "text/jinja_parser.h"

namespace llmd::text {

Result<JinjaTemplate> JinjaTemplate::parse(std::string_view source, JinjaOptions options) {
  try {
    return JinjaTemplate(jinja::parse_program(source, options));
  } catch (const jinja::SyntaxFailure& failure) {
    return invalid_argument("line {}: {}", failure.line, failure.message);
  }
}

Result<std::string> JinjaTemplate::render(const boost::json::object& context) const {
  jinja::Runtime runtime(program_->options);
  try {
    const auto values = jinja::from_json(context);
    jinja::Evaluator evaluator(runtime, values.dict());
    return evaluator.render(program_->body);
  } catch (const jinja::Failure& failure) {
    return std::unexpected(
        Error{failure.kind, fmt::format("line {}: {}", runtime.line, failure.message), {}});
  }
}

bool JinjaTemplate::iterates_content() const {
  return program_->iterates_content;
}

}  // namespace llmd::text
