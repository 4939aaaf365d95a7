#include "engine/grammar/schema_grammar.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

#include "engine/grammar/regex_grammar.h"
#include "json/path.h"

namespace llmd::engine {
namespace {

using Piece = GrammarBuilder::Piece;

constexpr int kMostDepth = 64;
constexpr int kMostItems = 10000;

std::string_view view(const json::String& text) {
  return {text.data(), text.size()};
}

// What every JSON document is made of.
class JsonPieces {
 public:
  explicit JsonPieces(GrammarBuilder& builder) : b(builder) {
    space = b.repeat(b.one_of(bytes_of(" \n\t")), 0, 8);
    const Piece digit = b.one_of(byte_range('0', '9'));
    const Piece hex = b.one_of(byte_range('0', '9') | byte_range('a', 'f') | byte_range('A', 'F'));
    const Piece whole =
        b.either({b.text("0"), b.sequence({b.one_of(byte_range('1', '9')), b.repeat(digit, 0, 17)})});
    integer = b.sequence({b.optional(b.text("-")), whole});
    number =
        b.sequence({integer, b.optional(b.sequence({b.text("."), b.repeat(digit, 1, 16)})),
                    b.optional(b.sequence({b.one_of(bytes_of("eE")), b.optional(b.one_of(bytes_of("+-"))),
                                           b.repeat(digit, 1, 2)}))});
    plain = byte_range(0x20, 0x7f) & ~bytes_of("\"\\");
    // No halves of surrogate pairs.
    const Piece code =
        b.either({b.sequence({b.one_of((byte_range('0', '9') | byte_range('a', 'f') | byte_range('A', 'F')) &
                                       ~bytes_of("dD")),
                              hex, hex, hex}),
                  b.sequence({b.one_of(bytes_of("dD")), b.one_of(byte_range('0', '7')), hex, hex})});
    character = b.either({b.one_of(plain), b.beyond_ascii(),
                          b.sequence({b.text("\\"), b.one_of(bytes_of("\"\\/bfnrt"))}),
                          b.sequence({b.text("\\u"), code})});
    string_rule = b.declare_rule();
    b.define_rule(string_rule, quoted(b.repeat(character, 0, -1)));
    value_rule = b.declare_rule();
    object_rule = b.declare_rule();
    const Piece value = b.call(value_rule);
    b.define_rule(object_rule, list('{', '}', member(b.call(string_rule), value), 0, -1));
    b.define_rule(value_rule, b.either({b.call(string_rule), number, b.text("true"), b.text("false"),
                                        b.text("null"), b.call(object_rule), list('[', ']', value, 0, -1)}));
  }

  Piece quoted(Piece inner) { return b.sequence({b.text("\""), std::move(inner), b.text("\"")}); }
  Piece member(Piece key, Piece value) {
    return b.sequence({std::move(key), space, b.text(":"), space, std::move(value)});
  }
  Piece comma() { return b.sequence({space, b.text(","), space}); }
  // `least` to `most` items (most < 0: without end) between brackets.
  Piece list(char open, char close, const Piece& item, int least, int most) {
    const Piece more =
        b.repeat(b.sequence({comma(), item}), std::max(0, least - 1), most < 0 ? -1 : most - 1);
    Piece items = most == 0 ? b.nothing() : b.sequence({item, more, space});
    if (least == 0) {
      items = b.optional(std::move(items));
    }
    return b.sequence({b.text({&open, 1}), space, std::move(items), b.text({&close, 1})});
  }

  GrammarBuilder& b;
  Piece space;
  Piece integer;
  Piece number;
  Piece character;
  ByteSet plain;
  int string_rule = 0;
  int value_rule = 0;
  int object_rule = 0;
};

class SchemaReader {
 public:
  SchemaReader(GrammarBuilder& builder, const json::Value& root) : b_(builder), json_(builder), root_(root) {}

  Result<Piece> read() { return value(root_, "", 0); }

 private:
  static Error wrong(const std::string& path, std::string_view what) {
    return invalid_argument("schema{}: {}", path, what);
  }

