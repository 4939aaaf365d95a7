#include "operator/pod_trouble.h"

#include <boost/json.hpp>

#include <algorithm>

#include <fmt/format.h>

namespace llmd::operators {
namespace {

// Which trouble to show when there are several: a smaller rank first.
struct Ranked {
  int rank;
  Trouble trouble;
};

std::string sentence(const kube::Object& pod, std::string_view what, std::string_view detail) {
  return detail.empty() ? fmt::format("pod {}: {}", kube::name_of(pod), what)
                        : fmt::format("pod {}: {}: {}", kube::name_of(pod), what, detail);
}

bool is_image_reason(std::string_view reason) {
  return reason == "ImageNotMapped" || reason == "ErrImagePull" || reason == "ImagePullBackOff" ||
         reason == "InvalidImageName" || reason == "ErrImageNeverPull";
}

// Exit code and last words of a container that ended badly.
std::string last_words(const kube::Object& status) {
  for (const char* which : {"state.terminated", "lastState.terminated"}) {
    if (const auto* ended = kube::find_object(status, which); ended != nullptr && !ended->empty()) {
      const auto message = kube::find_string(*ended, "message");
      const auto code = kube::find_int(*ended, "exitCode", 0);
      if (code != 0) {
        return message.empty() ? fmt::format("exit code {}", code)
                               : fmt::format("exit code {}: {}", code, message);
      }
    }
  }
  return {};
}

std::optional<Ranked> waiting_trouble(const kube::Object& pod, const kube::Object& status,
                                      std::string_view name) {
  const auto reason = kube::find_string(status, "state.waiting.reason");
  const auto message = kube::find_string(status, "state.waiting.message");
  if (reason.empty() || reason == "PodInitializing" || reason == "ContainerCreating") {
    return std::nullopt;
  }
  if (is_image_reason(reason)) {
    return Ranked{1,
                  {std::string(reason),
                   sentence(pod, fmt::format("container '{}' has no program to run", name), message)}};
  }
  std::string detail = last_words(status);
  detail = detail.empty() ? std::string(message) : detail;
  if (name == "storage-initializer") {
    return Ranked{2, {"ModelFetchFailed", sentence(pod, "fetching the model failed", detail)}};
  }
  return Ranked{3, {std::string(reason), sentence(pod, fmt::format("container '{}'", name), detail)}};
}

std::optional<Ranked> container_trouble(const kube::Object& pod, const kube::Object& status) {
  const auto name = kube::find_string(status, "name");
  if (auto waiting = waiting_trouble(pod, status, name)) {
    return waiting;
  }
  const auto* ended = kube::find_object(status, "state.terminated");
  if (ended == nullptr || kube::find_int(*ended, "exitCode", 0) == 0) {
    return std::nullopt;
  }
  if (name == "storage-initializer") {
    return Ranked{2, {"ModelFetchFailed", sentence(pod, "fetching the model failed", last_words(status))}};
  }
  const auto reason = kube::find_string(*ended, "reason");
  return Ranked{3,
                {reason.empty() ? "ContainerFailed" : std::string(reason),
                 sentence(pod, fmt::format("container '{}' ended", name), last_words(status))}};
}

std::optional<Ranked> scheduling_trouble(const kube::Object& pod) {
  const auto* scheduled = kube::find_condition(pod, "PodScheduled");
  if (scheduled == nullptr || kube::find_string(*scheduled, "status") != "False") {
    return std::nullopt;
  }
  const auto reason = kube::find_string(*scheduled, "reason");
  return Ranked{0,
                {reason.empty() ? "Unschedulable" : std::string(reason),
                 sentence(pod, "no node takes it", kube::find_string(*scheduled, "message"))}};
}

}  // namespace

std::optional<Trouble> trouble_of(const std::vector<const kube::Object*>& pods) {
  std::optional<Ranked> worst;
  const auto consider = [&](std::optional<Ranked> candidate) {
    if (candidate && (!worst || candidate->rank < worst->rank)) {
      worst = std::move(candidate);
    }
  };
  for (const kube::Object* pod : pods) {
    consider(scheduling_trouble(*pod));
    for (const char* list : {"status.initContainerStatuses", "status.containerStatuses"}) {
      const auto* statuses = kube::find_array(*pod, list);
      for (std::size_t i = 0; statuses != nullptr && i < statuses->size(); ++i) {
        if (const auto* status = (*statuses)[i].if_object()) {
          consider(container_trouble(*pod, *status));
        }
      }
    }
  }
  return worst ? std::optional<Trouble>(std::move(worst->trouble)) : std::nullopt;
}

}  // namespace llmd::operators
