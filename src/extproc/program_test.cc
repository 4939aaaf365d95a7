// What probes and readers of the HTTP port are told, over the wire.
#include "extproc/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "async/scope.h"
#include "envoy/ext_proc.h"
#include "http/client.h"
#include "http/grpc_client.h"
#include "json/path.h"
#include "picker/picker.h"

namespace llmd::extproc {
namespace {

using testing::HasSubstr;

// One program on free ports; what a test asks it runs on the same loop.
class ProgramTest : public testing::Test {
 protected:
  void serve(ProgramOptions options, std::string_view configuration = "") {
    picker_ = picker::Picker::from_config(configuration, "c.yaml").value();
    pools_ = std::make_shared<const Pools>(*picker_);
    options.grpc = options.health = options.metrics = {"127.0.0.1", 0};
    program_ = std::make_unique<Program>(loop_, pools_, registry_, std::move(options));
    addresses_ = program_->listen().value();
    scope_.spawn("program", program_->run());
  }
  void TearDown() override { loop_.block_on(scope_.close()); }

  Task<Result<std::string>> call(net::Address server, std::string method, std::string message) {
    Result<std::string> answer = internal_error("not asked");
    co_await async::with_scope(loop_.executor(), [&](async::Scope& scope) -> Task<void> {
      auto client = (co_await http::Http2Client::connect(scope, server, {})).value();
      answer = co_await http::grpc_call(*client, std::move(method), message);
    });
    co_return answer;
  }
  // S serving, N not serving, U unknown service: one letter of grpc.health.v1 for each name.
  std::string probe(net::Address server) {
    std::string letters;
    for (const std::string_view service :
         {std::string_view(), std::string_view("liveness"), std::string_view("readiness"),
          std::string_view(envoy::kProcessorService), std::string_view("inference-extension")}) {
      std::string request;
      if (!service.empty()) {
        request = std::string("\x0a") + static_cast<char>(service.size()) + std::string(service);
      }
      const auto answer = loop_.block_on(call(server, "/grpc.health.v1.Health/Check", request));
      letters += answer && answer->size() == 2 ? "?SNU"[static_cast<std::size_t>((*answer)[1])] : '!';
    }
    return letters;
  }
  http::Answer read(std::string method, std::string target) {
    http::ClientPool client(loop_);
    http::ClientRequest request;
    request.address = addresses_.metrics;
    request.head.method = std::move(method);
    request.head.target = std::move(target);
    auto answer = loop_.block_on(http::fetch(client, std::move(request)));
    client.close_idle();
    return std::move(answer).value();
  }

