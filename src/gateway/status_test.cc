// How status is written, whatever it says: for which generation, how often, beside whom.
#include "gateway/testing_status.h"

namespace llmd::gateway {
namespace {

using std::chrono::milliseconds;

TEST_F(Statuses, NameTheGenerationTheyWereMadeFor) {
  given(kClass);
  given(kGateway);
  run();
  expect_gateway("front", "Accepted=True Accepted; Programmed=True Programmed");
  std::string changed(kGateway);
  changed.replace(changed.find("port: 80,"), 9, "port: 81,");
  given(changed);
  EXPECT_EQ(settled("2",
                    [&] {
                      const auto& front = object(kube::kGateways, "front");
                      const auto* accepted = objects_in(front, "status.conditions").front();
                      return std::to_string(kube::find_int(*accepted, "observedGeneration", -1));
                    }),
            "2");
}

TEST_F(Statuses, AreWrittenOnceAndKeepWhatOthersWrote) {
  given(kClass);
  given(kGateway);
  given(kService);
  auto written = json::parse_yaml(route("shared", "{parentRefs: [{name: front}], rules: [{}]}"), "test")
                     .value()
                     .front()
                     .value.as_object();
  written["status"] =
      json::parse_yaml(
          "parents: [{controllerName: example.com/other, parentRef: {name: theirs}, conditions: []}]", "test")
          .value()
          .front()
          .value;
  kube_.put(kube::kHttpRoutes, written);
  run();
  EXPECT_EQ(settled("2",
                    [&] {
                      return std::to_string(
                          objects_in(object(kube::kHttpRoutes, "shared"), "status.parents").size());
                    }),
            "2");
  expect_gateway("front", "Accepted=True Accepted; Programmed=True Programmed");
  const int writes = kube_.writes;
  given(kService);  // a change that changes nothing of any status
  loop_.block_on(async::sleep(milliseconds(50)));
  EXPECT_EQ(kube_.writes, writes);
  // The route turns to another Gateway: our entry goes, theirs stays.
  kube_.modify(kube::kHttpRoutes, {"default", "shared"}, [](kube::Object& object) {
    kube::at(object, "spec.parentRefs") = boost::json::array{kube::Object{{"name", "theirs"}}};
  });
  EXPECT_EQ(
      settled("example.com/other",
              [&] {
                std::string names;
                for (const auto* parent : objects_in(object(kube::kHttpRoutes, "shared"), "status.parents")) {
                  names += kube::find_string(*parent, "controllerName");
                }
                return names;
              }),
      "example.com/other");
}

TEST_F(Statuses, OfSeveralGatewaysOneWritesAndAnotherWhenItEnds) {
  given(kClass);
  given(kGateway);
  const auto options = [](std::string_view address) {
    return KubeSourceOptions{
        .alone = false,
        .address = std::string(address),
        .status_lease = kube::LeaseOptions{
            .key = {"default", "llmd-gateway"}, .identity = std::string(address), .retry = milliseconds(10)}};
  };
  const auto address = [&] {
    const auto all = objects_in(object(kube::kGateways, "front"), "status.addresses");
    return all.empty() ? std::string() : std::string(kube::find_string(*all.front(), "value"));
  };
  async::Scope first_scope(loop_);
  KubeSource first(loop_, kube_, gateway_, options("10.0.0.1"));
  first_scope.spawn("first", first.run());
  EXPECT_EQ(settled("10.0.0.1", address), "10.0.0.1");

  Gateway other(loop_, {});
  other.listen({"127.0.0.1", 0}).value();
  KubeSource second(loop_, kube_, other, options("10.0.0.2"));
  bool second_knows = false;
  second.on_update([&](const RouteObjects& all) { second_knows = !all.services.empty(); });
  scope_.spawn("second", second.run());
  const auto version = [&] {
    return std::string(kube::resource_version_of(object(kube::kGateways, "front")));
  };
  const std::string before = version();
  given(kService);  // both look again
  EXPECT_EQ(settled("yes", [&] { return second_knows ? "yes" : "no"; }), "yes");
  loop_.block_on(async::sleep(milliseconds(50)));
  EXPECT_EQ(version(), before);
  EXPECT_EQ(address(), "10.0.0.1");

  loop_.block_on(first_scope.close());
  loop_.block_on(first.step_down());
  EXPECT_EQ(settled("10.0.0.2", address), "10.0.0.2");
  loop_.block_on(scope_.close());
}

}  // namespace
}  // namespace llmd::gateway
