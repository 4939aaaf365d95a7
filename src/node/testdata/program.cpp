// Plays llmd in the tests of the node:
//
//   shim …                         the real shim
//   fetch --cache DIR URI FOLDER   writes FOLDER/fetched with the URI
//   serve MODEL --host HOST        answers 200 to everything on HOST:8000, or 503 while the file named by
//                                  READY_FILE is missing; adds a line to STARTS_FILE first
//   serve crash …                  ends at once with code 3

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "node/shim.h"

namespace {

int serve(const std::vector<std::string>& arguments) {
  if (const char* file = std::getenv("STARTS_FILE")) {
    std::ofstream(file, std::ios::app) << ::getpid() << '\n';
  }
  if (arguments.at(0) == "crash") {
    return 3;
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(8000);
  ::inet_pton(AF_INET, arguments.back().c_str(), &address.sin_addr);
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, 16) != 0) {
    return 4;
  }
  const char* ready_file = std::getenv("READY_FILE");
  for (;;) {
    const int connection = ::accept(listener, nullptr, nullptr);
    char request[4096];
    [[maybe_unused]] const auto asked = ::read(connection, request, sizeof request);
    const bool ready = ready_file == nullptr || ::access(ready_file, F_OK) == 0;
    const std::string answer = std::string("HTTP/1.1 ") + (ready ? "200 OK" : "503 Service Unavailable") +
                               "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    [[maybe_unused]] const auto told = ::write(connection, answer.data(), answer.size());
    ::close(connection);
  }
}

int fetch(const std::vector<std::string>& arguments) {
  std::ofstream(arguments.at(3) + "/fetched") << arguments.at(2);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  const std::vector<std::string> arguments(argv + std::min(argc, 2), argv + argc);
  return command == "shim"    ? llmd::node::run_shim(arguments)
         : command == "serve" ? serve(arguments)
         : command == "fetch" ? fetch(arguments)
                              : 2;
}