  async::EventLoop loop_;
  metrics::Registry registry_;
  std::shared_ptr<picker::Picker> picker_;
  std::shared_ptr<const Pools> pools_;
  std::unique_ptr<Program> program_;
  Program::Addresses addresses_;
  async::Scope scope_{loop_};
};

struct Situation {
  bool election;
  bool synced;
  bool leading;
  bool draining;
  std::string_view told;  // "", liveness, readiness, ext_proc, any other name
};
void PrintTo(const Situation& now, std::ostream* out) {
  *out << (now.election ? "election" : "alone") << (now.synced ? ", synced" : "")
       << (now.leading ? ", leading" : "") << (now.draining ? ", draining" : "");
}

class Health : public ProgramTest, public testing::WithParamInterface<Situation> {};

TEST_P(Health, TellsReadinessFromLivenessWhereReplicasTakeTurns) {
  const Situation& now = GetParam();
  serve({.leader_election = now.election});
  program_->set_synced(now.synced);
  program_->set_leading(now.leading);
  if (now.draining) {
    scope_.spawn("drain", program_->drain(std::chrono::hours(1), async::Deadline::never()));
  }
  EXPECT_EQ(probe(addresses_.health), now.told);
}

INSTANTIATE_TEST_SUITE_P(Matrix, Health,
                         testing::Values(Situation{false, false, false, false, "NNNNN"},
                                         Situation{false, true, false, false, "SSSSS"},
                                         Situation{false, true, true, false, "SSSSS"},
                                         Situation{false, true, false, true, "NSNNN"},
                                         Situation{true, false, false, false, "NSNNU"},
                                         Situation{true, false, true, false, "NSNNU"},
                                         Situation{true, true, false, false, "NSNNU"},
                                         Situation{true, true, true, false, "SSSSU"},
                                         Situation{true, true, true, true, "NSNNU"}));

TEST_F(ProgramTest, HealthIsOnThePortOfExtProcOnlyWhereThatIsWanted) {
  serve({.health_on_grpc = true});
  program_->set_synced(true);
  EXPECT_EQ(probe(addresses_.grpc), "SSSSS");
}

// Connections meet all loops: each of 40 meets one of four.
TEST_F(ProgramTest, EveryLoopTellsTheSameHealth) {
  serve({.loops = 4, .health_on_grpc = true, .leader_election = true});
  const auto everybody_says = [this](std::string_view told) {
    for (int i = 0; i < 40; ++i) {
      ASSERT_EQ(probe(addresses_.grpc), told) << "connection " << i;
    }
  };
  everybody_says("NSNNU");
  program_->set_synced(true);
  program_->set_leading(true);
  everybody_says("SSSSU");
  scope_.spawn("drain", program_->drain(std::chrono::hours(1), async::Deadline::never()));
  everybody_says("NSNNU");
  EXPECT_EQ(probe(addresses_.health), "NSNNU");
}

TEST_F(ProgramTest, AMessageThatIsTooLargeIsRefusedWithTheLimitAndCounted) {
  serve({.max_message_bytes = 1000,
         .message_limit_flag = "--grpc-max-recv-msg-size",
         .service = {.stream_metrics = true}});
  const auto refused =
      loop_.block_on(call(addresses_.grpc, std::string(envoy::kProcessMethod), std::string(2000, '\0')));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::ResourceExhausted);
  EXPECT_THAT(refused.error().message, HasSubstr("a message of 2000 bytes; at most 1000 are accepted "
                                                 "(--grpc-max-recv-msg-size)"));
  std::string page;
  for (int i = 0; i < 100 && page.find("extproc_streams_total{") == std::string::npos; ++i) {
    page = read("GET", "/metrics").body;  // the stream has ended for the client, soon for the server
  }
  EXPECT_THAT(page, HasSubstr("llm_d_epp_extproc_streams_total{code=\"ResourceExhausted\"} 1\n"));
  EXPECT_THAT(page, HasSubstr("llmd_extproc_oversized_messages_total 1\n"));
}

TEST_F(ProgramTest, WithoutItThePortOfExtProcKnowsNoHealth) {
  serve({});
  program_->set_synced(true);
  EXPECT_EQ(probe(addresses_.grpc), "!!!!!");
}

class HealthList : public ProgramTest, public testing::WithParamInterface<bool> {};

TEST_P(HealthList, NamesWhatProbesMayAskFor) {
  serve({.leader_election = GetParam()});
  const std::string list = loop_.block_on(call(addresses_.health, "/grpc.health.v1.Health/List", "")).value();
  EXPECT_THAT(list, HasSubstr(std::string(envoy::kProcessorService)));
  EXPECT_EQ(list.find("liveness") != std::string::npos, GetParam());
  EXPECT_EQ(list.find("readiness") != std::string::npos, GetParam());
}
INSTANTIATE_TEST_SUITE_P(Election, HealthList, testing::Bool());

constexpr std::string_view kWithState = R"(plugins:
- type: approx-prefix-cache-producer
- {name: mine, type: no-hit-lru-scorer}
- type: prefix-cache-scorer
)";

TEST_F(ProgramTest, PluginsTellTheirStateUnderTheirNames) {
  serve({}, kWithState);
  const http::Answer answer = read("GET", "/debug/plugins/state");
  EXPECT_EQ(answer.status, 200);
  const auto said = json::parse(answer.body).value();
  EXPECT_TRUE(parse_rfc3339(std::string(json::string_at(said, "timestamp").value_or(""))));
  EXPECT_EQ(json::string_at(said, "plugins.mine.type"), "no-hit-lru-scorer");
  EXPECT_NE(json::find(said, "plugins.mine.state"), nullptr);
  EXPECT_NE(json::find(said, "plugins.approx-prefix-cache-producer.state"), nullptr);
  EXPECT_EQ(json::find(said, "plugins.prefix-cache-scorer"), nullptr) << "it has none";
}

TEST_F(ProgramTest, NothingIsChangedThroughThePortOfMetrics) {
  serve({}, kWithState);
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
    EXPECT_EQ(read(method, "/debug/plugins/state").status, 405) << method;
    EXPECT_EQ(read(method, "/metrics").status, 405) << method;
  }
  EXPECT_EQ(read("GET", "/debug/plugins").status, 404);
}

}  // namespace
}  // namespace llmd::extproc
