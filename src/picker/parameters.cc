#include "picker/parameters.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "base/strings.h"
#include "json/path.h"

namespace llmd::picker {
namespace {

std::string squeezed(std::string_view text) {
  std::string word;
  for (const char c : to_lower(text)) {
    if (c != '-' && c != '_') {
      word += c;
    }
  }
  return word;
}

std::string text_of(const json::String& string) {
  return {string.data(), string.size()};
}

}  // namespace

Parameters::Parameters(const json::Object* object, std::string path, Spelling spelling)
    : object_(object), path_(std::move(path)), spelling_(spelling) {}

bool Parameters::is(std::string_view key, std::string_view name) const {
  return spelling_ == Spelling::Exact ? key == name : equals_ignoring_case(key, name);
}

bool Parameters::is_known(std::string_view key) const {
  return std::ranges::any_of(spelled_, [&](const std::string& name) { return is(key, name); });
}

const json::Value* Parameters::find(std::string_view name, std::string_view older_name) {
  const json::Value* found = nullptr;
  for (const std::string_view wanted : {older_name, name}) {
    if (wanted.empty()) {
      continue;
    }
    if (std::ranges::find(spelled_, wanted) == spelled_.end()) {
      spelled_.emplace_back(wanted);
    }
    if (object_ == nullptr) {
      continue;
    }
    for (const auto& member : *object_) {
      const std::string_view key(member.key().data(), member.key().size());
      if (is(key, wanted) && !member.value().is_null()) {
        found = &member.value();
      }
    }
  }
  return found;
}

bool Parameters::has(std::string_view name) const {
  if (object_ == nullptr) {
    return false;
  }
  for (const auto& member : *object_) {
    if (is({member.key().data(), member.key().size()}, name)) {
      return !member.value().is_null();
    }
  }
  return false;
}

const json::Value* Parameters::value(std::string_view name) {
  return find(name);
}

void Parameters::expected(std::string_view name, std::string_view what, const json::Value& got) {
  reject(name, fmt::format("expected {}, got {}", what, json::kind_name(got)));
}

void Parameters::reject(std::string_view name, std::string message) {
  problems_.push_back({name.empty() ? path_ : json::path_member(path_, name), std::move(message), {}, false});
}

void Parameters::read(std::string_view name, bool& into, std::string_view older_name) {
  if (const auto* found = find(name, older_name)) {
    found->is_bool() ? void(into = found->get_bool()) : expected(name, "a boolean", *found);
  }
}

void Parameters::read(std::string_view name, std::int64_t& into, std::string_view older_name) {
  if (const auto* found = find(name, older_name)) {
    const auto number = json::as_integer(*found);
    number ? void(into = *number) : expected(name, "an integer", *found);
  }
}

void Parameters::read(std::string_view name, int& into, std::string_view older_name) {
  std::int64_t number = into;
  read(name, number, older_name);
  if (number < INT32_MIN || number > INT32_MAX) {
    reject(name, "is too large");
  } else {
    into = static_cast<int>(number);
  }
}

void Parameters::read(std::string_view name, double& into, std::string_view older_name) {
  if (const auto* found = find(name, older_name)) {
    found->is_number() ? void(into = found->to_number<double>()) : expected(name, "a number", *found);
  }
}

void Parameters::read(std::string_view name, std::string& into, std::string_view older_name) {
  if (const auto* found = find(name, older_name)) {
    found->is_string() ? void(into = text_of(found->get_string())) : expected(name, "a string", *found);
  }
}

void Parameters::read(std::string_view name, Duration& into, std::string_view older_name) {
  const auto* found = find(name, older_name);
  if (found == nullptr) {
    return;
  }
  if (const auto nanoseconds = json::as_integer(*found)) {
    into = Duration(*nanoseconds);
  } else if (!found->is_string()) {
    expected(name, "a duration such as \"5s\"", *found);
  } else if (const auto text = text_of(found->get_string()); !text.empty()) {
    const auto parsed = parse_duration(text);
    parsed ? void(into = *parsed) : reject(name, parsed.error().message);
  }
}

void Parameters::read(std::string_view name, std::vector<std::string>& into) {
  const auto* found = find(name);
  if (found == nullptr) {
    return;
  }
  const auto* list = found->if_array();
  if (list == nullptr) {
    return expected(name, "a list of strings", *found);
  }
  into.clear();
  for (const auto& item : *list) {
    item.is_string() ? into.push_back(text_of(item.get_string())) : expected(name, "a list of strings", item);
  }
}

void Parameters::read(std::string_view name, std::map<std::string, std::string>& into) {
  const auto* found = find(name);
  if (found == nullptr) {
    return;
  }
  const auto* members = found->if_object();
  if (members == nullptr) {
    return expected(name, "an object of strings", *found);
  }
  into.clear();
  for (const auto& member : *members) {
    const std::string key(member.key().data(), member.key().size());
    member.value().is_string() ? void(into[key] = text_of(member.value().get_string()))
                               : expected(name, "an object of strings", member.value());
  }
}

void Parameters::read_choice(std::string_view name, int& into,
                             std::initializer_list<std::string_view> words) {
  std::string given;
  read(name, given);
  if (given.empty()) {
    return;
  }
  int at = 0;
  for (const std::string_view word : words) {
    if (squeezed(word) == squeezed(given)) {
      into = at;
      return;
    }
    ++at;
  }
  const std::vector<std::string_view> all(words);
  problems_.push_back({json::path_member(path_, name),
                       fmt::format("unknown value \"{}\"; expected one of {}", given, fmt::join(all, ", ")),
                       did_you_mean(given, all), false});
}

Parameters& Parameters::object(std::string_view name) {
  const json::Object* object = nullptr;
  if (const auto* found = find(name)) {
    object = found->if_object();
    if (object == nullptr) {
      expected(name, "an object", *found);
    }
  }
  return nested_.emplace_back(object, json::path_member(path_, name), spelling_);
}

std::vector<Parameters*> Parameters::objects(std::string_view name) {
  std::vector<Parameters*> items;
  const auto* found = find(name);
  if (found == nullptr) {
    return items;
  }
  const auto* list = found->if_array();
  if (list == nullptr) {
    expected(name, "a list", *found);
    return items;
  }
  const std::string path = json::path_member(path_, name);
  for (std::size_t i = 0; i < list->size(); ++i) {
    const auto* object = (*list)[i].if_object();
    if (object == nullptr) {
      expected(name, "a list of objects", (*list)[i]);
    }
    items.push_back(&nested_.emplace_back(object, json::path_index(path, i), spelling_));
  }
  return items;
}

void Parameters::accept(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    find(name);
  }
}

void Parameters::accept_all() {
  all_known_ = true;
}

std::vector<Problem> Parameters::problems() const {
  std::vector<Problem> all = problems_;
  if (object_ != nullptr && !all_known_) {
    const std::vector<std::string_view> names(spelled_.begin(), spelled_.end());
    for (const auto& member : *object_) {
      const std::string_view key(member.key().data(), member.key().size());
      if (!is_known(key)) {
        all.push_back({json::path_member(path_, key), "unknown parameter", did_you_mean(key, names), true});
      }
    }
  }
  for (const Parameters& nested : nested_) {
    const auto more = nested.problems();
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

}  // namespace llmd::picker
