// Exporters that are asked by https: who is believed, and what is shown to them.
#include <gmock/gmock.h>

#include <cmath>

#include "picker/datalayer/tls_scene.h"

namespace llmd::picker {
namespace {

using SourceTlsTest = TlsScene;

TEST_F(SourceTlsTest, ExportersAreVerifiedWhereTheConfigurationSaysSo) {
  struct Row {
    std::string parameters;
    bool believed;
  };
  const Row rows[] = {
      {"scheme: https", true},  // as upstream: without a word nobody is verified
      {"scheme: https, caCertPath: " + file("b", "ca"), true},
      {"scheme: https, insecureSkipVerify: false", false},
      {"scheme: https, insecureSkipVerify: false, caCertPath: " + file("a", "ca"), true},
      {"scheme: https, insecureSkipVerify: false, caCertPath: " + file("b", "ca"), false},
      {"scheme: http", false},
  };
  const auto exporter = serve("a");
  for (const Row& row : rows) {
    configure(row.parameters, exporter);
    EXPECT_TRUE(row.believed ? scene.until_known() : scene.until_failed()) << row.parameters;
    EXPECT_EQ(scene.endpoint().numbers().waiting, row.believed ? 3 : 0) << row.parameters;
  }
}

TEST_F(SourceTlsTest, AnExporterMayAskWhoIsAsking) {
  const auto exporter = serve("a", "b");
  const auto shown = [&](const std::string& authority) {
    return "scheme: https, clientCertPath: " + file(authority, "client") +
           ", clientKeyPath: " + file(authority, "key");
  };
  configure(shown("b"), exporter);
  EXPECT_TRUE(scene.until_known());
  for (const std::string& parameters : {std::string("scheme: https"), shown("a")}) {
    configure(parameters, exporter);
    EXPECT_TRUE(scene.until_failed()) << parameters;
    EXPECT_EQ(scene.endpoint().numbers().waiting, 0) << parameters;
  }
}

// Two sources, each with the certificates for its own exporter.
TEST_F(SourceTlsTest, SourcesDoNotShareCertificates) {
  const auto engine = serve("a", "a");
  const auto gpus = serve("b", "b");
  const auto source = [&](std::string type, const std::string& authority, int port) {
    return fmt::format(
        "- {{type: {}, parameters: {{scheme: https, insecureSkipVerify: false, port: {}, caCertPath: {}, "
        "clientCertPath: {}, clientKeyPath: {}}}}}\n",
        type, port, file(authority, "ca"), file(authority, "client"), file(authority, "key"));
  };
  const auto ask = [&](const std::string& engine_source, const std::string& gpu_source) {
    scene.configure(
        scraping(source("metrics-data-source", engine_source, engine.port) +
                     source("dcgm-data-source", gpu_source, gpus.port) +
                     "- type: core-metrics-extractor\n- type: dcgm-extractor\n",
                 "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}]}, "
                 "{pluginRef: dcgm-data-source, extractors: [{pluginRef: dcgm-extractor}]}]"),
        {{.address = engine, .name = "e"}});
  };
  ask("a", "b");
  EXPECT_TRUE(scene.until([&](const auto&) {
    return scene.endpoint().numbers().waiting == 3 && scene.attribute("GPUUtilization") == 0.5F;
  }));
  ask("b", "a");
  EXPECT_TRUE(scene.until_failed(6));
  EXPECT_EQ(scene.endpoint().numbers().waiting, 0);
  EXPECT_TRUE(std::isnan(scene.attribute("GPUUtilization")));
  ask("a", "a");
  EXPECT_TRUE(scene.until_known()) << "one that fails does not keep the other from working";
  EXPECT_EQ(scene.endpoint().numbers().waiting, 3);
  EXPECT_TRUE(std::isnan(scene.attribute("GPUUtilization")));
}

TEST_F(SourceTlsTest, CertificatesThatCannotBeReadAreRefusedAtTheStart) {
  using testing::HasSubstr;
  const std::string broken = (folder / "broken").string();
  ASSERT_TRUE(write_file_atomically(broken, "no certificate\n"));
  EXPECT_EQ(refusal("scheme: https, insecureSkipVerify: false, caCertPath: " + file("a", "ca")), "");
  EXPECT_EQ(refusal("scheme: http, caCertPath: /nowhere"), "") << "nothing is encrypted";
  EXPECT_EQ(refusal("scheme: https, caCertPath: /nowhere"), "") << "nothing is verified";
  EXPECT_THAT(refusal("scheme: https, insecureSkipVerify: false, caCertPath: /nowhere"),
              testing::AllOf(HasSubstr("data source 'metrics-data-source'"), HasSubstr("/nowhere")));
  EXPECT_NE(refusal("scheme: https, insecureSkipVerify: false, caCertPath: " + broken), "");
  EXPECT_NE(refusal("scheme: https, clientCertPath: " + broken + ", clientKeyPath: " + broken), "");
  EXPECT_NE(refusal("scheme: https, clientCertPath: " + file("a", "client") +
                    ", clientKeyPath: " + file("b", "key")),
            "")
      << "a key of another certificate";
}

}  // namespace
}  // namespace llmd::picker
