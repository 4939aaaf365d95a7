// What `llmd picker` is made of, as its arguments say. Private to cli.
#pragma once

#include <memory>
#include <string>

#include "cli/picker_options.h"
#include "extproc/program.h"
#include "extproc/served_pools.h"
#include "kube/client.h"
#include "trace/tracing.h"

namespace llmd::cli {

struct ConfigText {
  std::string text;
  std::string name;
};

Result<ConfigText> config_of(const PickerArguments& arguments);

Result<extproc::ServedPoolsOptions> pools_of(const PickerArguments& arguments, metrics::Registry& registry);

struct EndpointSource {
  std::string file;  // empty: Kubernetes
  bool watched = false;
  std::string text = {};          // of the file, as it was at the start
  std::string objects_text = {};  // of --objects-file
};

// A file named on the command line, or by the configuration's discovery plugin.
Result<EndpointSource> source_of(const PickerArguments& arguments, const ConfigText& config);

// Pools, rules and endpoints as files say, or the names of pools that Kubernetes knows more about.
Result<void> fill_pools(const PickerArguments& arguments, EndpointSource& source,
                        extproc::ServedPools& pools);
// Without a pool the name is that of the picker's own Deployment: its pod's without the two random parts.
std::string name_of_pool(const PickerArguments& arguments);

Result<kube::ClientConfig> kubernetes_of(const PickerArguments& arguments);
// Whether the arguments say enough to run with Kubernetes.
Result<void> check_kubernetes(const PickerArguments& arguments);

struct Certificates {
  std::shared_ptr<net::TlsServer> grpc;     // null: plaintext
  std::shared_ptr<net::TlsServer> metrics;  // null: plaintext
};
Result<Certificates> certificates_of(const PickerArguments& arguments);

// As OpenTelemetry's environment variables say, unless --tracing=false.
Result<std::unique_ptr<trace::Tracing>> tracing_of(const PickerArguments& arguments, async::EventLoop& loop);

// `client`: null without Kubernetes. `tracer`: null where no spans are wanted.
extproc::ProgramOptions program_options(const PickerArguments& arguments, kube::Client* client,
                                        const Certificates& certificates, const trace::Tracer* tracer);

}  // namespace llmd::cli
