#include "node/container.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "node/testing_processes.h"

namespace llmd::node {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;
using Phase = ContainerStatus::Phase;

// Of this process alone: the tests of this file run side by side.
const std::string kAddress = fmt::format("127.61.{}.{}", ::getpid() / 250 % 250, 1 + ::getpid() % 250);

class ContainerTest : public ::testing::Test {
 protected:
  // A container and the task that runs it; ending it leaves the program alone, as a killed node does.
  struct Running {
    Running(async::EventLoop& event_loop, http::ClientPool& pool, const PodFolder& folder,
            ContainerSetup setup, ContainerStatus remembered)
        : loop(event_loop),
          scope(event_loop),
          container(event_loop, pool, folder, kTestProgram, std::move(setup), std::move(remembered), [] {}) {
      scope.spawn("container", container.run());
    }
    ~Running() { loop.block_on(scope.close()); }

    async::EventLoop& loop;
    async::Scope scope;
    Container container;
  };

  std::unique_ptr<Running> run(ContainerSetup setup, ContainerStatus remembered = {}) {
    return std::make_unique<Running>(loop_, pool_, folder_, std::move(setup), std::move(remembered));
  }
  static ContainerSetup shell(std::string script) {
    ContainerSetup setup{.name = "main", .image = "image", .launch = {}, .address = kAddress};
    setup.launch.arguments = {"/bin/sh", "-c", std::move(script)};
    setup.launch.environment = process::current_environment();
    return setup;
  }
  ContainerSetup server() {
    auto setup = shell("");
    setup.launch.arguments = {kTestProgram, "serve", "model", "--host", kAddress};
    setup.launch.environment["READY_FILE"] = ready_file_.string();
    return setup;
  }

  void wait(std::string_view what, std::function<bool()> holds) {
    loop_.block_on(until(what, std::move(holds)));
  }
  void wait_for(const Running& running, Phase phase) {
    wait("the container's phase", [&] { return running.container.status().phase == phase; });
  }
  // The program is known once its shim has written it down.
  pid_t program() {
    wait("the run record", [&] {
      const auto record = read_run_record(folder_, "main");
      return record && record->has_value();
    });
    return (*read_run_record(folder_, "main"))->program;
  }
  void stop(Running& running, Duration grace = 30s) {
    loop_.block_on(running.container.stop(async::Deadline::after(grace), false));
  }

