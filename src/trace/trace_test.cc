#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "async/scope.h"
#include "http/server.h"
#include "json/value.h"
#include "trace/exporter.h"
#include "trace/settings.h"
#include "trace/span.h"
#include "trace/testing_spans.h"

namespace llmd::trace {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::string_view kHeader = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(TraceContextTest, IsReadAndWrittenAsTheStandardSays) {
  const auto context = parse_traceparent(kHeader);
  ASSERT_TRUE(context);
  EXPECT_EQ(context->trace, (TraceId{0x4bf92f3577b34da6, 0xa3ce929d0e0e4736}));
  EXPECT_EQ(context->span, 0x00f067aa0ba902b7U);
  EXPECT_TRUE(context->sampled);
  EXPECT_EQ(format_traceparent(*context), kHeader);
  EXPECT_EQ(
      parse_traceparent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings"),
      context);
  EXPECT_FALSE(parse_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")->sampled);
}

TEST(TraceContextTest, InvalidHeadersBeginANewTrace) {
  for (const std::string_view header : {
           "",
           "00",
           "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
           "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
           "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
           "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
           "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
       }) {
    EXPECT_FALSE(parse_traceparent(header)) << header;
  }
}

TEST(SpanTest, AChildBelongsToItsParentsTrace) {
  CollectedSpans collected;
  const Tracer tracer({.ratio = 1}, collected);
  TraceContext outer_context;
  {
    Span outer = tracer.start("outer", parse_traceparent(kHeader), SpanKind::Server);
    outer_context = outer.context();
    Span inner = tracer.start("inner", outer.context());
    inner.set("blocks", 7);
    inner.set("blocks", 8);
    inner.set("model", "m");
    inner.fail("no endpoint");
  }
  ASSERT_EQ(collected.spans.size(), 2U);
  const FinishedSpan& inner = collected.spans[0];
  const FinishedSpan& outer = collected.spans[1];
  EXPECT_EQ(outer.parent, 0x00f067aa0ba902b7U);
  EXPECT_EQ(inner.parent, outer_context.span);
  EXPECT_EQ(inner.context.trace, outer.context.trace);
  EXPECT_NE(inner.context.span, outer.context.span);
  ASSERT_EQ(inner.attributes.size(), 2U);
  EXPECT_EQ(std::get<std::int64_t>(inner.attributes[0].value), 8);
  EXPECT_EQ(inner.error, "no endpoint");
  EXPECT_GE(inner.end_nanoseconds, inner.start_nanoseconds);
}

TEST(SpanTest, TheParentDecidesAboutSamplingAndOtherwiseTheRatio) {
  CollectedSpans collected;
  const Tracer all({.ratio = 1}, collected);
  const Tracer none({.ratio = 0}, collected);
  auto unsampled = parse_traceparent(kHeader);
  unsampled->sampled = false;
  EXPECT_FALSE(all.start("a", unsampled).sampled());
  EXPECT_TRUE(none.start("b", parse_traceparent(kHeader)).sampled());
  EXPECT_FALSE(none.start("c").sampled());
  const Tracer half({.ratio = 0.5}, collected);
  int sampled = 0;
  for (int i = 0; i < 2000; ++i) {
    const Span span = half.start("d");
    sampled += span.sampled() ? 1 : 0;
    EXPECT_TRUE(parse_traceparent(format_traceparent(span.context()))) << "unsampled ones are passed on too";
  }
  EXPECT_GT(sampled, 800);
  EXPECT_LT(sampled, 1200);
}

TEST(SpanTest, AttributesAreBoundedAndAMovedSpanEndsOnce) {
  CollectedSpans collected;
  const Tracer tracer({.ratio = 1}, collected);
  Span span = tracer.start("many");
  for (int i = 0; i < 200; ++i) {
    span.set(fmt::format("key-{}", i), true);
  }
  Span moved = std::move(span);
  moved.end();
  moved.end();
  ASSERT_EQ(collected.spans.size(), 1U);
  EXPECT_EQ(collected.spans[0].attributes.size(), kMaxAttributes);
  EXPECT_EQ(collected.spans[0].dropped_attributes, 72U);
}

TEST(OtlpTest, TheJsonIsTheCollectors) {
  FinishedSpan span{.context = *parse_traceparent(kHeader),
                    .parent = 1,
                    .name = "pick",
                    .kind = SpanKind::Server,
                    .start_nanoseconds = 1'700'000'000'000'000'001,
                    .end_nanoseconds = 1'700'000'000'000'000'002};
  span.attributes = {{"n", std::int64_t{5}}, {"ok", true}, {"share", 0.5}, {"model", std::string("m")}};
  span.error = "gone";
  EXPECT_EQ(
      to_otlp_json({.service = "gateway", .attributes = {{"k8s.pod.name", "p"}}}, std::span(&span, 1)),
      R"({"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"gateway"}},)"
      R"({"key":"k8s.pod.name","value":{"stringValue":"p"}}]},"scopeSpans":[{"scope":{"name":"llmd"},"spans":[)"
      R"({"traceId":"4bf92f3577b34da6a3ce929d0e0e4736","spanId":"00f067aa0ba902b7","parentSpanId":"0000000000000001",)"
      R"("name":"pick","kind":2,"startTimeUnixNano":"1700000000000000001","endTimeUnixNano":"1700000000000000002",)"
      R"("attributes":[{"key":"n","value":{"intValue":"5"}},{"key":"ok","value":{"boolValue":true}},)"
      R"({"key":"share","value":{"doubleValue":0.5}},{"key":"model","value":{"stringValue":"m"}}],)"
      R"("status":{"code":2,"message":"gone"}}]}]}]})");
}

