#include "cli/live_status.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <boost/json.hpp>

#include <algorithm>
#include <cstdio>

#include "base/file.h"
#include "base/strings.h"

namespace llmd::cli {
namespace {

std::string service_line(const kube::Object& service) {
  const std::string name = kube::key_of(service).to_string();
  if (is_ready(service)) {
    return fmt::format("{}  ready  {}", name, kube::find_string(service, "status.url"));
  }
  const auto* ready = kube::find_condition(service, "Ready");
  const auto message = ready == nullptr ? std::string_view() : kube::find_string(*ready, "message");
  return fmt::format("{}  not ready  {}", name, message.empty() ? "waiting for the operator" : message);
}

// What a container that is not ready is doing: "starting", "ImagePullBackOff: …", "exit code 3, restart 2".
std::string container_activity(const kube::Object& status) {
  if (const auto* waiting = kube::find_object(status, "state.waiting")) {
    const auto message = kube::find_string(*waiting, "message");
    const auto reason = kube::find_string(*waiting, "reason");
    return message.empty() ? std::string(reason) : fmt::format("{}: {}", reason, message);
  }
  if (const auto* ended = kube::find_object(status, "state.terminated")) {
    return fmt::format("ended with code {}", kube::find_int(*ended, "exitCode", 0));
  }
  const auto restarts = kube::find_int(status, "restartCount", 0);
  return restarts == 0 ? "starting" : fmt::format("starting again (restart {})", restarts);
}

std::string pod_activity(const kube::Object& pod, const std::string& progress) {
  if (kube::is_being_deleted(pod)) {
    return "stopping";
  }
  for (const std::string_view list : {"status.initContainerStatuses", "status.containerStatuses"}) {
    const auto* statuses = kube::find_array(pod, list);
    for (std::size_t i = 0; statuses != nullptr && i < statuses->size(); ++i) {
      const auto& status = statuses->at(i).as_object();
      if (kube::find_bool(status, "ready", false)) {
        continue;
      }
      const auto activity = container_activity(status);
      return progress.empty() || activity.starts_with("starting") == false
                 ? fmt::format("{}: {}", kube::find_string(status, "name"), activity)
                 : fmt::format("{}: {}", kube::find_string(status, "name"), progress);
    }
  }
  return "waiting for its node";
}

int terminal_width() {
  struct winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 100;
}

// Cut so that a redrawn block never wraps; by bytes is enough for what we print.
std::string fitted(const std::string& line, int width) {
  return line.size() < static_cast<std::size_t>(width)
             ? line
             : line.substr(0, static_cast<std::size_t>(width - 2)) + "…";
}

}  // namespace

bool is_ready(const kube::Object& object) {
  const auto* ready = kube::find_condition(object, "Ready");
  return ready != nullptr && kube::find_string(*ready, "status") == "True";
}

std::vector<std::string> status_lines(const std::vector<const kube::Object*>& services,
                                      const std::vector<const kube::Object*>& pods,
                                      const std::function<std::string(const kube::Object&)>& progress_of) {
  std::vector<std::string> lines;
  for (const auto* service : services) {
    lines.push_back(service_line(*service));
    for (const auto* pod : pods) {
      const bool belongs = kube::namespace_of(*pod) == kube::namespace_of(*service) &&
                           kube::label_of(*pod, "app.kubernetes.io/name") == kube::name_of(*service);
      if (belongs && !is_ready(*pod)) {
        lines.push_back(fmt::format("  {}  {}", kube::name_of(*pod), pod_activity(*pod, progress_of(*pod))));
      }
    }
  }
  return lines;
}

std::string fetch_progress(const std::filesystem::path& log) {
  const auto text = read_file(log);
  if (!text) {
    return {};
  }
  const auto end = text->find_last_of('}');
  const auto begin = end == std::string::npos ? end : text->rfind('\n', end);
  if (end == std::string::npos) {
    return {};
  }
  const auto from = begin == std::string::npos ? 0 : begin + 1;
  boost::system::error_code error;
  const auto value = boost::json::parse(std::string_view(*text).substr(from, end - from + 1), error);
  if (error || !value.is_object()) {
    return {};
  }
  const auto bytes = kube::find_int(value.as_object(), "bytes", -1);
  const auto total = kube::find_int(value.as_object(), "total", -1);
  if (bytes < 0) {
    return {};
  }
  return total > 0
             ? fmt::format("fetching the model, {} % of {}", bytes * 100 / total,
                           human_bytes(static_cast<unsigned long long>(total)))
             : fmt::format("fetching the model, {}", human_bytes(static_cast<unsigned long long>(bytes)));
}

LiveStatus::LiveStatus() : terminal_(::isatty(STDOUT_FILENO) != 0) {}

void LiveStatus::show(const std::vector<std::string>& lines) {
  if (lines == shown_) {
    return;
  }
  std::string out;
  if (terminal_) {
    if (!shown_.empty()) {
      out += fmt::format("\x1b[{}F\x1b[J", shown_.size());
    }
    const int width = terminal_width();
    for (const auto& line : lines) {
      out += fitted(line, width) + "\n";
    }
  } else {
    for (const auto& line : lines) {
      if (std::ranges::find(shown_, line) == shown_.end()) {
        out += line + "\n";
      }
    }
  }
  std::fwrite(out.data(), 1, out.size(), stdout);
  std::fflush(stdout);
  shown_ = lines;
}

void LiveStatus::leave() {
  shown_.clear();
}

}  // namespace llmd::cli
