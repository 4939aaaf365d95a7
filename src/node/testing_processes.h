// What the node's tests share: a folder of their own whose programs are gone afterwards, and waiting for
// conditions.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <boost/json.hpp>

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "async/deadline.h"
#include "async/event_loop.h"
#include "base/file.h"
#include "base/strings.h"
#include "node/shim.h"

namespace llmd::node {

inline const std::string kTestProgram = LLMD_NODE_TEST_PROGRAM;

// A zombie does not count: who should collect it is not the test's question.
inline bool is_alive(pid_t pid) {
  const auto stat = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  const auto name_end = stat ? stat->rfind(") ") : std::string::npos;
  return name_end != std::string::npos && stat->at(name_end + 2) != 'Z';
}

inline std::string text_of(const std::filesystem::path& path) {
  return read_file(path).value_or(std::string());
}

class TestFolder {
 public:
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "llmd-node-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TestFolder() {
    kill_programs();
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  const std::filesystem::path& path() const { return path_; }

  // A pod's folder as the node prepares it.
  PodFolder pod(std::string_view uid) const {
    PodFolder folder(path_, uid);
    std::filesystem::create_directories(folder.run());
    std::filesystem::create_directories(folder.logs());
    return folder;
  }

 private:
  // Every process that names this folder in its command line: also a shim that has not written its record
  // yet.
  void kill_programs() const {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
      const auto pid = parse_integer(entry.path().filename().string());
      if (pid && *pid != ::getpid() &&
          text_of(entry.path() / "cmdline").find(path_.string()) != std::string::npos) {
        ::kill(static_cast<pid_t>(*pid), SIGKILL);
      }
    }
  }

  std::filesystem::path path_;
};

// Looks again and again until the condition holds; a minute is a failure that names what was waited for.
inline Task<void> until(std::string_view what, std::function<bool()> holds) {
  const auto deadline = async::Deadline::after(std::chrono::minutes(1));
  while (!holds() && !deadline.expired()) {
    co_await async::sleep(std::chrono::milliseconds(5));
  }
  EXPECT_FALSE(deadline.expired()) << "waited for " << what;
}

}  // namespace llmd::node
