#include <clocale>
#include <csignal>

#include "cli/command.h"

int main(int argc, char** argv) {
  std::setlocale(LC_CTYPE, "C.UTF-8");
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe or socket is an error value, not the end of the process
  return llmd::cli::run_program(argc, argv);
}
