// The whole program as a function, and a folder for its files. For tests of cli.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/file.h"
#include "cli/command.h"

namespace llmd::cli {

struct Ran {
  int code = 0;
  std::string out;
  std::string err;
};

// `llmd WORDS…`, with what it printed.
inline Ran run(std::vector<std::string> words) {
  words.insert(words.begin(), "llmd");
  std::vector<const char*> argv;
  for (const std::string& word : words) {
    argv.push_back(word.c_str());
  }
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Ran ran{.code = run_program(static_cast<int>(argv.size()), argv.data()), .out = {}, .err = {}};
  std::fflush(stdout);
  ran.out = testing::internal::GetCapturedStdout();
  ran.err = testing::internal::GetCapturedStderr();
  return ran;
}

// Each test has an empty folder of its own.
class InFolder : public testing::Test {
 protected:
  InFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "llmd-cli-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~InFolder() override { std::filesystem::remove_all(folder_); }

  // The path.
  std::string write(const std::string& name, std::string_view text) const {
    EXPECT_TRUE(write_file_atomically(folder_ / name, text));
    return (folder_ / name).string();
  }

  std::filesystem::path folder_;
};

}  // namespace llmd::cli
