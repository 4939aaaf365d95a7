// What a person is told who makes a mistake on the command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/event_loop.h"
#include "cli/testing_program.h"
#include "http/grpc_server.h"

namespace llmd::cli {
namespace {

using testing::HasSubstr;

struct Mistake {
  std::vector<std::string> words;
  std::string told;
};
void PrintTo(const Mistake& mistake, std::ostream* out) {
  for (const std::string& word : mistake.words) {
    *out << word << ' ';
  }
}

class WrongWords : public testing::TestWithParam<Mistake> {};

TEST_P(WrongWords, AreNamedAndEndWithTwo) {
  const Ran ran = run(GetParam().words);
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("llmd " + GetParam().words.front() + ": " + GetParam().told));
}

const Mistake kMistakes[] = {
    {{"picker", "--grpc-port", "-1"}, "--grpc-port: expected a port (0 to 65535), got '-1'\n"},
    {{"picker", "--grpc-port=70000"}, "--grpc-port: expected a port (0 to 65535), got '70000'\n"},
    {{"picker", "--grpc-port", "abc"}, "--grpc-port: expected a port (0 to 65535), got 'abc'\n"},
    {{"picker", "--grpc-port"}, "--grpc-port needs a value\n"},
    {{"picker", "--grpc-prot", "1"}, "unknown option '--grpc-prot'\n  did you mean '--grpc-port'?\n"},
    {{"picker", "--cofnig-file=x"}, "unknown option '--cofnig-file'\n  did you mean '--config-file'?\n"},
    {{"picker", "-x"}, "unknown option '--x'\n  `llmd picker --help` lists the options\n"},
    {{"picker", "here"}, "unexpected argument 'here'\n"},
    {{"picker", "--loops", "0"}, "--loops: must be between 1 and 256, got 0\n"},
    {{"picker", "--loops", "1.5"}, "--loops: expected a whole number, got '1.5'\n"},
    {{"picker", "--secure-serving=maybe"}, "--secure-serving: expected true or false, got 'maybe'\n"},
    {{"picker", "-o", "xml"}, "--output: expected table or json, got 'xml'\n"},
    {{"picker", "--drain-timeout=5"}, "drain-timeout: '5' is not a duration\n"},
    {{"picker", "--pool-name=a", "--endpoint-selector=b=c"},
     "pool-name and endpoint-selector exclude each other\n"},
    {{"gateway"}, "one of --file, --kubeconfig and --in-cluster is needed\n"},
    {{"gateway", "--in-cluster", "--file=x"}, "--file, --kubeconfig and --in-cluster exclude each other\n"},
    {{"gateway", "--file=x", "--tls-cert=y"}, "--tls-cert and --tls-key belong together\n"},
    {{"gateway", "--file=x", "--drain-seconds=-1"}, "--drain-seconds: must be between 0 and 3600, got -1\n"},
    {{"up", "--prot", "1"}, "unknown option '--prot'\n  did you mean '--port'?\n"},
    {{"up", "--port", "1", "--port", "2"}, "--port is given more than once\n"},
    {{"up", "--shutdown-timeout=601"}, "--shutdown-timeout: must be between 0 and 600, got 601\n"},
    {{"get"}, "KIND is required\n"},
    {{"explain"}, "give one REQUEST-ID, or --last N\n"},
    {{"explain", "some-id", "--last=3"}, "give one REQUEST-ID, or --last N\n"},
    {{"explain", "--last=0"}, "--last: must be between 1 and 10000, got 0\n"},
};
INSTANTIATE_TEST_SUITE_P(CommandLine, WrongWords, testing::ValuesIn(kMistakes));

TEST(PickerCommandLine, TheLastOfRepeatedFlagsCountsAsInGo) {
  const Ran ran =
      run({"picker", "--v=2", "--v=4", "--config-file=first", "--config-file=second", "--replay=none"});
  EXPECT_EQ(ran.code, 3);
  EXPECT_THAT(ran.err, HasSubstr("open none: No such file"));
}

TEST(PickerCommandLine, HelpHasAShortName) {
  const Ran ran = run({"picker", "-h"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, HasSubstr("--grpc-health-port"));
}

class PickerPorts : public InFolder {};

TEST_F(PickerPorts, OneInUseIsNamedWithTheFlagsThatChooseAnother) {
  async::EventLoop loop;
  http::GrpcServer other(loop, {});
  const std::string port = std::to_string(other.listen({"127.0.0.1", 0}).value().port);
  const std::string endpoints = write("e.yaml", "endpoints: [{name: a, address: 127.0.0.1, port: 1}]");
  for (const auto& [flag, what] : {std::pair<std::string, std::string>{"--grpc-port", "ext_proc"},
                                   {"--grpc-health-port", "health"},
                                   {"--metrics-port", "metrics"}}) {
    std::vector<std::string> words{"picker",           "--endpoints-file", endpoints,
                                   "--host=127.0.0.1", "--grpc-port=0",    "--grpc-health-port=0",
                                   "--metrics-port=0"};
    words.insert(words.end(), {flag, port});
    const Ran ran = run(words);
    EXPECT_EQ(ran.code, 10) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(what + ": listen on 127.0.0.1:" + port + ": Address already in use"));
    EXPECT_THAT(ran.err, HasSubstr("--grpc-port, --grpc-health-port and --metrics-port choose others"));
  }
}

}  // namespace
}  // namespace llmd::cli