  Result<Piece> value(const json::Value& schema, const std::string& path, int depth);
  Result<Piece> of_type(const json::Object& schema, std::string_view type, const std::string& path,
                        int depth);
  Result<Piece> object(const json::Object& schema, const std::string& path, int depth);
  Result<Piece> array(const json::Object& schema, const std::string& path, int depth);
  Result<Piece> string(const json::Object& schema, const std::string& path);
  Result<Piece> any_of(const json::Value& list, const std::string& path, int depth);
  Result<Piece> reference(std::string_view target, const std::string& path, int depth);
  Result<std::optional<int>> count(const json::Object& schema, std::string_view name,
                                   const std::string& path);
  Result<void> check_keywords(const json::Object& schema, const std::string& path);

  GrammarBuilder& b_;
  JsonPieces json_;
  const json::Value& root_;
  std::map<std::string, int, std::less<>> references_;  // rule of each
};

Result<void> SchemaReader::check_keywords(const json::Object& schema, const std::string& path) {
  static const std::set<std::string_view> kKnown = {
      "type",      "properties",  "required",    "additionalProperties",
      "items",     "prefixItems", "minItems",    "maxItems",
      "enum",      "const",       "pattern",     "minLength",
      "maxLength", "anyOf",       "oneOf",       "allOf",
      "$ref",      "$defs",       "definitions", "$schema",
      "$id",       "title",       "description", "default",
      "examples",  "format",      "deprecated",  "readOnly",
      "writeOnly", "$comment",    "strict"};
  for (const auto& member : schema) {
    const std::string_view key(member.key().data(), member.key().size());
    if (!kKnown.contains(key)) {
      return wrong(path + "." + std::string(key), "this keyword is not supported");
    }
  }
  return {};
}

Result<std::optional<int>> SchemaReader::count(const json::Object& schema, std::string_view name,
                                               const std::string& path) {
  const json::Value* const found = schema.if_contains(name);
  if (found == nullptr) {
    return std::optional<int>();
  }
  const auto number = found->is_int64() ? found->get_int64() : -1;
  if (number < 0 || number > kMostItems) {
    return wrong(fmt::format("{}.{}", path, name), fmt::format("expected a number up to {}", kMostItems));
  }
  return std::optional(static_cast<int>(number));
}

Result<Piece> SchemaReader::value(const json::Value& schema, const std::string& path, int depth) {
  if (depth > kMostDepth) {
    return wrong(path, "nested too deeply");
  }
  if (schema.is_bool() && schema.get_bool()) {
    return b_.call(json_.value_rule);
  }
  const json::Object* const object = schema.if_object();
  if (object == nullptr) {
    return wrong(path, "expected an object");
  }
  LLMD_TRY_VOID(check_keywords(*object, path));
  if (const auto* ref = object->if_contains("$ref")) {
    if (!ref->is_string()) {
      return wrong(path + ".$ref", "expected a string");
    }
    return reference(view(ref->get_string()), path, depth);
  }
  if (const auto* constant = object->if_contains("const")) {
    return b_.text(json::write(*constant));
  }
  if (const auto* values = object->if_contains("enum")) {
    if (!values->is_array() || values->get_array().empty()) {
      return wrong(path + ".enum", "expected a list with at least one value");
    }
    std::vector<Piece> pieces;
    for (const json::Value& one : values->get_array()) {
      pieces.push_back(b_.text(json::write(one)));
    }
    return b_.either(std::move(pieces));
  }
  for (const std::string_view name : {"anyOf", "oneOf", "allOf"}) {
    if (const auto* list = object->if_contains(name)) {
      if (name == "allOf" && (!list->is_array() || list->get_array().size() != 1)) {
        return wrong(path + ".allOf", "supported with one member only");
      }
      return any_of(*list, fmt::format("{}.{}", path, name), depth);
    }
  }
  const auto* const type = object->if_contains("type");
  if (type == nullptr) {
    const bool has_members = object->contains("properties") || object->contains("required");
    return has_members                   ? of_type(*object, "object", path, depth)
           : object->contains("items")   ? of_type(*object, "array", path, depth)
           : object->contains("pattern") ? of_type(*object, "string", path, depth)
                                         : Result<Piece>(b_.call(json_.value_rule));
  }
  if (const auto* one = type->if_string()) {
    return of_type(*object, view(*one), path, depth);
  }
  if (!type->is_array() || type->get_array().empty()) {
    return wrong(path + ".type", "expected a type or a list of types");
  }
  std::vector<Piece> pieces;
  for (const json::Value& one : type->get_array()) {
    if (!one.is_string()) {
      return wrong(path + ".type", "expected a type or a list of types");
    }
    LLMD_TRY(auto piece, of_type(*object, view(one.get_string()), path, depth));
    pieces.push_back(std::move(piece));
  }
  return b_.either(std::move(pieces));
}

Result<Piece> SchemaReader::of_type(const json::Object& schema, std::string_view type,
                                    const std::string& path, int depth) {
  if (type == "object") {
    return object(schema, path, depth);
  }
  if (type == "array") {
    return array(schema, path, depth);
  }
  if (type == "string") {
    return string(schema, path);
  }
  if (type == "integer") {
    return json_.integer;
  }
  if (type == "number") {
    return json_.number;
  }
  if (type == "boolean") {
    return b_.either({b_.text("true"), b_.text("false")});
  }
  if (type == "null") {
    return b_.text("null");
  }
  return wrong(path + ".type", fmt::format("there is no type '{}'", type));
}

// Members in order; each is preceded by a comma unless it is the first one that is there. Built from the end,
// in two versions: with something before, and without.
Result<Piece> SchemaReader::object(const json::Object& schema, const std::string& path, int depth) {
  const auto* const properties = schema.if_contains("properties");
  const auto* const additional = schema.if_contains("additionalProperties");
  const auto* const required = schema.if_contains("required");
  if ((properties != nullptr && !properties->is_object()) || (required != nullptr && !required->is_array())) {
    return wrong(path, "properties must be an object and required a list");
  }
  struct Member {
    Piece piece;
    bool needed;
  };
  std::set<std::string, std::less<>> needed;
  for (const json::Value& name : required == nullptr ? json::Array() : required->get_array()) {
    if (!name.is_string()) {
      return wrong(path + ".required", "expected strings");
    }
    needed.emplace(view(name.get_string()));
  }
  const Piece key = b_.call(json_.string_rule);
  std::vector<Member> members;
  for (const auto& member : properties == nullptr ? json::Object() : properties->get_object()) {
    const std::string name(member.key().data(), member.key().size());
    LLMD_TRY(auto piece, value(member.value(), path + ".properties." + name, depth + 1));
    std::string quoted;
    json::write_quoted_to(quoted, name);
    members.push_back({json_.member(b_.text(quoted), std::move(piece)), needed.erase(name) > 0});
  }
  const bool open =
      additional == nullptr ? members.empty() : !additional->is_bool() || additional->get_bool();
  Piece others = b_.call(json_.value_rule);
  if (additional != nullptr && additional->is_object()) {
    LLMD_TRY(others, value(*additional, path + ".additionalProperties", depth + 1));
  }
  if (!needed.empty() && !open) {
    return wrong(path + ".required", fmt::format("'{}' is not among the properties", *needed.begin()));
  }
  for (const std::string& name : needed) {
    std::string quoted;
    json::write_quoted_to(quoted, name);
    members.push_back({json_.member(b_.text(quoted), others), true});
  }
  const Piece other = json_.member(key, others);
  const Piece comma = json_.comma();
  const Piece more = open ? b_.repeat(b_.sequence({comma, other}), 0, -1) : b_.nothing();
  Piece behind = b_.sequence({more, json_.space});  // something stands before
  Piece first = open ? b_.optional(b_.sequence({other, more, json_.space})) : b_.nothing();
  for (auto member = members.rbegin(); member != members.rend(); ++member) {
    // Rules, so that the rest is built once and not once per way to get there.
    const int behind_rule = b_.declare_rule();
    b_.define_rule(behind_rule, behind);
    const int first_rule = b_.declare_rule();
    b_.define_rule(first_rule, first);
    const Piece rest = b_.call(behind_rule);
    behind = b_.sequence({comma, member->piece, rest});
    first = b_.sequence({member->piece, rest});
    if (!member->needed) {
      behind = b_.either({std::move(behind), rest});
      first = b_.either({std::move(first), b_.call(first_rule)});
    }
  }
  return b_.sequence({b_.text("{"), json_.space, std::move(first), b_.text("}")});
}

Result<Piece> SchemaReader::array(const json::Object& schema, const std::string& path, int depth) {
  LLMD_TRY(const auto low, count(schema, "minItems", path));
  LLMD_TRY(const auto high, count(schema, "maxItems", path));
  const int least = low.value_or(0);
  const int most = high.value_or(-1);
  if (most >= 0 && most < least) {
    return wrong(path + ".maxItems", "smaller than minItems");
  }
  if (const auto* prefix = schema.if_contains("prefixItems")) {
    if (!prefix->is_array() || prefix->get_array().empty() || schema.contains("items") || low || high) {
      return wrong(path + ".prefixItems", "supported alone, as a list of exactly these items");
    }
    std::vector<Piece> pieces = {b_.text("["), json_.space};
    for (const json::Value& item : prefix->get_array()) {
      if (pieces.size() > 2) {
        pieces.push_back(json_.comma());
      }
      LLMD_TRY(auto piece, value(item, path + ".prefixItems", depth + 1));
      pieces.push_back(std::move(piece));
    }
    pieces.push_back(b_.sequence({json_.space, b_.text("]")}));
    return b_.sequence(std::move(pieces));
  }
  Piece item = b_.call(json_.value_rule);
  if (const auto* items = schema.if_contains("items")) {
    LLMD_TRY(item, value(*items, path + ".items", depth + 1));
  }
  return json_.list('[', ']', item, least, most);
}

Result<Piece> SchemaReader::string(const json::Object& schema, const std::string& path) {
  LLMD_TRY(const auto low, count(schema, "minLength", path));
  LLMD_TRY(const auto high, count(schema, "maxLength", path));
  if (const auto* pattern = schema.if_contains("pattern")) {
    if (!pattern->is_string() || low || high) {
      return wrong(path + ".pattern", "expected a string, without minLength and maxLength");
    }
    const std::string_view text = view(pattern->get_string());
    auto inner = regex_piece(b_, text, json_.plain);
    if (!inner) {
      return wrong(path + ".pattern", inner.error().text());
    }
    // A pattern matches anywhere unless it is anchored.
    const Piece any = b_.repeat(json_.character, 0, -1);
    return json_.quoted(b_.sequence({text.starts_with('^') ? b_.nothing() : any, std::move(*inner),
                                     text.ends_with('$') ? b_.nothing() : any}));
  }
  if (!low && !high) {
    return b_.call(json_.string_rule);
  }
  if (high && *high < low.value_or(0)) {
    return wrong(path + ".maxLength", "smaller than minLength");
  }
  return json_.quoted(b_.repeat(json_.character, low.value_or(0), high.value_or(-1)));
}

Result<Piece> SchemaReader::any_of(const json::Value& list, const std::string& path, int depth) {
  if (!list.is_array() || list.get_array().empty()) {
    return wrong(path, "expected a list with at least one schema");
  }
  std::vector<Piece> pieces;
  for (const json::Value& one : list.get_array()) {
    LLMD_TRY(auto piece, value(one, fmt::format("{}[{}]", path, pieces.size()), depth + 1));
    pieces.push_back(std::move(piece));
  }
  return b_.either(std::move(pieces));
}

// "#", "#/$defs/name" and the like. A rule per target: schemas may contain themselves.
Result<Piece> SchemaReader::reference(std::string_view target, const std::string& path, int depth) {
  if (const auto known = references_.find(target); known != references_.end()) {
    return b_.call(known->second);
  }
  boost::system::error_code failed;
  const json::Value* const found =
      target.starts_with('#') ? root_.find_pointer(target.substr(1), failed) : nullptr;
  if (found == nullptr) {
    return wrong(path + ".$ref", fmt::format("there is no '{}' in the schema", target));
  }
  const int rule = b_.declare_rule();
  references_.emplace(target, rule);
  LLMD_TRY(const auto piece, value(*found, std::string(target), depth + 1));
  b_.define_rule(rule, piece);
  return b_.call(rule);
}

}  // namespace

Result<GrammarBuilder::Piece> schema_piece(GrammarBuilder& builder, const json::Value& schema) {
  return SchemaReader(builder, schema).read();
}

GrammarBuilder::Piece json_object_piece(GrammarBuilder& builder) {
  return builder.call(JsonPieces(builder).object_rule);
}

}  // namespace llmd::engine
