#include "node/pod.h"

#include <boost/json.hpp>

#include <algorithm>

#include "base/log.h"
#include "node/survivors.h"

namespace llmd::node {
namespace {

using namespace std::chrono_literals;

constexpr Duration kReportRetry = 1s;

constexpr std::string_view kLogDirectory = "llmd.dev/log-directory";

RestartPolicy restart_policy_of(const kube::Object& pod) {
  const auto text = kube::find_string(pod, "spec.restartPolicy");
  return text == "Never"       ? RestartPolicy::Never
         : text == "OnFailure" ? RestartPolicy::OnFailure
                               : RestartPolicy::Always;
}

const boost::json::array& specs_of(const kube::Object& pod, std::string_view list) {
  static const boost::json::array kNone;
  const auto* found = kube::find_array(pod, fmt::format("spec.{}", list));
  return found == nullptr ? kNone : *found;
}

// Calls `visit(kind, name)` for every ConfigMap and Secret that the pod's environment or volumes name.
template <typename Visit>
void for_each_source(const kube::Object& pod, Visit visit) {
  for (const std::string_view list : {"initContainers", "containers"}) {
    for (const auto& container : specs_of(pod, list)) {
      const auto* imports = kube::find_array(container.as_object(), "envFrom");
      for (std::size_t i = 0; imports != nullptr && i < imports->size(); ++i) {
        const auto& entry = imports->at(i).as_object();
        visit(kube::kConfigMaps, kube::find_string(entry, "configMapRef.name"));
        visit(kube::kSecrets, kube::find_string(entry, "secretRef.name"));
      }
      const auto* env = kube::find_array(container.as_object(), "env");
      for (std::size_t i = 0; env != nullptr && i < env->size(); ++i) {
        const auto& entry = env->at(i).as_object();
        visit(kube::kConfigMaps, kube::find_string(entry, "valueFrom.configMapKeyRef.name"));
        visit(kube::kSecrets, kube::find_string(entry, "valueFrom.secretKeyRef.name"));
      }
    }
  }
  for (const auto& volume : specs_of(pod, "volumes")) {
    visit(kube::kConfigMaps, kube::find_string(volume.as_object(), "configMap.name"));
    visit(kube::kSecrets, kube::find_string(volume.as_object(), "secret.secretName"));
  }
}

std::vector<std::string> pre_stop_command(const kube::Object& container) {
  std::vector<std::string> command;
  if (const auto* words = kube::find_array(container, "lifecycle.preStop.exec.command")) {
    for (const auto& word : *words) {
      command.emplace_back(word.is_string() ? std::string_view(word.as_string()) : std::string_view());
    }
  }
  return command;
}

}  // namespace

Pod::Pod(PodContext& context, kube::Object object, std::string address)
    : context_(context),
      object_(std::move(object)),
      address_(std::move(address)),
      folder_(context.data, kube::uid_of(object_)),
      policy_(restart_policy_of(object_)),
      changed_(context.loop.executor()),
      stopping_(context.loop.executor()),
      finished_(context.loop.executor()) {}

Pod::~Pod() = default;

Duration grace_period_of(const kube::Object& pod) {
  const auto of_deletion = kube::find_int(pod, "metadata.deletionGracePeriodSeconds", -1);
  const auto of_spec = kube::find_int(pod, "spec.terminationGracePeriodSeconds", 30);
  return std::chrono::seconds(of_deletion >= 0 ? of_deletion : of_spec);
}

Task<Result<void>> Pod::fetch_sources() {
  std::vector<std::pair<kube::Resource, std::string>> wanted;
  for_each_source(object_, [&](const kube::Resource& resource, std::string_view name) {
    if (!name.empty()) {
      wanted.emplace_back(resource, std::string(name));
    }
  });
  for (const auto& [resource, name] : wanted) {
    auto& store = resource == kube::kSecrets ? sources_.secrets : sources_.config_maps;
    if (store.contains(name)) {
      continue;
    }
    kube::ObjectKey key{std::string(kube::namespace_of(object_)), name};
    auto found = co_await context_.client.get(resource, std::move(key));
    if (found) {
      store[name] = std::move(*found);
    } else if (found.error().kind != ErrorKind::NotFound) {  // absent ones are judged where they are used
      co_return std::unexpected(std::move(found).error());
    }
  }
  co_return Result<void>();
}

Result<std::unique_ptr<Container>> Pod::make_container(const kube::Object& spec, bool init) {
  LLMD_TRY(const auto environment, container_environment(object_, spec, sources_, context_.inherited));
  LLMD_TRY(const auto mounts, container_mounts(object_, spec, folder_, context_.data));
  const LaunchFacts launch_facts{.address = address_,
                                 .llmd = context_.llmd,
                                 .model_cache = context_.model_cache,
                                 .find_program = context_.find_program};
  ContainerSetup setup{.name = std::string(kube::find_string(spec, "name")),
                       .image = std::string(kube::find_string(spec, "image")),
                       .address = address_,
                       .restart_policy = policy_};
  LLMD_TRY(setup.launch, plan_launch(spec, environment, mounts, launch_facts));
  if (init) {
    setup.restart_policy = policy_ == RestartPolicy::Never ? RestartPolicy::Never : RestartPolicy::OnFailure;
  } else {
    LLMD_TRY(setup.startup, parse_probe(spec, "startupProbe"));
    LLMD_TRY(setup.readiness, parse_probe(spec, "readinessProbe"));
    LLMD_TRY(setup.liveness, parse_probe(spec, "livenessProbe"));
    setup.pre_stop = pre_stop_command(spec);
  }
  auto remembered =
      remembered_status(object_, init ? "initContainerStatuses" : "containerStatuses", setup.name);
  return std::make_unique<Container>(context_.loop, context_.probes, folder_, context_.llmd, std::move(setup),
                                     std::move(remembered), [this] { changed_.set(); });
}

// Tells the API server, which serves `kubectl logs`, where the logs are.
Task<Result<void>> Pod::announce_logs() {
  const std::string folder = folder_.logs().string();
  if (kube::annotation_of(object_, kLogDirectory) == folder) {
    co_return Result<void>();
  }
  kube::Object patch;
  kube::at(patch, "metadata.annotations").emplace_object()[kLogDirectory] = folder;
  LLMD_CO_TRY(const auto annotated,
              co_await context_.client.merge_patch(kube::kPods, kube::key_of(object_), std::move(patch)));
  kube::at(object_, "metadata.annotations") = *kube::find(annotated, "metadata.annotations");
  co_return Result<void>();
}

Task<Result<void>> Pod::prepare() {
  LLMD_CO_TRY_VOID(co_await announce_logs());
  LLMD_CO_TRY_VOID(co_await fetch_sources());
  for (const auto& path : {folder_.logs(), folder_.run()}) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) {
      co_return system_error(error.value(), "create " + path.string());
    }
  }
  LLMD_CO_TRY_VOID(prepare_volumes(object_, sources_, folder_, context_.data));
  kube::at(object_, "status.podIP") = address_;
  kube::at(object_, "status.hostIP") = context_.host_address;
  init_.clear();
  containers_.clear();
  for (const auto& spec : specs_of(object_, "initContainers")) {
    LLMD_CO_TRY(init_.emplace_back(), make_container(spec.as_object(), true));
  }
  for (const auto& spec : specs_of(object_, "containers")) {
    LLMD_CO_TRY(containers_.emplace_back(), make_container(spec.as_object(), false));
  }
  co_return Result<void>();
}

