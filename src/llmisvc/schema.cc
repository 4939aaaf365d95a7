#include "llmisvc/schema.h"

#include <algorithm>
#include <boost/json/object.hpp>
#include <regex>
#include <utility>

#include "base/strings.h"
#include "json/path.h"

namespace llmd::llmisvc {
namespace {

std::string_view view(const json::String& text) {
  return {text.data(), text.size()};
}
std::string_view key_of(const boost::json::key_value_pair& member) {
  return {member.key().data(), member.key().size()};
}

std::string_view type_of(const json::Object& schema) {
  const auto* type = schema.if_contains("type");
  return type != nullptr ? view(type->get_string()) : std::string_view();
}

bool is_set(const json::Object& schema, std::string_view key) {
  const auto* flag = schema.if_contains(boost::json::string_view(key.data(), key.size()));
  return flag != nullptr && flag->is_bool() && flag->get_bool();
}

bool is_required(const json::Object& schema, std::string_view name) {
  const auto* names = schema.if_contains("required");
  return names != nullptr && std::ranges::any_of(names->get_array(), [&](const json::Value& one) {
           return view(one.get_string()) == name;
         });
}

class Checker {
 public:
  explicit Checker(Findings& findings) : findings_(findings) {}

  void check(const json::Object& schema, const json::Value& value, const std::string& path) {
    if (value.is_null()) {
      if (!is_set(schema, "nullable")) {
        add("wrong-type", path, "null cannot stand here", "leave it out, or write a value");
      }
      return;
    }
    if (is_set(schema, "x-kubernetes-int-or-string")) {
      if (!value.is_string() && !value.is_number()) {
        wrong_type(path, "a string or a number", value);
      }
      return;
    }
    const std::string_view type = type_of(schema);
    if (type == "object") {
      object(schema, value, path);
    } else if (type == "array") {
      list(schema, value, path);
    } else if (type == "string") {
      string(schema, value, path);
    } else if (type == "integer") {
      integer(schema, value, path);
    } else if (type == "number" && !value.is_number()) {
      wrong_type(path, "a number", value);
    } else if (type == "boolean" && !value.is_bool()) {
      wrong_type(path, "true or false", value);
    }
  }

 private:
  void add(std::string_view code, const std::string& path, std::string sentence, std::string fix = {}) {
    findings_.push_back({.code = std::string(code),
                         .severity = Severity::Error,
                         .path = path,
                         .sentence = std::move(sentence),
                         .fix = std::move(fix)});
  }

  void wrong_type(const std::string& path, std::string_view wanted, const json::Value& got) {
    std::string fix;
    if (wanted == "a string" && (got.is_number() || got.is_bool())) {
      fix = fmt::format("write it in quotes: \"{}\"", json::write(got));
    }
    add("wrong-type", path, fmt::format("expected {}, got {}", wanted, json::kind_name(got)), std::move(fix));
  }

  void object(const json::Object& schema, const json::Value& value, const std::string& path) {
    const auto* members = value.if_object();
    if (members == nullptr) {
      return wrong_type(path, "an object", value);
    }
    const auto* properties = schema.if_contains("properties");
    const auto* additional = schema.if_contains("additionalProperties");
    const bool open = is_set(schema, "x-kubernetes-preserve-unknown-fields");
    for (const auto& member : *members) {
      const std::string_view name = key_of(member);
      const std::string inner = json::path_member(path, name);
      const auto* known =
          properties != nullptr ? properties->get_object().if_contains(member.key()) : nullptr;
      if (known != nullptr && member.value().is_null() && !is_set(known->get_object(), "nullable") &&
          !is_required(schema, name)) {
        add("null-dropped", inner, "an API server drops null here: what a config says stays",
            "write a value, or put $patch: delete into what is around it");
        findings_.back().severity = Severity::Warning;
      } else if (known != nullptr) {
        check(known->get_object(), member.value(), inner);
      } else if (additional != nullptr) {
        check(additional->get_object(), member.value(), inner);
      } else if (!open && !name.starts_with("$")) {
        unknown(*properties, name, inner);
      }
    }
    required(schema, *members, path);
  }

  void unknown(const json::Value& properties, std::string_view name, const std::string& path) {
    if (name == "...") {  // documentation writes {...} where it leaves something out
      add("placeholder", path, "a placeholder, ignored", "write out what belongs here");
      findings_.back().severity = Severity::Warning;
      return;
    }
    std::vector<std::string_view> known;
    for (const auto& property : properties.get_object()) {
      known.push_back(key_of(property));
    }
    std::string fix = did_you_mean(name, known);
    if (fix.empty() && known.size() <= 12) {
      fix = "known fields: ";
      for (std::size_t i = 0; i < known.size(); ++i) {
        fix += (i > 0 ? ", " : "") + std::string(known[i]);
      }
    }
    add("unknown-field", path, "unknown field", std::move(fix));
  }

