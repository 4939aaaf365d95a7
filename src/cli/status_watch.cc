#include "cli/status_watch.h"

#include <boost/json.hpp>

#include <algorithm>

#include "node/pod_folder.h"

namespace llmd::cli {
namespace {

using namespace std::chrono_literals;

// A status written for an older generation says nothing about what was asked for last.
bool is_up_to_date(const kube::Object& service) {
  return kube::find_int(service, "status.observedGeneration", 0) >= kube::generation_of(service);
}

std::vector<const kube::Object*> pointers(const std::map<kube::ObjectKey, kube::Object>& objects) {
  std::vector<const kube::Object*> list;
  for (const auto& [key, object] : objects) {
    list.push_back(&object);
  }
  return list;
}

}  // namespace

StatusWatch::StatusWatch(async::EventLoop& loop, kube::Client& client, std::filesystem::path data)
    : data_(std::move(data)),
      services_(loop, client, kube::kLlmServices),
      pods_(loop, client, kube::kPods),
      changed_(loop.executor()) {
  const auto wake = [this](const kube::Object*, const kube::Object*) { changed_.set(); };
  services_.on_change(wake);
  pods_.on_change(wake);
}

std::string StatusWatch::progress_of(const kube::Object& pod) const {
  const node::PodFolder folder(data_, kube::uid_of(pod));
  const auto* statuses = kube::find_array(pod, "status.initContainerStatuses");
  for (std::size_t i = 0; statuses != nullptr && i < statuses->size(); ++i) {
    const auto& status = statuses->at(i).as_object();
    if (kube::find_object(status, "state.running") != nullptr) {
      return fetch_progress(folder.log(kube::find_string(status, "name")));
    }
  }
  return {};
}

bool StatusWatch::draw() {
  fetching_ = false;
  const auto progress = [this](const kube::Object& pod) {
    auto text = progress_of(pod);
    fetching_ = fetching_ || !text.empty();
    return text;
  };
  status_.show(status_lines(pointers(services_.objects()), pointers(pods_.objects()), progress));
  return std::ranges::all_of(services_.objects(), [](const auto& entry) {
    return is_ready(entry.second) && is_up_to_date(entry.second);
  });
}

Task<void> StatusWatch::until_ready() {
  co_await services_.synced();
  co_await pods_.synced();
  while (!draw()) {
    co_await changed_.wait_until(fetching_ ? async::Deadline::after(500ms) : async::Deadline::after(2s));
    changed_.reset();
  }
  status_.leave();
}

Task<void> StatusWatch::follow() {
  for (;;) {
    co_await changed_.wait();
    changed_.reset();
    draw();
  }
}

std::string StatusWatch::summary() const {
  std::string text;
  for (const auto& [key, service] : services_.objects()) {
    const auto url = kube::find_string(service, "status.url");
    if (url.empty()) {
      continue;
    }
    auto model = kube::find_string(service, "spec.model.name");
    model = model.empty() ? kube::name_of(service) : model;
    text += fmt::format(
        "\n{}\n\n  curl {}/v1/chat/completions -H 'Content-Type: application/json' \\\n"
        "    -d '{{\"model\": \"{}\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello!\"}}]}}'\n",
        url, url, model);
  }
  return text;
}

}  // namespace llmd::cli
