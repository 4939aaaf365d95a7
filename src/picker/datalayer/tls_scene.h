// Exporters that speak TLS, and files with certificates of two authorities, "a" and "b". Test code only.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <string>

#include "base/file.h"
#include "crypto/certificate.h"
#include "net/tls_options.h"
#include "picker/datalayer/scrape_scene.h"

namespace llmd::picker {

inline constexpr std::string_view kTlsSources =
    "[{pluginRef: metrics-data-source, extractors: [{pluginRef: core-metrics-extractor}]}]";

class TlsScene : public testing::Test {
 protected:
  void SetUp() override {
    folder = std::filesystem::path(testing::TempDir()) /
             ("tls-scene-" + std::to_string(::getpid()) +
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
                             kTlsSources),
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

}  // namespace llmd::picker