// A missing Secret may appear, a missing program may be installed: look again, less and less often.
Task<void> Pod::prepare_until_possible() {
  for (Duration pause = 1s; !stopping_.is_set(); pause = std::min<Duration>(pause * 2, 30s)) {
    const auto prepared = co_await prepare();
    if (prepared) {
      obstacle_.clear();
      co_return;
    }
    init_.clear();
    containers_.clear();
    if (std::exchange(obstacle_, prepared.error().text()) != obstacle_) {
      log::warning("pod cannot start", {{"pod", kube::key_of(object_).to_string()}, {"why", obstacle_}});
    }
    changed_.set();
    co_await stopping_.wait_until(async::Deadline::after(pause));
  }
}

bool Pod::a_container_lives() const {
  return std::ranges::any_of(containers_, [this](const auto& container) {
    const auto record = read_run_record(folder_, container->setup().name);
    return record && *record &&
           process::Process::adopt(context_.loop, (*record)->shim, (*record)->shim_start_time).has_value();
  });
}

Task<void> Pod::run_init_containers() {
  for (const auto& container : init_) {
    co_await container->run();
    if (stopping_.is_set() || !container->status().succeeded()) {
      co_return;
    }
  }
}

Task<void> Pod::run_containers() {
  co_await async::with_scope(context_.loop.executor(), [this](async::Scope& scope) -> Task<void> {
    for (const auto& container : containers_) {
      scope.spawn("container", container->run());
    }
    co_await scope.join();
  });
}

