#include "engine/server/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"

namespace llmd::engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<ServeOptions> parse(std::vector<std::string> words) {
  return parse_arguments(words);
}

ServeOptions parsed(std::vector<std::string> words) {
  auto options = parse(std::move(words));
  EXPECT_TRUE(options) << options.error().text();
  return options.value_or(ServeOptions{});
}

std::string mistake(std::vector<std::string> words) {
  const auto options = parse(std::move(words));
  return options ? "no mistake" : options.error().text();
}

TEST(Arguments, TakeTheModelAndFlagsInAnyOrder) {
  const ServeOptions options = parsed({"--port", "8001", "/mnt/models", "--max-num-seqs=7"});
  EXPECT_EQ(options.model.model, "/mnt/models");
  EXPECT_EQ(options.http.port, 8001);
  EXPECT_EQ(options.scheduler.max_num_seqs, 7);
}

TEST(Arguments, TheModelInItsPlaceWinsOverTheFlagAsInVllm) {
  const ServeOptions options = parsed({"m", "--model", "n"});
  EXPECT_EQ(options.model.model, "m");
  EXPECT_THAT(options.warnings, ElementsAre("--model n is ignored, as vLLM does: MODEL is m"));
  EXPECT_TRUE(parsed({"m", "--model", "m"}).warnings.empty());
}

TEST(Arguments, UnderscoresAreDashesAndListsTakeSeveralWords) {
  const ServeOptions options =
      parsed({"m", "--served_model_name", "a", "publishers/ns/models/a", "--port", "1"});
  EXPECT_THAT(options.model.served_names, ElementsAre("a", "publishers/ns/models/a"));
}

TEST(Arguments, SwitchesAreTurnedOffWithNo) {
  EXPECT_FALSE(parsed({"m", "--no-enable-prefix-caching"}).cache.prefix_caching);
  EXPECT_FALSE(parsed({"m", "--enable-prefix-caching=false"}).cache.prefix_caching);
  EXPECT_TRUE(parsed({"m", "--enable-prefix-caching"}).cache.prefix_caching);
}

TEST(Arguments, ReadHumanNumbers) {
  EXPECT_EQ(parsed({"m", "--max-model-len", "32k"}).model.max_model_len, 32000);
  EXPECT_EQ(parsed({"m", "--max-model-len", "32K"}).model.max_model_len, 32768);
  EXPECT_EQ(parsed({"m", "--max-model-len", "1.5k"}).model.max_model_len, 1500);
  EXPECT_EQ(parsed({"m", "--max-model-len", "auto"}).model.max_model_len, 0);
  EXPECT_EQ(parsed({"m", "--kv-cache-memory-bytes", "2G"}).cache.memory_bytes, std::uint64_t{2} << 30);
}

TEST(Arguments, ReadLoraModulesInBothSpellings) {
  const auto modules = parsed({"m", "--enable-lora", "--lora-modules", "a=/x",
                               R"({"name":"b","path":"/y","base_model_name":"m"})"})
                           .lora.modules;
  ASSERT_EQ(modules.size(), 2U);
  EXPECT_EQ(modules[0].path, "/x");
  EXPECT_EQ(modules[1].base_model_name, "m");
}

TEST(Arguments, ReadTheTimesOfTheSimulation) {
  const ServeOptions options = parsed({"m", "--simulate", "--time-to-first-token", "200",
                                       "--inter-token-latency", "1.5ms", "--mode", "echo"});
  EXPECT_EQ(options.simulation.timing.time_to_first_token.mean, std::chrono::milliseconds(200));
  EXPECT_EQ(options.simulation.timing.inter_token_latency.mean, std::chrono::microseconds(1500));
  EXPECT_EQ(options.simulation.mode, sim::Mode::Echo);
}

TEST(Arguments, WhatChangesNothingIsSaidOnce) {
  const ServeOptions options = parsed({"m", "--gpu-memory-utilization", "0.9", "--enforce-eager"});
  EXPECT_THAT(options.warnings, ElementsAre("--gpu-memory-utilization has no effect: it is about GPUs",
                                            "--enforce-eager has no effect: it is about GPUs"));
  EXPECT_EQ(parsed({"m", "--kv-transfer-config.kv_role", "kv_both"}).warnings.size(), 1U);
}

