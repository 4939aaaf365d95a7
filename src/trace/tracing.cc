#include "trace/tracing.h"

#include <cstdlib>

#include "base/log.h"
#include "net/tls.h"

namespace llmd::trace {

std::optional<std::string> process_environment(std::string_view name) {
  const char* const value = std::getenv(std::string(name).c_str());
  return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

Result<std::unique_ptr<Tracing>> Tracing::create(async::EventLoop& loop, TraceSettings settings) {
  std::unique_ptr<Tracing> tracing(new Tracing());
  if (settings.exporter == TraceSettings::Exporter::None) {
    return tracing;
  }
  if (settings.exporter == TraceSettings::Exporter::Console) {
    tracing->sink_ = std::make_unique<ConsoleSink>();
  } else {
    log::info("spans are exported", {{"collector", settings.target.address.to_string()},
                                     {"service", settings.resource.service},
                                     {"ratio", settings.ratio}});
    OtlpExporter::Options options{.target = settings.target, .resource = std::move(settings.resource)};
    if (settings.target.tls) {
      LLMD_TRY(options.client.tls, net::TlsClient::system_trust());
    }
    auto exporter = std::make_unique<OtlpExporter>(loop, std::move(options));
    tracing->exporter_ = exporter.get();
    tracing->sink_ = std::move(exporter);
  }
  tracing->tracer_.emplace(Tracer::Options{.ratio = settings.ratio}, *tracing->sink_);
  return tracing;
}

Tracing::~Tracing() = default;

Task<void> Tracing::run() {
  if (exporter_ != nullptr) {
    co_await exporter_->run();
  }
}

Task<void> Tracing::finish(async::Deadline deadline) {
  if (exporter_ == nullptr) {
    co_return;
  }
  if (const auto sent = co_await exporter_->flush(deadline); !sent) {
    log::warning("the last spans are lost", {{"error", sent.error().text()}});
  }
}

}  // namespace llmd::trace
