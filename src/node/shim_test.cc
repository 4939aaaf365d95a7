#include "node/shim.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <csignal>

#include "base/strings.h"
#include "node/testing_processes.h"
#include "process/process.h"

namespace llmd::node {
namespace {

using ::testing::HasSubstr;

class Shim : public ::testing::Test {
 protected:
  std::unique_ptr<process::Process> start(std::vector<std::string> program, int output = -1) {
    process::SpawnOptions options{
        .arguments = {kTestProgram, "shim", folder_.root().string(), "main", "--"},
        .environment = process::current_environment(),
        .working_directory = {},
        .stdout_fd = output,
    };
    options.arguments.insert(options.arguments.end(), program.begin(), program.end());
    auto shim = process::Process::spawn(loop_, options);
    EXPECT_TRUE(shim) << shim.error().text();
    return *std::move(shim);
  }
  std::unique_ptr<process::Process> start_shell(const std::string& script) {
    return start({"/bin/sh", "-c", script});
  }

  std::string log() const { return text_of(folder_.log("main")); }
  void wait_for_log(std::string_view line) {
    loop_.block_on(until(line, [&] { return log().find(line) != std::string::npos; }));
  }
  RunRecord run_record() {
    loop_.block_on(until("the run record", [&] {
      const auto record = read_run_record(folder_, "main");
      return record && record->has_value();
    }));
    return **read_run_record(folder_, "main");
  }
  ExitRecord exit_record(process::Process& shim) {
    [[maybe_unused]] const auto status = loop_.block_on(shim.wait());
    const auto record = read_exit_record(folder_, "main");
    EXPECT_TRUE(record && *record) << "no exit record";
    return record && *record ? **record : ExitRecord{};
  }

  TestFolder data_;
  PodFolder folder_ = data_.pod("u1");
  async::EventLoop loop_;
};

TEST_F(Shim, WritesTheProgramsOutputToTheLogAndItsEndToARecord) {
  const auto shim = start_shell("echo out; echo err >&2; exit 3");
  const auto exit = exit_record(*shim);
  EXPECT_EQ(exit.code, 3);
  EXPECT_EQ(exit.signal, 0);
  EXPECT_EQ(exit.message, "");
  EXPECT_EQ(log(), "out\nerr\n");
}

TEST_F(Shim, RecordsWhichProcessesAreItsOwn) {
  const auto shim = start_shell("echo $$; sleep 1000");
  const auto record = run_record();
  EXPECT_EQ(record.shim, shim->pid());
  EXPECT_EQ(record.shim_start_time, shim->start_time());
  wait_for_log(std::to_string(record.program) + "\n");
}

TEST_F(Shim, PassesSigtermOn) {
  const auto shim = start_shell("trap 'echo bye; exit 0' TERM; echo up; sleep 1000 & wait");
  wait_for_log("up");
  ASSERT_TRUE(shim->signal(SIGTERM));
  EXPECT_EQ(exit_record(*shim).code, 0);
  EXPECT_THAT(log(), HasSubstr("bye"));
}

TEST_F(Shim, KillsTheWholeGroupOnSigusr1) {
  const auto shim = start_shell("trap '' TERM; sleep 1000 & echo child $!.; wait");
  wait_for_log(".");
  const auto child = parse_integer(log().substr(6, log().find('.') - 6));
  ASSERT_TRUE(child);
  ASSERT_TRUE(shim->signal(SIGTERM));
  ASSERT_TRUE(shim->signal(SIGUSR1));
  const auto exit = exit_record(*shim);
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_EQ(exit.code, 137);
  EXPECT_FALSE(is_alive(static_cast<pid_t>(*child)));
}

TEST_F(Shim, AProgramThatCannotStartLeavesTheReason) {
  const auto shim = start({"/no/such/engine"});
  const auto exit = exit_record(*shim);
  EXPECT_EQ(exit.code, 127);
  EXPECT_THAT(exit.message, HasSubstr("start /no/such/engine"));
  EXPECT_THAT(log(), HasSubstr("/no/such/engine"));
  EXPECT_FALSE(*read_run_record(folder_, "main"));
}

TEST_F(Shim, WhatTheProgramLeftBehindDiesWithItEvenInASessionOfItsOwn) {
  const auto shim = start_shell("setsid sleep 1000 & echo $!; sleep 1000 & echo $!");
  EXPECT_EQ(exit_record(*shim).code, 0);
  const std::string text = log();
  for (const auto line : split(trim(text), '\n')) {
    const auto pid = parse_integer(line);
    ASSERT_TRUE(pid) << line;
    EXPECT_FALSE(is_alive(static_cast<pid_t>(*pid)));
  }
}

TEST_F(Shim, TurnsTheLogOverWhenItIsFull) {
  const auto shim = start_shell("head -c 11000000 /dev/zero | tr '\\0' x; echo; echo last");
  EXPECT_EQ(exit_record(*shim).code, 0);
  EXPECT_TRUE(log().ends_with("last\n"));
  const auto old = std::filesystem::file_size(folder_.log("main").string() + ".1");
  EXPECT_LE(old, kMaxLogBytes);
  EXPECT_EQ(old + log().size(), 11000000U + 6);
}

TEST_F(Shim, HearsSignalsWhileTheProgramNeverStopsWriting) {
  const auto shim = start({"yes"});
  loop_.block_on(until("output", [&] { return !log().empty(); }));
  ASSERT_TRUE(shim->signal(SIGTERM));
  EXPECT_EQ(exit_record(*shim).signal, SIGTERM);
}

TEST_F(Shim, TakesTheProgramAlongWhenItIsKilled) {
  const auto shim = start_shell("exec sleep 1000");
  const pid_t program = run_record().program;
  ASSERT_TRUE(shim->signal(SIGKILL));
  loop_.block_on(until("the program's end", [&] { return !is_alive(program); }));
  EXPECT_FALSE(*read_exit_record(folder_, "main"));
}

TEST_F(Shim, DoesNotHoldTheOutputOfWhoStartedIt) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  const auto shim = start({"sleep", "1000"}, writer.number());
  writer.reset();
  pollfd wait{reader.number(), POLLIN, 0};
  ASSERT_EQ(::poll(&wait, 1, 60'000), 1);
  EXPECT_TRUE((wait.revents & POLLHUP) != 0);
  EXPECT_TRUE(shim->running());
  ASSERT_TRUE(shim->signal(SIGTERM));
  [[maybe_unused]] const auto exit = exit_record(*shim);
}

}  // namespace
}  // namespace llmd::node
