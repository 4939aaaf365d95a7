// Exporters that are asked by https: who is believed, and what is shown to them.
#include <gmock/gmock.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "crypto/certificate.h"
#include "net/tls_options.h"
#include "picker/datalayer/scrape_scene.h"

namespace llmd::picker {
namespace {

constexpr std::string_view kSources =
    "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}]}]";

class SourceTls : public testing::Test {
 protected:
  void SetUp() override {
    folder = std::filesystem::path(testing::TempDir()) /
             ("source-tls-" + std::to_string(::getpid()) +
              std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::create_directories(folder);
    for (const char* name : {"a", "b"}) {
      authorities[name] = crypto::make_self_signed_certificate({.common_name = name}, now).value();
      EXPECT_TRUE(write_file_atomically(file(name, "ca"), authorities[name].certificate_pem));
      const auto client = signed_by(name);
      EXPECT_TRUE(write_file_atomically(file(name, "client"), client.certificate_pem));
      EXPECT_TRUE(write_file_atomically(file(name, "key"), client.key_pem));
    }
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  crypto::Certificate signed_by(const std::string& authority) {
    return crypto::make_signed_certificate({.common_name = "x"}, authorities[authority], now).value();
  }
  std::string file(const std::string& authority, const std::string& what) const {
    return (folder / (authority + "." + what)).string();
  }
  // An exporter with a certificate of `authority`; clients need one of `clients`, where that is not empty.
  net::Address serve(const std::string& authority, const std::string& clients = {},
                     std::string page = "vllm:num_requests_waiting 3\nDCGM_FI_DEV_GPU_UTIL 50\n") {
    const auto certificate = signed_by(authority);
    net::TlsServerPolicy policy;
    policy.client_ca_pem = clients.empty() ? "" : authorities[clients].certificate_pem;
    return scene.serve(
        [page](const auto&) { return page; },
        net::tls_server_from_pem(certificate.certificate_pem, certificate.key_pem, policy).value());
  }
  void configure(std::string parameters, net::Address exporter) {
    scene.configure(scraping("- {type: metrics-data-source, parameters: {" + parameters +
                                 "}}\n- type: core-metrics-extractor\n",
                             kSources),
                    {{.address = exporter, .name = "e"}});
  }
  std::string refusal(std::string parameters) {
    configure(std::move(parameters), {"127.0.0.1", 1});
    const auto usable = check_sources(scene.picker->plan());
    return usable ? "" : usable.error().text();
  }

  const WallTime now = system_clock().wall_now();
  std::filesystem::path folder;
  std::map<std::string, crypto::Certificate> authorities;
  ScrapeScene scene;
};

TEST_F(SourceTls, ExportersAreVerifiedWhereTheConfigurationSaysSo) {
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

TEST_F(SourceTls, AnExporterMayAskWhoIsAsking) {
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
TEST_F(SourceTls, SourcesDoNotShareCertificates) {
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

TEST_F(SourceTls, CertificatesThatCannotBeReadAreRefusedAtTheStart) {
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