TEST(OtlpTest, TheScopeSaysWhichVersionMadeTheSpans) {
  const json::Value sent = *json::parse(to_otlp_json({.service = "s", .version = "1.2.3"}, {}));
  const json::Value& scope = sent.at("resourceSpans").at(0).at("scopeSpans").at(0).at("scope");
  EXPECT_EQ(json::write(scope), R"({"name":"llmd","version":"1.2.3"})");
}

TEST(OtlpTest, EndpointsAreReadAsUsersWriteThem) {
  const auto text = [](std::string_view url) {
    const auto target = parse_otlp_endpoint(url);
    return target ? fmt::format("{} {}{}", target->tls ? "https" : "http", target->address.to_string(),
                                target->path)
                  : target.error().text();
  };
  EXPECT_EQ(text("http://collector:4318"), "http collector:4318/v1/traces");
  EXPECT_EQ(text("http://collector:4318/"), "http collector:4318/v1/traces");
  EXPECT_EQ(text("http://collector:4318/v1/traces"), "http collector:4318/v1/traces");
  EXPECT_EQ(text("https://host/otel"), "https host:4318/otel/v1/traces");
  EXPECT_EQ(text("collector:4317"), "http collector:4318/v1/traces");
  EXPECT_EQ(text("http://[::1]:9"), "http [::1]:9/v1/traces");
  EXPECT_FALSE(parse_otlp_endpoint("grpc://collector:4317"));
  EXPECT_FALSE(parse_otlp_endpoint("http://"));
  EXPECT_FALSE(parse_otlp_endpoint("http://host:port"));
}

// A collector on a free port that answers as told.
class Export : public testing::Test {
 protected:
  Export() {
    address_ = server_.listen({"127.0.0.1", 0}).value();
    scope_.spawn("collector", server_.run());
  }
  ~Export() override { loop_.block_on(scope_.close()); }

  Task<void> collect(http::Exchange& exchange) {
    const auto body = co_await http::read_all(exchange.body(), 1 << 20);
    const int status = statuses_.empty() ? 200 : statuses_.front();
    if (!statuses_.empty()) {
      statuses_.erase(statuses_.begin());
    }
    if (body) {
      targets_.push_back(exchange.request().target);
      bodies_.push_back(*body);
    }
    co_await exchange.respond(status, "application/json", "{}");
  }
  OtlpExporter::Options options() {
    return {.target = {.address = address_},
            .resource = {.service = "test"},
            .batch_spans = 3,
            .interval = milliseconds(20),
            .timeout = seconds(5),
            .first_pause = milliseconds(1)};
  }
  void wait_until(const std::function<bool()>& condition) {
    auto waiting = [&]() -> Task<bool> {
      for (const auto deadline = async::Deadline::after(seconds(10)); !condition();) {
        if (deadline.expired()) {
          co_return false;
        }
        co_await async::sleep(milliseconds(1));
      }
      co_return true;
    };
    EXPECT_TRUE(loop_.block_on(waiting())) << "not within ten seconds";
  }
  std::size_t spans_in(std::size_t body) {
    const auto value = json::parse(bodies_.at(body)).value();
    return value.at("resourceSpans").at(0).at("scopeSpans").at(0).at("spans").as_array().size();
  }

  async::EventLoop loop_;
  std::vector<int> statuses_;
  std::vector<std::string> targets_;
  std::vector<std::string> bodies_;
  http::Server server_{loop_, {}, [this](http::Exchange& exchange) { return collect(exchange); }};
  net::Address address_;
  async::Scope scope_{loop_};
};

TEST_F(Export, SpansArriveInBatches) {
  OtlpExporter exporter(loop_, options());
  scope_.spawn("export", exporter.run());
  const Tracer tracer({.ratio = 1}, exporter);
  std::thread other([&] {
    for (int i = 0; i < 7; ++i) {
      tracer.start("from another thread");
    }
  });
  other.join();
  wait_until([&] { return exporter.stats().exported == 7; });
  ASSERT_EQ(bodies_.size(), 3U);
  EXPECT_EQ(targets_[0], "/v1/traces");
  EXPECT_EQ(spans_in(0) + spans_in(1) + spans_in(2), 7U);
  EXPECT_EQ(exporter.stats().failures, 0U);
}

