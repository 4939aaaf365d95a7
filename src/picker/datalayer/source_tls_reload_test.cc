// Certificates of data sources that change while exporters are asked.
#include <gmock/gmock.h>

#include "json/path.h"
#include "metrics/registry.h"
#include "picker/datalayer/source_tls.h"
#include "picker/datalayer/tls_scene.h"
#include "picker/metrics/page.h"

namespace llmd::picker {
namespace {

using testing::HasSubstr;

class SourceTlsReload : public TlsScene {
 protected:
  void SetUp() override {
    TlsScene::SetUp();
    scene.options.certificates_every = std::chrono::milliseconds(2);
    for (const char* what : {"ca", "client", "key"}) {
      install(what, text("a", what));
    }
  }
  // What the source's own files hold from now on.
  void install(const std::string& what, const std::string& content) {
    ASSERT_TRUE(write_file_atomically(file("own", what), content));
  }
  std::string text(const std::string& authority, const std::string& what) const {
    return read_file(file(authority, what)).value();
  }
  PollSource::Options own() const {
    return {.https = true,
            .verify = true,
            .ca_file = file("own", "ca"),
            .certificate_file = file("own", "client"),
            .key_file = file("own", "key")};
  }
  std::string trusting() const {
    return "scheme: https, insecureSkipVerify: false, caCertPath: " + file("own", "ca");
  }
  std::string problem() const {
    const json::Value state = scene.picker->debug_state();
    return std::string(json::string_at(state, "dataSources[0].problem").value_or(""));
  }
};

TEST_F(SourceTlsReload, ANewAuthorityIsBelievedAndNobodyElseWaits) {
  const Endpoint known{.address = serve("a"), .name = "known"};
  const Endpoint later{.address = serve("b"), .name = "later"};
  configure(trusting(), known.address);
  scene.picker->update({known, later});
  bool changed = false;
  TimePoint since;
  EXPECT_TRUE(scene.until([&](const Scraper::Stats& stats) {
    if (!changed && stats.pages >= 3 && stats.failures >= 3) {
      install("ca", text("a", "ca") + text("b", "ca"));
      changed = true;
      since = std::chrono::steady_clock::now();
    }
    const auto told_after = [&](std::size_t at) {
      return scene.endpoint(at).age(since) <= Duration::zero();  // reported later than that
    };
    return changed && told_after(0) && told_after(1);
  }));
  EXPECT_EQ(scene.endpoint(1).numbers().waiting, 3);
}

TEST_F(SourceTlsReload, ARenewedClientCertificateIsShown) {
  const auto exporter = serve("a", "b");
  configure(
      "scheme: https, clientCertPath: " + file("own", "client") + ", clientKeyPath: " + file("own", "key"),
      exporter);
  bool changed = false;
  EXPECT_TRUE(scene.until([&](const Scraper::Stats& stats) {
    if (!changed && stats.failures >= 3) {
      install("client", text("b", "client"));
      install("key", text("b", "key"));
      changed = true;
    }
    return stats.pages >= 3;
  }));
}

TEST_F(SourceTlsReload, ABrokenFileLeavesWhatThereWasAndIsShownUntilItIsMended) {
  configure(trusting(), serve("a"));
  int step = 0;
  std::uint64_t since = 0;
  EXPECT_TRUE(scene.until([&](const Scraper::Stats& stats) {
    if (step == 0 && stats.pages >= 3) {
      install("ca", "no certificate\n");
      ++step;
    } else if (step == 1 && !problem().empty()) {
      EXPECT_THAT(problem(), HasSubstr("data source 'metrics-data-source': caCertPath " + file("own", "ca")));
      since = stats.pages;
      ++step;
    } else if (step == 2 && stats.pages >= since + 10) {
      EXPECT_EQ(stats.failures, 0);
      install("ca", text("a", "ca"));
      ++step;
    }
    return step == 3 && problem().empty();
  })) << step;
}

TEST_F(SourceTlsReload, WhatCannotBeUsedAtTheStartIsUsedWhenItCanBe) {
  std::filesystem::remove(file("own", "ca"));
  configure(trusting(), serve("a"));
  bool mended = false;
  EXPECT_TRUE(scene.until([&](const Scraper::Stats& stats) {
    if (!mended && stats.failures >= 3) {
      EXPECT_THAT(problem(), HasSubstr(file("own", "ca")));
      EXPECT_EQ(source_problems(scene.picker->plan()).size(), 1);
      install("ca", text("a", "ca"));
      mended = true;
    }
    return stats.pages >= 3;
  }));
  EXPECT_EQ(problem(), "");
}

TEST_F(SourceTlsReload, IsToldOnceAndCounted) {
  PollSource source(own());
  source.name = "mine";
  const auto outcome = [&source](std::string_view which) {
    metrics::Registry registry;
    Page page;
    source.write(page);
    registry.on_write([&page](metrics::TextWriter& writer) { page.write(writer); });
    const std::string text = registry.write_text();
    const std::string line = fmt::format(
        "llmd_data_source_certificate_reloads_total{{plugin_name=\"mine\",outcome=\"{}\"}} ", which);
    const auto at = text.find(line);
    return at == std::string::npos ? std::string("none") : text.substr(at + line.size(), 1);
  };
  SourceTls tls(source);
  EXPECT_TRUE(tls.usable());
  const auto first = tls.client();
  EXPECT_FALSE(tls.look_again());
  install("ca", "broken");
  for (int look = 0; look < 5; ++look) {
    EXPECT_FALSE(tls.look_again());
  }
  EXPECT_EQ(tls.client(), first);
  ASSERT_TRUE(source.problem());
  EXPECT_THAT(source.problem()->advice, HasSubstr("PEM"));
  EXPECT_EQ(outcome("refused"), "1");
  EXPECT_EQ(outcome("used"), "0");
  install("ca", text("b", "ca"));
  EXPECT_TRUE(tls.look_again());
  EXPECT_NE(tls.client(), first);
  EXPECT_FALSE(source.problem());
  EXPECT_EQ(outcome("used"), "1");
}

TEST_F(SourceTlsReload, ACertificateWhoseKeyComesAMomentLaterIsNoMistake) {
  PollSource source(own());
  SourceTls tls(source);
  install("client", text("b", "client"));
  EXPECT_FALSE(tls.look_again());
  EXPECT_FALSE(source.problem());
  install("key", text("b", "key"));
  EXPECT_TRUE(tls.look_again());
  EXPECT_FALSE(source.problem());
}

TEST_F(SourceTlsReload, AFileThatIsGoneIsNamedAndTheOldContentStays) {
  PollSource source(own());
  SourceTls tls(source);
  const auto first = tls.client();
  std::filesystem::remove(file("own", "key"));
  EXPECT_FALSE(tls.look_again());
  EXPECT_FALSE(tls.look_again());
  ASSERT_TRUE(source.problem());
  EXPECT_THAT(source.problem()->message, HasSubstr("clientKeyPath: open " + file("own", "key")));
  EXPECT_THAT(source.problem()->advice, HasSubstr("mounted"));
  EXPECT_EQ(tls.client(), first);
}

}  // namespace
}  // namespace llmd::picker
