#include "engine/server/structured.h"

#include <optional>

#include "engine/grammar/regex_grammar.h"
#include "engine/grammar/schema_grammar.h"

namespace llmd::engine {
namespace {

std::string_view view(const json::String& text) {
  return {text.data(), text.size()};
}

// One constraint: what kind, its value, and the field that it came from.
struct Constraint {
  enum class Kind { JsonObject, Schema, Regex, Choice };
  Kind kind;
  json::Value value;
  std::string_view field;
};
using Found = std::vector<Constraint>;

Api<> read_response_format(const json::Value& format, Found& found) {
  constexpr std::string_view kField = "response_format";
  if (format.is_null()) {
    return {};
  }
  const json::Object* const object = format.if_object();
  const json::Value* const type = object == nullptr ? nullptr : object->if_contains("type");
  if (type == nullptr || !type->is_string()) {
    return bad_request("response_format needs a type", kField);
  }
  const std::string_view kind = view(type->get_string());
  if (kind == "text") {
    return {};
  }
  if (kind == "json_object") {
    found.push_back({Constraint::Kind::JsonObject, {}, kField});
    return {};
  }
  if (kind == "structural_tag") {
    return not_implemented("response_format 'structural_tag' is not implemented", kField);
  }
  if (kind != "json_schema") {
    return bad_request(fmt::format("response_format: there is no type '{}'", kind), kField);
  }
  const json::Value* const outer = object->if_contains("json_schema");
  const json::Object* const named = outer == nullptr ? nullptr : outer->if_object();
  const json::Value* const schema = named == nullptr ? nullptr : named->if_contains("schema");
  if (schema == nullptr) {
    return bad_request("response_format: json_schema needs a schema", kField);
  }
  found.push_back({Constraint::Kind::Schema, *schema, kField});
  return {};
}

// A schema may come as an object or as its text.
Api<json::Value> schema_of(const json::Value& value, std::string_view field) {
  const auto* const text = value.if_string();
  if (text == nullptr) {
    return value;
  }
  auto parsed = json::parse(view(*text));
  if (!parsed) {
    return bad_request(fmt::format("{}: {}", field, parsed.error().text()), field);
  }
  return *std::move(parsed);
}

// The names are those of structured_outputs; the guided_ fields mean the same.
Api<> read_constraint(std::string_view name, const json::Value& value, std::string_view field, Found& found) {
  if (value.is_null()) {
    return {};
  }
  if (name == "json") {
    auto schema = schema_of(value, field);
    if (!schema) {
      return std::unexpected(schema.error());
    }
    found.push_back({Constraint::Kind::Schema, std::move(*schema), field});
  } else if (name == "regex") {
    found.push_back({Constraint::Kind::Regex, value, field});
  } else if (name == "choice") {
    found.push_back({Constraint::Kind::Choice, value, field});
  } else if (name == "json_object") {
    if (value.is_bool() && value.get_bool()) {
      found.push_back({Constraint::Kind::JsonObject, {}, field});
    }
  } else if (name == "grammar" || name == "structural_tag") {
    return not_implemented(fmt::format("structured output by {} is not implemented", name), field);
  }
  return {};
}

Api<Found> find_constraints(const CommonRequest& request) {
  Found found;
  if (auto format = read_response_format(request.response_format, found); !format) {
    return std::unexpected(format.error());
  }
  struct Field {
    std::string_view name;
    const json::Value& value;
    std::string_view field;
  };
  std::vector<Field> fields = {{"json", request.guided_json, "guided_json"},
                               {"regex", request.guided_regex, "guided_regex"},
                               {"choice", request.guided_choice, "guided_choice"},
                               {"grammar", request.guided_grammar, "guided_grammar"}};
  if (const json::Object* const object = request.structured_outputs.if_object(); object != nullptr) {
    for (const auto& member : *object) {
      fields.push_back({member.key(), member.value(), "structured_outputs"});
    }
  } else if (!request.structured_outputs.is_null()) {
    return bad_request("structured_outputs: must be an object", "structured_outputs");
  }
  for (const auto& [name, value, field] : fields) {
    if (auto read = read_constraint(name, value, field, found); !read) {
      return std::unexpected(read.error());
    }
  }
  if (found.size() > 1) {
    return bad_request(fmt::format("only one structured output constraint is possible, not {} and {}",
                                   found[0].field, found[1].field),
                       found[1].field);
  }
  return found;
}

Result<GrammarBuilder::Piece> choice_piece(GrammarBuilder& builder, const json::Value& value) {
  if (!value.is_array() || value.get_array().empty()) {
    return invalid_argument("must be a list of at least one string");
  }
  std::vector<GrammarBuilder::Piece> choices;
  for (const json::Value& one : value.get_array()) {
    if (!one.is_string() || one.get_string().empty()) {
      return invalid_argument("every choice must be a string that is not empty");
    }
    choices.push_back(builder.text(view(one.get_string())));
  }
  return builder.either(std::move(choices));
}

Result<Grammar> compile(const Constraint& constraint) {
  GrammarBuilder builder;
  const auto piece = [&]() -> Result<GrammarBuilder::Piece> {
    switch (constraint.kind) {
      case Constraint::Kind::JsonObject:
        return json_object_piece(builder);
      case Constraint::Kind::Schema:
        return schema_piece(builder, constraint.value);
      case Constraint::Kind::Choice:
        return choice_piece(builder, constraint.value);
      case Constraint::Kind::Regex:
        break;
    }
    if (!constraint.value.is_string()) {
      return invalid_argument("must be a string");
    }
    return regex_piece(builder, view(constraint.value.get_string()));
  }();
  if (!piece) {
    return std::unexpected(piece.error());
  }
  return std::move(builder).finish(*piece);
}

Api<std::shared_ptr<TokenConstraint>> make(const Constraint& constraint, const ServedModel& model) {
  auto grammar = compile(constraint);
  if (!grammar) {
    return bad_request(fmt::format("{}: {}", constraint.field, grammar.error().text()), constraint.field);
  }
  if (model.vocabulary == nullptr) {
    return nullptr;
  }
  return std::make_shared<TokenConstraint>(std::move(*grammar), model.vocabulary);
}

}  // namespace

Api<std::shared_ptr<TokenConstraint>> constraint_of(const CommonRequest& request, const ServedModel& model) {
  auto found = find_constraints(request);
  if (!found) {
    return std::unexpected(found.error());
  }
  if (found->empty()) {
    return nullptr;
  }
  return make(found->front(), model);
}

Api<std::shared_ptr<TokenConstraint>> constraint_by_schema(const json::Value& schema, std::string_view param,
                                                           const ServedModel& model) {
  return make({Constraint::Kind::Schema, schema, param}, model);
}

}  // namespace llmd::engine
