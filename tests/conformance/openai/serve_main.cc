#include <csignal>
#include <string>
#include <vector>

#include "engine/server/serve.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return llmd::engine::serve(arguments);
}
