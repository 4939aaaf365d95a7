#include "cli/parse.h"

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

}  // namespace

Result<bool> parse(CLI::App& app, Arguments arguments) {
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // as CLI11 wants it
  try {
    app.parse(std::move(reversed));
    return true;
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return false;
  } catch (const CLI::Error& error) {
    auto hint = nearest_option(app, arguments);
    return invalid_argument("{}", error.what())
        .hint(hint.empty() ? fmt::format("`{} --help` lists the options", app.get_name()) : std::move(hint));
  }
}

}  // namespace llmd::cli