  void required(const json::Object& schema, const json::Object& members, const std::string& path) {
    const auto* names = schema.if_contains("required");
    if (names == nullptr || members.contains("$patch")) {
      return;
    }
    for (const auto& name : names->get_array()) {
      if (!members.contains(name.get_string())) {
        add("missing-field", path, fmt::format("'{}' is required", view(name.get_string())));
      }
    }
  }

  void list(const json::Object& schema, const json::Value& value, const std::string& path) {
    const auto* items = value.if_array();
    if (items == nullptr) {
      return wrong_type(path, "a list", value);
    }
    const auto& inner = schema.at("items").get_object();
    for (std::size_t i = 0; i < items->size(); ++i) {
      check(inner, (*items)[i], json::path_index(path, i));
    }
    duplicates(schema, *items, path);
  }

  void duplicates(const json::Object& schema, const json::Array& items, const std::string& path) {
    const auto* keys = schema.if_contains("x-kubernetes-list-map-keys");
    if (keys == nullptr) {
      return;
    }
    const json::Value& defaults = schema.at("items").get_object().at("properties");
    const auto member = [&](const json::Value& item, const json::String& key) -> const json::Value* {
      const auto* found = item.is_object() ? item.get_object().if_contains(key) : nullptr;
      return found != nullptr ? found : defaults.get_object().at(key).get_object().if_contains("default");
    };
    for (std::size_t i = 0; i < items.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        const bool same = std::ranges::all_of(keys->get_array(), [&](const json::Value& key) {
          const auto* a = member(items[i], key.get_string());
          const auto* b = member(items[j], key.get_string());
          return a != nullptr && b != nullptr && *a == *b;
        });
        if (same) {
          const auto& key = keys->get_array().front().get_string();
          add("duplicate", json::path_index(path, i),
              fmt::format("{} {} is already taken", view(key), json::write(*member(items[i], key))));
        }
      }
    }
  }

  void string(const json::Object& schema, const json::Value& value, const std::string& path) {
    if (!value.is_string()) {
      return wrong_type(path, "a string", value);
    }
    const std::string_view text = view(value.get_string());
    if (text.find("{{") != std::string_view::npos) {
      return;  // a template: its value is checked when it has one
    }
    if (const auto* choices = schema.if_contains("enum")) {
      choice(choices->get_array(), text, path);
    }
    if (const auto* longest = schema.if_contains("maxLength");
        longest != nullptr && std::cmp_greater(text.size(), *json::as_integer(*longest))) {
      add("bad-value", path, fmt::format("longer than {} characters", *json::as_integer(*longest)));
    }
    if (const auto* pattern = schema.if_contains("pattern"); pattern != nullptr && text.size() < 4096) {
      const std::regex expression(std::string(view(pattern->get_string())));
      if (!std::regex_search(text.begin(), text.end(), expression)) {
        add("bad-value", path, fmt::format("'{}' does not match {}", text, view(pattern->get_string())));
      }
    }
  }

  void choice(const json::Array& choices, std::string_view text, const std::string& path) {
    std::vector<std::string_view> known;
    std::string all;
    for (const auto& one : choices) {
      known.push_back(view(one.get_string()));
      all += (all.empty() ? "" : ", ") + std::string(known.back());
    }
    if (std::ranges::find(known, text) == known.end()) {
      const std::string near = did_you_mean(text, known);
      add("bad-value", path, fmt::format("'{}' is not one of {}", text, all), near);
    }
  }

  void integer(const json::Object& schema, const json::Value& value, const std::string& path) {
    const auto number = json::as_integer(value);
    if (!number) {
      return wrong_type(path, "an integer", value);
    }
    const auto bound = [&](const char* name) {
      const auto* found = schema.if_contains(name);
      return found != nullptr ? json::as_integer(*found) : std::nullopt;
    };
    if (const auto least = bound("minimum"); least && *number < *least) {
      add("out-of-range", path, fmt::format("must be at least {}, got {}", *least, *number));
    }
    if (const auto most = bound("maximum"); most && *number > *most) {
      add("out-of-range", path, fmt::format("must be at most {}, got {}", *most, *number));
    }
  }

  Findings& findings_;
};

}  // namespace

void check_schema(const json::Value& schema, const json::Value& value, const std::string& path,
                  Findings& findings) {
  Checker(findings).check(schema.get_object(), value, path);
}

const json::Value* find_schema(const json::Value& schema, std::string_view path) {
  const json::Value* current = &schema;
  for (const std::string_view step : split(path, '.')) {
    while (const auto* items = current->get_object().if_contains("items")) {
      current = items;
    }
    const auto& object = current->get_object();
    if (const auto* values = object.if_contains("additionalProperties")) {
      current = values;
      continue;
    }
    const auto* properties = object.if_contains("properties");
    if (properties == nullptr) {
      return is_set(object, "x-kubernetes-preserve-unknown-fields") ? current : nullptr;
    }
    const auto& fields = properties->get_object();
    const auto found = std::ranges::find_if(
        fields, [&](const auto& member) { return equals_ignoring_case(key_of(member), step); });
    if (found == fields.end()) {
      return nullptr;
    }
    current = &found->value();
  }
  return current;
}

}  // namespace llmd::llmisvc