Task<void> Pod::run_everything() {
  co_await prepare_until_possible();
  const bool adopted = a_container_lives();
  if (!adopted && policy_ == RestartPolicy::Always) {  // as after a reboot: everything from the beginning
    for (const auto& container : init_) {
      container->forget_last_run();
    }
  }
  if (!stopping_.is_set()) {
    co_await run_init_containers();
  }
  const bool initialized =
      adopted || std::ranges::all_of(init_, [](const auto& each) { return each->status().succeeded(); });
  if (initialized && !stopping_.is_set()) {
    co_await run_containers();
  }
}

Task<void> Pod::run() {
  changed_.set();
  co_await async::with_scope(context_.loop.executor(), [this](async::Scope& scope) -> Task<void> {
    scope.spawn("pod status", report_changes());
    co_await run_everything();
  });
  bool written = co_await report();
  while (!written && !stopping_.is_set()) {  // who stops us may stop the API server too
    co_await stopping_.wait_until(async::Deadline::after(kReportRetry));
    written = co_await report();
  }
  finished_.set();
}

Task<void> Pod::stop(async::Deadline deadline, bool graceful) {
  stopping_.set();
  co_await async::with_scope(context_.loop.executor(),
                             [this, deadline, graceful](async::Scope& scope) -> Task<void> {
                               for (const auto* list : {&init_, &containers_}) {
                                 for (const auto& container : *list) {
                                   scope.spawn("stop container", container->stop(deadline, graceful));
                                 }
                               }
                               co_await scope.join();
                             });
  co_await finished_.wait();
  co_await end_survivors(context_.loop, folder_, deadline);
}

PodFacts Pod::facts() const {
  PodFacts facts{.address = address_,
                 .host_address = context_.host_address,
                 .now = std::chrono::system_clock::now(),
                 .restart_policy = policy_};
  const auto collect = [this](const auto& made, std::string_view list, std::vector<NamedStatus>& into) {
    for (const auto& container : made) {
      into.push_back({container->setup().name, container->setup().image, container->status()});
    }
    if (!made.empty()) {
      return;
    }
    for (const auto& spec : specs_of(object_, list)) {
      NamedStatus each{std::string(kube::find_string(spec.as_object(), "name")),
                       std::string(kube::find_string(spec.as_object(), "image")),
                       {}};
      each.status.reason = obstacle_.empty() ? "PodInitializing" : "CreateContainerConfigError";
      each.status.message = obstacle_;
      into.push_back(std::move(each));
    }
  };
  collect(init_, "initContainers", facts.init);
  collect(containers_, "containers", facts.containers);
  return facts;
}

Task<bool> Pod::report() {
  auto status = pod_status(object_, facts());
  if (status == reported_) {
    co_return true;
  }
  kube::Object patch{{"status", status}};
  auto answer =
      co_await context_.client.merge_patch(kube::kPods, kube::key_of(object_), std::move(patch), "status");
  if (answer) {
    reported_ = std::move(status);
    object_["status"] = reported_;
  } else if (answer.error().kind != ErrorKind::NotFound) {
    log::warning("pod status not written",
                 {{"pod", kube::key_of(object_).to_string()}, {"error", answer.error().text()}});
    co_return false;
  }
  co_return true;
}

Task<void> Pod::report_changes() {
  for (;;) {
    co_await changed_.wait();
    changed_.reset();
    const bool written = co_await report();
    if (!written) {
      changed_.set();
      co_await async::sleep(kReportRetry);
    }
  }
}

}  // namespace llmd::node
