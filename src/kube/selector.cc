#include "kube/selector.h"

#include <boost/json/array.hpp>

#include <algorithm>
#include <cctype>

#include "base/strings.h"
#include "json/value.h"

namespace llmd::kube {

namespace {

constexpr std::size_t kMaxText = 64 * 1024;
constexpr std::size_t kMaxRequirements = 1000;

std::string_view view(const boost::json::string& text) {
  return {text.data(), text.size()};
}

bool is_key_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.' || c == '/';
}

std::string field_text(const Object& object, std::string_view path) {
  const boost::json::value* value = find(object, path);
  if (!value || value->is_null()) {
    return {};
  }
  return value->is_string() ? std::string(view(value->get_string())) : json::write(*value);
}

std::vector<std::string> sorted_pairs(const Object& labels) {
  std::vector<std::string> pairs;
  for (const auto& label : labels) {
    pairs.push_back(std::string(label.key()) + "=" +
                    (label.value().is_string() ? std::string(view(label.value().get_string())) : ""));
  }
  std::ranges::sort(pairs);
  return pairs;
}

std::string expression_text(const Object& requirement) {
  const std::string key(find_string(requirement, "key"));
  const std::string_view operation = find_string(requirement, "operator");
  if (operation == "Exists") {
    return key;
  }
  if (operation == "DoesNotExist") {
    return "!" + key;
  }
  std::vector<std::string> values;
  if (const boost::json::array* list = find_array(requirement, "values")) {
    for (const boost::json::value& value : *list) {
      values.emplace_back(value.is_string() ? view(value.get_string()) : std::string_view());
    }
  }
  std::ranges::sort(values);
  return key + (operation == "In" ? " in (" : " notin (") + join(values, ",") + ")";
}

}  // namespace

// Hand-written because the messages are what kubectl users see.
class LabelSelectorParser {
 public:
  explicit LabelSelectorParser(std::string_view text) : rest_(text) {}

  Result<LabelSelector> parse() {
    LabelSelector selector;
    skip_spaces();
    while (!rest_.empty()) {
      if (selector.requirements_.size() >= kMaxRequirements) {
        return invalid_argument("unable to parse requirement: more than {} requirements", kMaxRequirements);
      }
      LLMD_TRY(auto requirement, parse_requirement());
      selector.requirements_.push_back(std::move(requirement));
      skip_spaces();
      if (rest_.empty()) {
        break;
      }
      if (rest_.front() != ',') {
        return unexpected_token("',' or end of string");
      }
      rest_.remove_prefix(1);
      skip_spaces();
      if (rest_.empty()) {
        return invalid_argument("unable to parse requirement: found '', expected: identifier after ','");
      }
    }
    return selector;
  }

 private:
  using Requirement = LabelSelector::Requirement;
  using Operator = LabelSelector::Operator;

