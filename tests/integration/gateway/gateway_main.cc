// `llmd gateway` alone in a program: for tests that need nothing else of llmd.
#include <string>
#include <vector>

#include "cli/command.h"

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  const bool named = !words.empty() && words.front() == "gateway";
  const auto outcome = llmd::cli::run_gateway(std::span(words).subspan(named ? 1 : 0));
  if (!outcome) {
    fmt::print(stderr, "llmd gateway: {}\n", outcome.error().text());
    return llmd::exit_code(outcome.error().kind);
  }
  return *outcome;
}
