#include "node/node.h"

#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <boost/json.hpp>

#include <csignal>
#include <map>
#include <thread>

#include "async/scope.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "kube/informer.h"
#include "node/address_pool.h"
#include "node/pod.h"
#include "node/survivors.h"
#include "process/process.h"

namespace llmd::node {
namespace {

constexpr std::string_view kHostAddress = "127.0.0.1";

std::optional<std::filesystem::path> find_on_path(std::string_view program) {
  const char* path = ::getenv("PATH");
  for (const auto folder : split(path == nullptr ? "" : path, ':')) {
    const auto candidate = std::filesystem::path(folder) / program;
    if (!folder.empty() && ::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  return std::nullopt;
}

// What `kubectl get nodes -o wide` shows.
kube::Object node_object(const std::string& name) {
  struct utsname system{};
  ::uname(&system);
  const std::string_view machine(system.machine);
  const std::string_view architecture = machine == "x86_64"    ? "amd64"
                                        : machine == "aarch64" ? "arm64"
                                                               : machine;
  struct sysinfo memory{};
  ::sysinfo(&memory);
  const kube::Object capacity{{"cpu", std::to_string(std::thread::hardware_concurrency())},
                              {"memory", fmt::format("{}Ki", memory.totalram * memory.mem_unit / 1024)},
                              {"pods", "1000"}};
  return {{"apiVersion", "v1"},
          {"kind", "Node"},
          {"metadata", kube::Object{{"name", name},
                                    {"labels", kube::Object{{"kubernetes.io/hostname", name},
                                                            {"kubernetes.io/os", "linux"},
                                                            {"kubernetes.io/arch", architecture}}}}},
          {"status",
           kube::Object{{"capacity", capacity},
                        {"allocatable", capacity},
                        {"addresses",
                         boost::json::array{kube::Object{{"type", "InternalIP"}, {"address", kHostAddress}},
                                            kube::Object{{"type", "Hostname"}, {"address", name}}}},
                        {"nodeInfo", kube::Object{{"kernelVersion", system.release},
                                                  {"osImage", "this machine"},
                                                  {"containerRuntimeVersion", "processes"},
                                                  {"kubeletVersion", "llmd"},
                                                  {"operatingSystem", "linux"},
                                                  {"architecture", architecture}}}}}};
}

}  // namespace

struct Node::State {
  State(async::EventLoop& event_loop, kube::Client& api, NodeOptions node_options)
      : loop(event_loop),
        client(api),
        options(std::move(node_options)),
        probes(loop, {.max_idle_per_address = 2}),
        addresses(options.data),
        context{.loop = loop,
                .client = client,
                .probes = probes,
                .data = options.data,
                .llmd = options.llmd,
                .model_cache = options.model_cache,
                .node_name = options.name,
                .host_address = std::string(kHostAddress),
                .inherited = process::current_environment(),
                .find_program = find_on_path},
        tasks(loop),
        informer(loop, client, kube::kPods, {}, {.field_selector = "spec.nodeName=" + options.name}) {}

  void observe(const kube::Object* before, const kube::Object* after);
  void start_pod(const kube::Object& object);
  Task<void> run_pod(std::shared_ptr<Pod> pod);
  Task<void> end_pod(kube::Object object, bool object_exists);
  Task<void> remove_object(std::string uid, kube::ObjectKey key);
  Task<Result<void>> register_node();
  std::vector<PodFolder> folders() const;  // of all pods, known or not
  void claim_remembered_addresses();
  void end_forgotten_pods();
  Task<void> end_forgotten_pod(std::string uid);
  void remove_folder(const PodFolder& folder);

  async::EventLoop& loop;
  kube::Client& client;
  NodeOptions options;
  http::ClientPool probes;
  AddressPool addresses;
  PodContext context;
  async::Scope tasks;  // outlives run(): pods are stopped by shutdown(), not by cancellation
  kube::Informer informer;
  std::map<std::string, std::shared_ptr<Pod>> pods;  // by uid; tasks hold the pod they work on
  std::set<std::string> ending;                      // uids of pods being ended
};

void Node::State::observe(const kube::Object* before, const kube::Object* after) {
  const kube::Object& object = after != nullptr ? *after : *before;
  const std::string uid(kube::uid_of(object));
  const auto known = pods.find(uid);
  const bool is_leaving = after == nullptr || kube::is_being_deleted(object);
  if (known != pods.end() && after != nullptr) {
    known->second->observe(object);
  } else if (known == pods.end() && !is_leaving && !ending.contains(uid)) {
    const auto phase = kube::find_string(object, "status.phase");
    if (phase != "Succeeded" && phase != "Failed") {
      start_pod(object);
    }
  }
  if (is_leaving && ending.insert(uid).second) {
    tasks.spawn("end pod", end_pod(object, after != nullptr));
  }
}

void Node::State::start_pod(const kube::Object& object) {
  const std::string uid(kube::uid_of(object));
  const PodFolder folder(options.data, uid);
  std::string address;
  if (const auto remembered = read_file(folder.address(), 100)) {
    address = *remembered;
  } else {
    auto free = addresses.take();
    if (!free) {
      log::error("pod not started",
                 {{"pod", kube::key_of(object).to_string()}, {"error", free.error().message}});
      return;
    }
    address = *free;
    std::error_code ignored;
    std::filesystem::create_directories(folder.root(), ignored);
    if (const auto written = write_file_atomically(folder.address(), address, 0600); !written) {
      log::error("pod folder not writable", {{"error", written.error().message}});
    }
  }
  auto& pod = pods[uid] = std::make_shared<Pod>(context, object, std::move(address));
  tasks.spawn("pod", run_pod(pod));
}

Task<void> Node::State::run_pod(std::shared_ptr<Pod> pod) {
  co_await pod->run();
}

Task<void> Node::State::end_pod(kube::Object object, bool object_exists) {
  const std::string uid(kube::uid_of(object));
  const auto deadline = async::Deadline::after(grace_period_of(object));
  if (const auto found = pods.find(uid); found != pods.end()) {
    const auto pod = found->second;
    co_await pod->stop(deadline, object_exists);
    pods.erase(uid);
  } else {  // deleted while no node was running, or never started again after it had ended
    co_await end_survivors(loop, PodFolder(options.data, uid), deadline);
  }
  remove_folder(PodFolder(options.data, uid));
  if (object_exists) {
    co_await remove_object(uid, kube::key_of(object));
  }
  ending.erase(uid);
}

// The kubelet's last word: until then the API server keeps a deleted pod.
Task<void> Node::State::remove_object(std::string uid, kube::ObjectKey key) {
  for (;;) {
    const auto removed = co_await client.remove(kube::kPods, key, kube::Propagation::Background, uid, 0);
    if (removed || removed.error().kind == ErrorKind::NotFound ||
        removed.error().kind == ErrorKind::Conflict) {  // another pod has its name now
      co_return;
    }
    log::warning("pod object not removed", {{"pod", key.to_string()}, {"error", removed.error().text()}});
    co_await async::sleep(std::chrono::seconds(1));
  }
}

void Node::State::remove_folder(const PodFolder& folder) {
  if (const auto address = read_file(folder.address(), 100)) {
    addresses.give_back(*address);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder.root(), ignored);
}

Task<Result<void>> Node::State::register_node() {
  kube::Object object = node_object(options.name);
  const std::string now = to_rfc3339(std::chrono::system_clock::now());
  auto existing = co_await client.get(kube::kNodes, {{}, options.name});
  if (existing) {
    if (const auto* conditions = kube::find_array(*existing, "status.conditions")) {
      kube::at(object, "status.conditions") = *conditions;
    }
  } else {
    kube::Object bare = object;
    LLMD_CO_TRY(existing, co_await client.create(kube::kNodes, std::move(bare)));
  }
  kube::set_condition(object, "Ready", "True", "NodeReady", "pods run as processes of this machine", now);
  kube::Object patch{{"status", object["status"]}};
  LLMD_CO_TRY(existing,
              co_await client.merge_patch(kube::kNodes, {{}, options.name}, std::move(patch), "status"));
  co_return Result<void>();
}

std::vector<PodFolder> Node::State::folders() const {
  std::vector<PodFolder> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(options.data / "pods", error)) {
    found.emplace_back(options.data, entry.path().filename().string());
  }
  return found;
}

// Before any new pod takes one: pods of an earlier node keep their addresses.
void Node::State::claim_remembered_addresses() {
  for (const PodFolder& folder : folders()) {
    if (const auto address = read_file(folder.address(), 100)) {
      addresses.claim(*address);
    }
  }
}

// Folders of pods that were force-deleted while no node was running: their processes have no object any more.
void Node::State::end_forgotten_pods() {
  std::set<std::string, std::less<>> existing;
  for (const auto& [key, object] : informer.objects()) {
    existing.emplace(kube::uid_of(object));
  }
  for (const PodFolder& folder : folders()) {
    std::string uid = folder.root().filename().string();
    if (!existing.contains(uid) && !ending.contains(uid)) {
      tasks.spawn("end forgotten pod", end_forgotten_pod(std::move(uid)));
    }
  }
}

Task<void> Node::State::end_forgotten_pod(std::string uid) {
  const PodFolder folder(options.data, uid);
  co_await end_survivors(loop, folder, async::Deadline::after(options.shutdown_grace));
  remove_folder(folder);
}

Node::Node(async::EventLoop& loop, kube::Client& client, NodeOptions options)
    : state_(std::make_unique<State>(loop, client, std::move(options))) {
  State& state = *state_;
  state.informer.on_change(
      [&state](const kube::Object* before, const kube::Object* after) { state.observe(before, after); });
}

Node::~Node() = default;

Task<void> Node::run() {
  State& state = *state_;
  state.claim_remembered_addresses();
  for (;;) {
    const auto registered = co_await state.register_node();
    if (registered) {
      break;
    }
    log::warning("node not registered", {{"error", registered.error().text()}});
    co_await async::sleep(std::chrono::seconds(1));
  }
  co_await async::with_scope(state.loop.executor(), [&state](async::Scope& scope) -> Task<void> {
    scope.spawn("watch pods", state.informer.run());
    co_await state.informer.synced();
    state.end_forgotten_pods();
    co_await scope.join();
  });
}

Task<void> Node::shutdown() {
  State& state = *state_;
  const auto deadline = async::Deadline::after(state.options.shutdown_grace);
  co_await async::with_scope(state.loop.executor(), [&state, deadline](async::Scope& scope) -> Task<void> {
    const auto pods = state.pods;  // a pod that is just being deleted leaves the map meanwhile
    for (const auto& [uid, pod] : pods) {
      scope.spawn("stop pod", pod->stop(deadline, false));
    }
    for (const PodFolder& folder : state.folders()) {  // and what no pod of ours holds
      if (!pods.contains(folder.root().filename().string())) {
        scope.spawn("end survivors", end_survivors(state.loop, folder, deadline));
      }
    }
    co_await scope.join();
  });
  co_await state.tasks.close();
}

Task<void> Node::release() {
  co_await state_->tasks.close();
}

}  // namespace llmd::node