  void skip_spaces() { rest_ = rest_.substr(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size())); }
  std::string take_identifier() {
    std::size_t length = 0;
    while (length < rest_.size() && is_key_character(rest_[length])) {
      ++length;
    }
    std::string word(rest_.substr(0, length));
    rest_.remove_prefix(length);
    return word;
  }
  bool take(std::string_view token) {
    if (!rest_.starts_with(token)) {
      return false;
    }
    rest_.remove_prefix(token.size());
    return true;
  }
  Error unexpected_token(std::string_view wanted) {
    std::string found = take_identifier();
    if (found.empty()) {
      found = rest_.substr(0, 1);
    }
    return invalid_argument("unable to parse requirement: found '{}', expected: {}", found, wanted);
  }

  Result<Requirement> parse_requirement() {
    Requirement requirement{{}, Operator::Exists, {}};
    if (take("!")) {
      requirement.operation = Operator::DoesNotExist;
      skip_spaces();
    }
    requirement.key = take_identifier();
    if (requirement.key.empty()) {
      return unexpected_token("!, identifier, or 'end of string'");
    }
    skip_spaces();
    if (requirement.operation == Operator::DoesNotExist || rest_.empty() || rest_.front() == ',') {
      return requirement;
    }
    if (take("==") || take("=")) {
      return parse_single_value(std::move(requirement), Operator::In);
    }
    if (take("!=")) {
      return parse_single_value(std::move(requirement), Operator::NotIn);
    }
    const std::string word = take_identifier();
    if (word == "in" || word == "notin") {
      return parse_values(std::move(requirement), word == "in" ? Operator::In : Operator::NotIn);
    }
    return invalid_argument("unable to parse requirement: found '{}', expected: in, notin, =, ==, !=",
                            word.empty() ? std::string(rest_.substr(0, 1)) : word);
  }

  Result<Requirement> parse_single_value(Requirement requirement, Operator operation) {
    requirement.operation = operation;
    skip_spaces();
    requirement.values.push_back(take_identifier());
    return requirement;
  }

  Result<Requirement> parse_values(Requirement requirement, Operator operation) {
    requirement.operation = operation;
    skip_spaces();
    if (!take("(")) {
      std::string found = take_identifier();
      return invalid_argument("unable to parse requirement: found '{}' expected: '('",
                              found.empty() ? std::string(rest_.substr(0, 1)) : found);
    }
    while (true) {
      skip_spaces();
      requirement.values.push_back(take_identifier());
      skip_spaces();
      if (take(")")) {
        return requirement;
      }
      if (!take(",")) {
        return unexpected_token("',' or ')'");
      }
    }
  }

  std::string_view rest_;
};

Result<LabelSelector> LabelSelector::parse(std::string_view text) {
  if (text.size() > kMaxText) {
    return invalid_argument("unable to parse requirement: longer than {} bytes", kMaxText);
  }
  return LabelSelectorParser(text).parse();
}

bool LabelSelector::matches(const Object& object) const {
  const Object* labels = find_object(object, "metadata.labels");
  return std::ranges::all_of(requirements_, [&](const Requirement& requirement) {
    const boost::json::value* label = labels ? labels->if_contains(requirement.key) : nullptr;
    switch (requirement.operation) {
      case Operator::Exists:
        return label != nullptr;
      case Operator::DoesNotExist:
        return label == nullptr;
      case Operator::In:
      case Operator::NotIn:
        break;
    }
    const bool among =
        label && label->is_string() &&
        std::ranges::find(requirement.values, view(label->get_string())) != requirement.values.end();
    return among == (requirement.operation == Operator::In);
  });
}

Result<FieldSelector> FieldSelector::parse(std::string_view text) {
  FieldSelector selector;
  if (text.size() > kMaxText) {
    return invalid_argument("invalid field selector: longer than {} bytes", kMaxText);
  }
  for (const std::string_view term : split(text, ',')) {
    if (trim(term).empty()) {
      continue;
    }
    const std::size_t sign = term.find('=');
    if (sign == std::string_view::npos || sign == 0 || selector.requirements_.size() >= kMaxRequirements) {
      return invalid_argument("invalid selector: '{}'; can't understand '{}'", text, term);
    }
    const bool differs = term[sign - 1] == '!';
    const std::string_view field = trim(term.substr(0, differs ? sign - 1 : sign));
    std::string_view value = term.substr(sign + 1);
    if (!differs && value.starts_with('=')) {
      value.remove_prefix(1);
    }
    selector.requirements_.push_back({std::string(field), !differs, std::string(value)});
  }
  return selector;
}

bool FieldSelector::matches(const Object& object) const {
  return std::ranges::all_of(requirements_, [&](const Requirement& requirement) {
    return (field_text(object, requirement.field) == requirement.value) == requirement.equal;
  });
}

std::string labels_text(const Object& labels) {
  return join(sorted_pairs(labels), ",");
}

std::string selector_text(const Object& label_selector) {
  std::vector<std::string> terms;
  if (const Object* labels = find_object(label_selector, "matchLabels")) {
    terms = sorted_pairs(*labels);
  }
  if (const boost::json::array* requirements = find_array(label_selector, "matchExpressions")) {
    for (const boost::json::value& requirement : *requirements) {
      if (requirement.is_object()) {
        terms.push_back(expression_text(requirement.get_object()));
      }
    }
  }
  return join(terms, ",");
}

}  // namespace llmd::kube
