#include "cli/options.h"

#include <CLI/CLI.hpp>

#include <algorithm>

#include "base/strings.h"

namespace llmd::cli {
namespace {

std::string nearest_option(const CLI::App& app, Arguments arguments) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      names.push_back("--" + name);
    }
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  for (const std::string& argument : arguments) {
    const auto given = std::string_view(argument).substr(0, argument.find('='));
    if (given.starts_with("--") && std::ranges::find(views, given) == views.end()) {
      return did_you_mean(given, views);
    }
  }
  return {};
}

template <typename T>
Options::Description number(CLI::App& app, const std::string& names, T& value, const std::string& help) {
  CLI::Option* option = app.add_option(names, value, help);
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
  option_->check(CLI::IsMember(values));
  return *this;
}

Options::Description& Options::Description::between(double least, double most) {
  option_->check(CLI::Range(least, most));
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
  return number(*app_, names, value, help);
}

Options::Description Options::add(const std::string& names, std::uint16_t& value, const std::string& help) {
  return number(*app_, names, value, help);
}

Options::Description Options::add(const std::string& names, double& value, const std::string& help) {
  return number(*app_, names, value, help);
}

Options::Description Options::add(const std::string& names, bool& value, const std::string& help) {
  return Description(app_->add_flag(names, value, help));
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
    auto hint = nearest_option(*app_, arguments);
    return invalid_argument("{}", error.what())
        .hint(hint.empty() ? fmt::format("`{} --help` lists the options", app_->get_name())
                           : std::move(hint));
  }
}

}  // namespace llmd::cli
