#include "process/process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include "async/scope.h"
#include "process/signals.h"

namespace llmd::process {
namespace {

using testing::HasSubstr;

class Processes : public testing::Test {
 protected:
  Result<Output> run_shell(std::string script, std::map<std::string, std::string> environment = {}) {
    SpawnOptions options{.arguments = {"/bin/sh", "-c", std::move(script)},
                         .environment = std::move(environment)};
    return loop_.block_on(run(loop_, std::move(options), async::Deadline::after(std::chrono::seconds(20))));
  }
  std::unique_ptr<Process> spawn_shell(std::string script) {
    return Process::spawn(loop_, {.arguments = {"/bin/sh", "-c", std::move(script)}}).value();
  }

  async::EventLoop loop_;
};

TEST_F(Processes, OutputAndExitCodeAreCollected) {
  const auto output = run_shell("echo out; echo err >&2; exit 3");
  ASSERT_TRUE(output) << output.error().text();
  EXPECT_EQ(output->out, "out\n");
  EXPECT_EQ(output->err, "err\n");
  EXPECT_EQ(output->status.code, 3);
  EXPECT_EQ(output->status.to_string(), "exit code 3");
}

TEST_F(Processes, SeeExactlyTheGivenEnvironment) {
  const auto output = run_shell("/usr/bin/env", {{"A", "1"}, {"B", "two words"}});
  ASSERT_TRUE(output);
  EXPECT_THAT(output->out, HasSubstr("A=1\nB=two words\n"));
  EXPECT_THAT(output->out, testing::Not(HasSubstr("HOME=")));
}

TEST_F(Processes, RunInTheirWorkingDirectory) {
  SpawnOptions options{.arguments = {"/bin/pwd"}, .working_directory = "/usr/bin"};
  const auto output = loop_.block_on(run(loop_, options, async::Deadline::never()));
  EXPECT_EQ(output.value().out, "/usr/bin\n");
}

TEST_F(Processes, InheritNoDescriptorsOfOurs) {
  const int leaked = ::open("/dev/null", O_RDONLY);  // without CLOEXEC, as careless libraries do
  const auto output = run_shell("ls /proc/self/fd | wc -l");
  ::close(leaked);
  EXPECT_EQ(output.value().out, "4\n");  // 0, 1, 2 and the folder that ls reads
}

TEST_F(Processes, MoreOutputThanTheLimitIsDroppedWithoutBlocking) {
  SpawnOptions options{.arguments = {"/bin/sh", "-c", "head -c 300000 /dev/zero; echo end >&2"}};
  const auto output = loop_.block_on(run(loop_, options, async::Deadline::never(), 1000));
  EXPECT_EQ(output.value().out.size(), 1000U);
  EXPECT_EQ(output->err, "end\n");
}

TEST_F(Processes, AProgramThatDoesNotExistIsNotFound) {
  const auto spawned = Process::spawn(loop_, {.arguments = {"no-such-program-here"}});
  ASSERT_FALSE(spawned);
  EXPECT_EQ(spawned.error().kind, ErrorKind::NotFound);
  EXPECT_THAT(spawned.error().message, HasSubstr("no-such-program-here: no such program in PATH="));
}

TEST_F(Processes, AFileThatIsNoProgramAndAMissingFolderAreNamed) {
  const auto text = Process::spawn(loop_, {.arguments = {"/etc/passwd"}});
  ASSERT_FALSE(text);
  EXPECT_THAT(text.error().message, HasSubstr("/etc/passwd"));
  const auto folder = Process::spawn(loop_, {.arguments = {"/bin/true"}, .working_directory = "/no/such"});
  ASSERT_FALSE(folder);
  EXPECT_THAT(folder.error().message, HasSubstr("working directory /no/such"));
}

TEST_F(Processes, ADeadlineKillsTheProgramAndItsChildren) {
  SpawnOptions options{.arguments = {"/bin/sh", "-c", "sleep 1000 & wait"}};
  const auto deadline = async::Deadline::after(std::chrono::milliseconds(50));
  const auto output = loop_.block_on(run(loop_, options, deadline));
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().kind, ErrorKind::DeadlineExceeded);
}

TEST_F(Processes, StopAsksWithSigtermFirst) {
  const auto process = spawn_shell("trap 'exit 7' TERM; while :; do sleep 0.01; done");
  // The trap is set when the shell has begun to sleep; before that SIGTERM would end it by itself.
  loop_.block_on(async::sleep(std::chrono::milliseconds(100)));
  const auto status = loop_.block_on(stop(*process, std::chrono::seconds(20)));
  EXPECT_EQ(status.code, 7);
  EXPECT_FALSE(process->running());
}

TEST_F(Processes, StopKillsWhatIgnoresSigterm) {
  const auto process = spawn_shell("trap '' TERM; while :; do sleep 0.01; done");
  loop_.block_on(async::sleep(std::chrono::milliseconds(100)));
  const auto status = loop_.block_on(stop(*process, std::chrono::milliseconds(50)));
  EXPECT_EQ(status.signal, SIGKILL);
  EXPECT_EQ(status.to_string(), "killed by SIGKILL");
}

TEST_F(Processes, StoppingTwiceGivesTheSameStatus) {
  const auto process = spawn_shell("exit 4");
  EXPECT_EQ(loop_.block_on(process->wait()).code, 4);
  EXPECT_EQ(loop_.block_on(stop(*process, std::chrono::seconds(1))).code, 4);
}

TEST_F(Processes, AreAdoptedOnlyWithTheirStartTime) {
  const auto process = spawn_shell("sleep 1000");
  const auto adopted = Process::adopt(loop_, process->pid(), process->start_time());
  ASSERT_TRUE(adopted) << adopted.error().text();
  EXPECT_TRUE((*adopted)->running());
  const auto other = Process::adopt(loop_, process->pid(), process->start_time() + 1);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, ErrorKind::NotFound);
  EXPECT_EQ(loop_.block_on(stop(**adopted, std::chrono::seconds(20))).code, -1);
  EXPECT_EQ(loop_.block_on(process->wait()).signal, SIGTERM);
}

TEST_F(Processes, SignalsArriveAsValues) {
  Signals signals(loop_, {SIGUSR1, SIGUSR2});
  ::kill(::getpid(), SIGUSR2);
  EXPECT_EQ(loop_.block_on(signals.wait()), SIGUSR2);
}

}  // namespace
}  // namespace llmd::process