TEST_F(Export, ABusyCollectorIsAskedAgain) {
  statuses_ = {503, 429};
  OtlpExporter exporter(loop_, options());
  scope_.spawn("export", exporter.run());
  Tracer({.ratio = 1}, exporter).start("one");
  wait_until([&] { return exporter.stats().exported == 1; });
  EXPECT_EQ(bodies_.size(), 3U);
  EXPECT_EQ(exporter.stats().failures, 2U);
  EXPECT_EQ(exporter.stats().refused, 0U);
}

TEST_F(Export, ARefusedBatchIsLostAndTheNextOneIsNot) {
  statuses_ = {400};
  OtlpExporter exporter(loop_, options());
  scope_.spawn("export", exporter.run());
  const Tracer tracer({.ratio = 1}, exporter);
  tracer.start("bad");
  wait_until([&] { return exporter.stats().refused == 1; });
  tracer.start("good");
  wait_until([&] { return exporter.stats().exported == 1; });
}

TEST_F(Export, ACollectorThatIsAwayCostsSpansAndNothingElse) {
  auto away = options();
  away.target.address.port = 1;
  away.max_queued = 4;
  OtlpExporter exporter(loop_, away);
  const Tracer tracer({.ratio = 1}, exporter);
  for (int i = 0; i < 10; ++i) {
    tracer.start("lost");
  }
  EXPECT_EQ(exporter.stats().dropped, 6U);
  EXPECT_EQ(exporter.stats().queued, 4U);
  const auto flushed = loop_.block_on(exporter.flush(async::Deadline::after(seconds(5))));
  EXPECT_FALSE(flushed);
  EXPECT_EQ(exporter.stats().refused, 3U);
}

TEST_F(Export, WhatIsQueuedAtTheEndIsFlushed) {
  OtlpExporter exporter(loop_, options());
  const Tracer tracer({.ratio = 1}, exporter);
  for (int i = 0; i < 5; ++i) {
    tracer.start("last words");
  }
  EXPECT_TRUE(loop_.block_on(exporter.flush(async::Deadline::after(seconds(5)))));
  EXPECT_EQ(exporter.stats().exported, 5U);
  EXPECT_EQ(exporter.stats().queued, 0U);
}

Result<TraceSettings> settings_of(const std::map<std::string, std::string, std::less<>>& environment) {
  const auto variable = [&](std::string_view name) -> std::optional<std::string> {
    const auto found = environment.find(name);
    return found == environment.end() ? std::nullopt : std::optional(found->second);
  };
  return trace_settings(variable, "llmd");
}

TEST(TraceSettingsTest, AreThoseOfTheEnvironment) {
  const auto none = settings_of({});
  ASSERT_TRUE(none);
  EXPECT_EQ(none->exporter, TraceSettings::Exporter::None);
  EXPECT_EQ(none->ratio, 0.1);
  const auto all = settings_of({{"OTEL_TRACES_EXPORTER", "otlp"},
                                {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel-collector:4317"},
                                {"OTEL_TRACES_SAMPLER", "parentbased_traceidratio"},
                                {"OTEL_TRACES_SAMPLER_ARG", "0.05"},
                                {"OTEL_SERVICE_NAME", "inference-scheduler"},
                                {"OTEL_RESOURCE_ATTRIBUTES", "k8s.pod.name=a%20b, service.name=other,"}});
  ASSERT_TRUE(all) << all.error().text();
  EXPECT_EQ(all->exporter, TraceSettings::Exporter::Otlp);
  EXPECT_EQ(all->target.address.to_string(), "otel-collector:4318");
  EXPECT_EQ(all->ratio, 0.05);
  EXPECT_EQ(all->resource.service, "inference-scheduler");
  EXPECT_EQ(all->resource.attributes,
            (std::vector<std::pair<std::string, std::string>>{{"k8s.pod.name", "a b"}}));
}

TEST(TraceSettingsTest, MistakesNameTheVariable) {
  for (const auto& [name, value] :
       std::map<std::string, std::string>{{"OTEL_TRACES_EXPORTER", "jaeger"},
                                          {"OTEL_TRACES_SAMPLER", "sometimes"},
                                          {"OTEL_TRACES_SAMPLER_ARG", "1.5"},
                                          {"OTEL_RESOURCE_ATTRIBUTES", "nothing"}}) {
    const auto settings = settings_of({{name, value}});
    ASSERT_FALSE(settings) << name;
    EXPECT_NE(settings.error().message.find(name), std::string::npos);
  }
}

}  // namespace
}  // namespace llmd::trace
