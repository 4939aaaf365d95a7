#include "llmisvc/group_launch.h"

namespace llmd::llmisvc {
namespace {

void add(std::vector<std::string>& command, std::string_view flag, std::string value) {
  command.emplace_back(flag);
  command.push_back(std::move(value));
}
std::string number(long long value) {
  return fmt::format("{}", value);
}

// LeaderWorkerSet puts these variables in front of all others, so that $(NAME) expands in arguments.
constexpr std::string_view kLeaderAddress = "$(LWS_LEADER_ADDRESS)";
constexpr std::string_view kWorkerIndex = "$(LWS_WORKER_INDEX)";

std::vector<std::string> data_parallel(std::vector<std::string> command, const PodRequest& request) {
  const Parallelism& p = request.workload.parallelism;
  const long long local = p.data_local.value_or(1);
  if (p.expert) {
    command.emplace_back("--enable-expert-parallel");
  }
  add(command, "--data-parallel-size", number(p.data.value_or(1)));
  add(command, "--data-parallel-size-local", number(local));
  add(command, "--data-parallel-address", std::string(kLeaderAddress));
  add(command, "--data-parallel-rpc-port", number(p.data_rpc_port.value_or(5555)));
  if (request.role == PodRole::Leader) {
    add(command, "--data-parallel-start-rank", "0");
    add(command, "--api-server-count", "8");
    return command;
  }
  command.emplace_back("--headless");
  // The first rank of a worker is a product that is only known when the pod starts. This one fixed form
  // computes it; nothing that came from a manifest is inside the shell's text.
  std::vector<std::string> wrapped{
      "sh", "-c", fmt::format(R"(exec "$@" --data-parallel-start-rank $((LWS_WORKER_INDEX*{})))", local),
      "--"};
  wrapped.insert(wrapped.end(), std::make_move_iterator(command.begin()),
                 std::make_move_iterator(command.end()));
  return wrapped;
}

// SGLang spreads the copies' attention over one world of tensor x data accelerators; where a pod stands in it
// is its index in the group.
std::vector<std::string> sglang_group(std::vector<std::string> command, const PodRequest& request) {
  const Parallelism& p = request.workload.parallelism;
  if (p.is_data_parallel()) {
    add(command, "--dp-size", number(p.data.value_or(1)));
    command.emplace_back("--enable-dp-attention");
    if (p.expert) {
      add(command, "--ep-size", number(p.tensor.value_or(1) * p.data.value_or(1)));
    }
  } else {
    add(command, "--pp-size", number(p.pipeline.value_or(1)));
  }
  add(command, "--nnodes", number(request.group_size));
  add(command, "--node-rank", request.role == PodRole::Leader ? "0" : std::string(kWorkerIndex));
  add(command, "--dist-init-addr", std::string(kLeaderAddress) + ":5000");
  return command;
}

std::vector<std::string> pipeline(std::vector<std::string> command, const PodRequest& request) {
  const Parallelism& p = request.workload.parallelism;
  const bool leads = request.role == PodRole::Leader;
  const std::string rank = leads ? "0" : std::string(kWorkerIndex);
  add(command, "--pipeline-parallel-size", number(p.pipeline.value_or(1)));
  add(command, "--nnodes", number(request.group_size));
  add(command, "--node-rank", rank);
  add(command, "--master-addr", std::string(kLeaderAddress));
  if (!leads) {
    command.emplace_back("--headless");
  }
  return command;
}

}  // namespace

std::vector<std::string> group_command(std::vector<std::string> command, Engine engine,
                                       const PodRequest& request) {
  if (engine == Engine::Sglang) {
    return sglang_group(std::move(command), request);
  }
  return request.workload.parallelism.is_data_parallel() ? data_parallel(std::move(command), request)
                                                         : pipeline(std::move(command), request);
}

}  // namespace llmd::llmisvc
