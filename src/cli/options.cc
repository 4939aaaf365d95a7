#include "cli/options.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <limits>

#include "base/strings.h"

namespace llmd::cli {
namespace {

// The long name that was most likely meant. Those of one letter resemble everything.
std::string nearest_option(const CLI::App& app, std::string_view given) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      if (name.size() > 1) {
        names.push_back("--" + name);
      }
    }
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  return did_you_mean(given, views);
}

// What CLI11 finds wrong, in our words.
Error unexpected(const CLI::App& app) {
  const std::vector<std::string> words = app.remaining();
  const auto option = std::ranges::find_if(words, [](const auto& word) { return word.starts_with('-'); });
  if (option == words.end()) {
    return invalid_argument("unexpected argument '{}'", words.empty() ? "" : words.front());
  }
  const std::string name = option->substr(0, option->find('='));
  return invalid_argument("unknown option '{}'", name).hint(nearest_option(app, name));
}

// "Could not convert: --name = value": only switches come so far, numbers are checked before.
Error no_switch(std::string_view text) {
  text.remove_prefix(std::min(text.find("--"), text.size()));
  const auto equals = text.find(" = ");
  return invalid_argument("{}: expected true or false, got '{}'", text.substr(0, equals),
                          equals == std::string_view::npos ? "" : text.substr(equals + 3));
}

// "--name: 1 required TEXT missing" or "--name: At Most 1 required but received 2".
Error wrong_count(std::string_view text) {
  const std::string_view name = text.substr(0, text.find(':'));
  return text.find("received") == std::string_view::npos
             ? invalid_argument("{} needs a value", name)
             : invalid_argument("{} is given more than once", name);
}

Error error_of(const CLI::App& app, const CLI::Error& error) {
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    return unexpected(app);
  }
  if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
    return no_switch(error.what());
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    return wrong_count(error.what());
  }
  return invalid_argument("{}", error.what());
}

std::string expect_number(const std::string& text, double least, double most, std::string_view kind) {
  const auto number = parse_number(text);
  const bool whole = kind == "number" || parse_integer(text).has_value();
  return number && whole && *number >= least && *number <= most
             ? ""
             : fmt::format("expected a {}{}, got '{}'", kind, kind == "port" ? " (0 to 65535)" : "", text);
}

template <typename T>
Options::Description number(CLI::App& app, const std::string& names, T& value, const std::string& help,
                            std::string_view kind) {
  CLI::Option* option = app.add_option(names, value, help);
  option->type_name("N");
  option->check([kind](const std::string& text) {
    return expect_number(text, static_cast<double>(std::numeric_limits<T>::lowest()),
                         static_cast<double>(std::numeric_limits<T>::max()), kind);
  });
  if (value >= 0) {
    option->capture_default_str();
  }
  return Options::Description(option);
}

}  // namespace

Options::Description& Options::Description::required() {
  option_->required();
  return *this;
}

Options::Description& Options::Description::one_of(const std::vector<std::string>& values) {
  option_->type_name(join(values, "|"));
  option_->check([values](const std::string& text) {
    return std::ranges::find(values, text) != values.end()
               ? ""
               : fmt::format("expected {}, got '{}'", join(values, " or "), text);
  });
  return *this;
}

Options::Description& Options::Description::between(double least, double most) {
  option_->description(fmt::format("{} ({} to {})", option_->get_description(), least, most));
  option_->check([least, most](const std::string& text) {
    const auto number = parse_number(text);
    return number && *number >= least && *number <= most
               ? ""
               : fmt::format("must be between {} and {}, got {}", least, most, text);
  });
  return *this;
}

Options::Options(std::string program, std::string purpose)
    : app_(std::make_unique<CLI::App>(std::move(purpose), std::move(program))) {}
Options::~Options() = default;

Options::Description Options::add(const std::string& names, std::string& value, const std::string& help) {
  CLI::Option* option = app_->add_option(names, value, help);
  if (!value.empty()) {
    option->capture_default_str();
  }
  return Description(option);
}

Options::Description Options::add(const std::string& names, std::vector<std::string>& values,
                                  const std::string& help) {
  return Description(app_->add_option(names, values, help));
}

Options::Description Options::add(const std::string& names, int& value, const std::string& help) {
  return number(*app_, names, value, help, "whole number");
}

Options::Description Options::add(const std::string& names, std::uint16_t& value, const std::string& help) {
  return number(*app_, names, value, help, "port");
}

Options::Description Options::add(const std::string& names, double& value, const std::string& help) {
  return number(*app_, names, value, help, "number");
}

Options::Description Options::add(const std::string& names, bool& value, const std::string& help) {
  return Description(app_->add_flag(names, value, help));
}

void Options::let_last_win() {
  app_->option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

Result<bool> Options::parse(Arguments arguments) {
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants it
  try {
    app_->parse(std::move(reversed));
    return true;
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app_->help());
    return false;
  } catch (const CLI::Error& error) {
    Error mistake = error_of(*app_, error);
    if (mistake.advice.empty()) {
      mistake.advice = fmt::format("`{} --help` lists the options", app_->get_name());
    }
    return std::unexpected(std::move(mistake));
  }
}

}  // namespace llmd::cli
