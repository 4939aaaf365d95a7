// `llmd picker`: the endpoint picker as a program of its own, with endpoints from a file or from Kubernetes.

#include "base/file.h"
#include "base/log.h"
#include "cli/freed_memory.h"
#include "cli/picker_running.h"
#include "picker/plan.h"
#include "picker/replay.h"

namespace llmd::cli {
namespace {

// `--replay FILE`: what the configuration would have done with remembered requests.
Result<int> replay_decisions(const PickerArguments& arguments) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 30;
  LLMD_TRY(const std::string recorded, read_file(arguments.replay_file, kMostBytes));
  LLMD_TRY(const ConfigText config, config_of(arguments));
  auto report = picker::replay(recorded, config.text, config.name);
  if (!report) {
    Error error = std::move(report).error().within(arguments.replay_file);
    return std::unexpected(
        error.advice.empty()
            ? std::move(error).hint("--replay takes what a picker's /debug/explanations answers")
            : std::move(error));
  }
  fmt::print("{}", arguments.output == "json" ? json::write_pretty(report->to_json()) : report->to_text());
  return 0;
}

Error with_port_flags(Error error) {
  return error.kind == ErrorKind::Unavailable ? std::move(error).hint(
                                                    "another program uses this port; --grpc-port, "
                                                    "--grpc-health-port and --metrics-port choose others")
                                              : std::move(error);
}

}  // namespace

Result<int> run_picker(Arguments words) {
  LLMD_TRY(const auto parsed, parse_picker_arguments(words));
  if (!parsed) {
    return 0;
  }
  const PickerArguments& arguments = *parsed;
  if (!arguments.replay_file.empty()) {
    return replay_decisions(arguments);
  }
  log::configure(arguments.verbosity >= 4  ? log::Level::Debug
                 : arguments.verbosity < 0 ? log::Level::Error
                                           : log::Level::Info);
  keep_freed_memory(64 << 20);
  metrics::Registry registry;
  LLMD_TRY(auto options, pools_of(arguments, registry));
  LLMD_TRY(EndpointSource source, source_of(arguments, {options.config_text, options.config_name}));
  async::EventLoop loop;
  LLMD_TRY(const auto tracing, tracing_of(arguments, loop));
  options.picker.tracer = tracing->tracer();
  std::unique_ptr<kube::Client> client;
  if (source.file.empty()) {
    LLMD_TRY_VOID(check_kubernetes(arguments));
    LLMD_TRY(auto config, kubernetes_of(arguments));
    LLMD_TRY(client, kube::Client::create(loop, std::move(config)));
  }
  extproc::ServedPools pools(loop, std::move(options));
  LLMD_TRY_VOID(fill_pools(arguments, source, pools));
  LLMD_TRY(const auto certificates, certificates_of(arguments));
  extproc::Program program(loop, pools.pools(), registry,
                           program_options(arguments, client.get(), certificates, tracing->tracer()));
  RunningPicker running{.arguments = arguments,
                        .loop = loop,
                        .pools = pools,
                        .program = program,
                        .tracing = *tracing,
                        .certificates = certificates,
                        .source = source,
                        .client = client.get()};
  if (!source.file.empty()) {
    program.set_synced(true);
    program.set_leading(true);
  }
  auto addresses = program.listen();
  if (!addresses) {
    return std::unexpected(with_port_flags(std::move(addresses).error()));
  }
  fmt::print("picker grpc={} health={} metrics={}://{}\n", addresses->grpc.to_string(),
             addresses->health.to_string(), certificates.metrics ? "https" : "http",
             addresses->metrics.to_string());
  std::fflush(stdout);
  loop.block_on(running.run());
  return 0;
}

}  // namespace llmd::cli
