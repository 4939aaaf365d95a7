// `llmd picker` and `llmd explain` alone in a program: for tests that need nothing else of llmd.
#include <string>
#include <vector>

#include "cli/command.h"

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool explain = !words.empty() && words.front() == "explain";
  const bool named = explain || (!words.empty() && words.front() == "picker");
  const llmd::cli::Arguments arguments = std::span(words).subspan(named ? 1 : 0);
  const auto outcome = explain ? llmd::cli::run_explain(arguments) : llmd::cli::run_picker(arguments);
  if (!outcome) {
    fmt::print(stderr, "llmd picker: {}\n", outcome.error().text());
    return llmd::exit_code(outcome.error().kind);
  }
  return *outcome;
}