  TestFolder data_;
  PodFolder folder_ = data_.pod("u1");
  std::filesystem::path ready_file_ = data_.path() / "ready";
  async::EventLoop loop_;
  http::ClientPool pool_{loop_};
};

TEST_F(ContainerTest, ALivingProgramIsAdoptedByTheNextNode) {
  auto first = run(shell("echo started; exec sleep 1000"));
  wait("the program's first word", [&] { return text_of(folder_.log("main")) == "started\n"; });
  const pid_t before = program();
  const auto remembered = first->container.status();
  first.reset();
  ASSERT_TRUE(is_alive(before));

  const auto second = run(shell("echo never >&2"), remembered);
  wait_for(*second, Phase::Running);
  EXPECT_EQ(program(), before);
  EXPECT_EQ(second->container.status().restarts, 0);
  EXPECT_EQ(text_of(folder_.log("main")), "started\n");
  stop(*second);
  EXPECT_FALSE(is_alive(before));
  EXPECT_EQ(second->container.status().exit->signal, SIGTERM);
}

TEST_F(ContainerTest, NeverRunsTwiceEvenWhenTheRunRecordIsMissing) {
  auto first = run(shell("exec sleep 1000"));
  wait_for(*first, Phase::Running);
  const pid_t before = program();
  const std::string record = text_of(folder_.run_record("main"));
  first.reset();
  std::filesystem::remove(folder_.run_record("main"));

  const auto second = run(shell("exec sleep 1000"));
  wait("the refusal", [&] { return second->container.status().reason == "CreateContainerError"; });
  EXPECT_THAT(second->container.status().message, HasSubstr("held by a shim"));
  ASSERT_TRUE(write_file_atomically(folder_.run_record("main"), record));  // the shim gets to it at last
  wait_for(*second, Phase::Running);
  EXPECT_EQ(program(), before);
  stop(*second);
}

TEST_F(ContainerTest, AFailingProgramIsRestartedAtOnceAndThenWithBackOff) {
  const auto running = run(shell("echo run; exit 3"));
  wait("the second restart", [&] { return running->container.status().restarts == 2; });
  const auto& status = running->container.status();
  EXPECT_EQ(status.phase, Phase::Waiting);
  EXPECT_EQ(status.reason, "CrashLoopBackOff");
  EXPECT_EQ(status.message, "restarting in 1 s");
  ASSERT_TRUE(status.last_exit);
  EXPECT_EQ(status.last_exit->code, 3);
  EXPECT_EQ(text_of(folder_.previous_log("main")), "run\n");
  stop(*running);
}

TEST_F(ContainerTest, ACompletedProgramIsNotStartedAgainWhereThePolicySaysSo) {
  auto setup = shell("echo run >> " + (data_.path() / "runs").string());
  setup.restart_policy = RestartPolicy::OnFailure;
  const auto first = run(setup);
  wait_for(*first, Phase::Terminated);
  EXPECT_TRUE(first->container.status().succeeded());

  // The next node knows from the exit record, even if the API never heard of it.
  const auto second = run(setup, {.phase = Phase::Running});
  wait_for(*second, Phase::Terminated);
  EXPECT_TRUE(second->container.status().succeeded());
  EXPECT_EQ(text_of(data_.path() / "runs"), "run\n");
}

TEST_F(ContainerTest, AProgramThatEndedWhileNoNodeRanCountsAsARestart) {
  auto first = run(shell("exec sleep 1000"));
  wait_for(*first, Phase::Running);
  const pid_t before = program();
  const auto remembered = first->container.status();
  first.reset();
  ::kill(before, SIGKILL);
  wait("the exit record", [&] { return (*read_exit_record(folder_, "main")).has_value(); });

  const auto second = run(shell("exec sleep 1000"), remembered);
  wait("the restart", [&] { return second->container.status().restarts == 1; });
  wait_for(*second, Phase::Running);
  EXPECT_EQ(second->container.status().last_exit->code, 137);
  stop(*second);
}

TEST_F(ContainerTest, AProgramThatCannotStartSaysWhy) {
  auto setup = shell("");
  setup.launch.arguments = {"/no/such/engine"};
  setup.restart_policy = RestartPolicy::Never;
  const auto running = run(setup);
  wait_for(*running, Phase::Terminated);
  EXPECT_EQ(running->container.status().exit->code, 127);
  EXPECT_THAT(running->container.status().message, HasSubstr("/no/such/engine"));
}

TEST_F(ContainerTest, AProgramThatIgnoresSigtermIsKilledAfterItsGrace) {
  const auto running = run(shell("trap '' TERM; echo up; while :; do sleep 1; done"));
  wait("the trap", [&] { return text_of(folder_.log("main")) == "up\n"; });
  stop(*running, 20ms);
  EXPECT_EQ(running->container.status().exit->signal, SIGKILL);
}

TEST_F(ContainerTest, AKilledShimTakesNothingWithItThatTheStatusDoesNotTell) {
  auto setup = shell("sleep 1000 & echo $!; wait");
  setup.restart_policy = RestartPolicy::Never;
  const auto running = run(setup);
  wait("the child", [&] { return text_of(folder_.log("main")).ends_with("\n"); });
  const auto child = static_cast<pid_t>(std::stoi(text_of(folder_.log("main"))));
  ::kill((*read_run_record(folder_, "main"))->shim, SIGKILL);
  wait_for(*running, Phase::Terminated);
  EXPECT_EQ(running->container.status().message, "the shim was killed");
  wait("the child's end", [&] { return !is_alive(child); });
}

TEST_F(ContainerTest, ReadinessFollowsTheProbe) {
  auto setup = server();
  setup.readiness =
      Probe{.path = "/health", .port = 8000, .command = {}, .period = 10ms, .failure_threshold = 2};
  const auto running = run(setup);
  wait_for(*running, Phase::Running);
  EXPECT_FALSE(running->container.status().ready);
  std::ofstream(ready_file_) << "yes";
  wait("ready", [&] { return running->container.status().ready; });
  std::filesystem::remove(ready_file_);
  wait("not ready", [&] { return !running->container.status().ready; });
  EXPECT_EQ(running->container.status().restarts, 0);
  stop(*running);
}

TEST_F(ContainerTest, AStartupProbeGatesReadinessAndItsFailureRestarts) {
  auto setup = server();
  setup.startup = Probe{.port = 8000, .command = {}, .period = 20ms, .failure_threshold = 3};
  const auto running = run(setup);
  wait("the restart", [&] { return running->container.status().restarts > 0; });
  EXPECT_FALSE(running->container.status().started_up);
  EXPECT_EQ(running->container.status().last_exit->signal, SIGTERM);
  std::ofstream(ready_file_) << "yes";
  wait("ready", [&] { return running->container.status().ready; });
  EXPECT_TRUE(running->container.status().started_up);
  stop(*running);
}

TEST_F(ContainerTest, AFailingLivenessProbeRestarts) {
  std::ofstream(ready_file_) << "yes";
  auto setup = server();
  setup.liveness = Probe{.port = 8000, .command = {}, .period = 10ms, .failure_threshold = 2};
  const auto running = run(setup);
  wait("ready", [&] { return running->container.status().ready; });
  std::filesystem::remove(ready_file_);
  wait("the restart", [&] { return running->container.status().restarts > 0; });
  stop(*running);
}

}  // namespace
}  // namespace llmd::node