struct Mistake {
  std::vector<std::string> words;
  std::string message;
};

class ArgumentMistakes : public testing::TestWithParam<Mistake> {};

TEST_P(ArgumentMistakes, AreNamed) {
  EXPECT_THAT(mistake(GetParam().words), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Table, ArgumentMistakes,
    testing::Values(
        Mistake{{}, "MODEL is missing"}, Mistake{{"m", "n"}, "unexpected argument 'n': MODEL is already 'm'"},
        Mistake{{"m", "--max-num-seq", "3"},
                "unknown argument '--max-num-seq' (did you mean '--max-num-seqs'?)"},
        Mistake{{"m", "--port"}, "--port needs a value"},
        Mistake{{"m", "--port", "70000"}, "--port: must be between 0 and 65535, got 70000"},
        Mistake{{"m", "--max-model-len", "many"}, "--max-model-len: expected a number such as 4096"},
        Mistake{{"m", "--block-size", "17"}, "--block-size: must be 8, 16, 32, 64 or 128, got 17"},
        Mistake{{"m", "--scheduling-policy", "priorty"}, "(did you mean 'priority'?)"},
        Mistake{{"m", "--tensor-parallel-size", "2"}, "--tensor-parallel-size: only 1 is possible, got 2"},
        Mistake{{"m", "-tp", "2"}, "only 1 is possible, got 2"},
        Mistake{{"m", "--tool-call-parser", "mine"}, "--tool-call-parser: must be one of hermes, got 'mine'"},
        Mistake{{"m", "--enable-auto-tool-choice"}, "--enable-auto-tool-choice needs --tool-call-parser"},
        Mistake{{"m", "--no-port"}, "unknown argument '--no-port'"},
        Mistake{{"m", "--ssl-certfile", "x"}, "--ssl-certfile and --ssl-keyfile belong together"},
        Mistake{{"m", "--lora-modules", "a=/x"}, "--lora-modules needs --enable-lora"},
        Mistake{{"m", "--enable-lora", "--lora-modules", "a"}, "expected name=path"},
        Mistake{{"m", "--simulate", "--time-to-first-token", "10", "--time-to-first-token-std-dev", "4"},
                "more than 30 % of its mean"}));

TEST(Arguments, AcceptTheCommandLineThatKServeWrites) {
  const ServeOptions options =
      parsed({"/mnt/models", "--served-model-name", "opt", "publishers/ns/models/opt", "--port", "8001",
              "--tensor-parallel-size", "1", "--disable-access-log-for-endpoints", "/health,/metrics,/ping",
              "--shutdown-timeout", "15"});
  EXPECT_THAT(options.http.unlogged_paths, ElementsAre("/health", "/metrics", "/ping"));
  EXPECT_EQ(options.http.shutdown_timeout, std::chrono::seconds(15));
  EXPECT_TRUE(options.warnings.empty());
}

class ConfigFile : public testing::Test {
 protected:
  std::string write(std::string_view text) {
    const auto path = std::filesystem::path(testing::TempDir()) / "llmd-serve-config.yaml";
    EXPECT_TRUE(write_file_atomically(path, text));
    return path.native();
  }
};

TEST_F(ConfigFile, HoldsFlagsAndTheCommandLineWins) {
  const std::string path = write(
      "model: /from/file\nport: 9000\nserved-model-name: [a, b]\nenable_prefix_caching: false\nmax-num-seqs: "
      "3\n");
  const ServeOptions options = parsed({"--config", path, "--port", "9001"});
  EXPECT_EQ(options.model.model, "/from/file");
  EXPECT_EQ(options.http.port, 9001);
  EXPECT_THAT(options.model.served_names, ElementsAre("a", "b"));
  EXPECT_FALSE(options.cache.prefix_caching);
  EXPECT_EQ(parsed({"/mine", "--config=" + path}).model.model, "/mine");
}

TEST_F(ConfigFile, MistakesNameFileAndLine) {
  EXPECT_THAT(mistake({"m", "--config", write("port: 9000\nprot: 1\n")}),
              HasSubstr("llmd-serve-config.yaml:2:1: unknown argument '--prot' (did you mean '--port'?)"));
}

}  // namespace
}  // namespace llmd::engine
