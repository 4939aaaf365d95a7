// GET pods/x/log. The node writes <container>.log and <container>.previous.log into a folder that the pod
// names by annotation; the lines carry no times, so --timestamps shows when a line was read and --since works
// on whole files.
#include <boost/json/array.hpp>

#include <charconv>

#include "apiserver/log_file.h"
#include "apiserver/service.h"
#include "async/deadline.h"
#include "base/strings.h"
#include "json/value.h"

namespace llmd::apiserver {

namespace {

using json::Array;
using kube::Object;

constexpr std::string_view kFolderAnnotation = "llmd.dev/log-directory";
constexpr Duration kPollPeriod = std::chrono::milliseconds(200);

struct LogOptions {
  std::string container;
  bool follow = false;
  bool previous = false;
  bool timestamps = false;
  std::optional<std::int64_t> tail_lines;
  std::optional<std::int64_t> since_seconds;
  std::optional<std::int64_t> limit_bytes;
};

Answer<std::optional<std::int64_t>> read_number(const Request& request, std::string_view name) {
  const std::string_view text = request.query.find(name);
  if (text.empty()) {
    return std::optional<std::int64_t>();
  }
  const auto number = parse_integer(text);
  if (!number || *number < 0) {
    boost::json::object details{{"name", request.path.key.name}, {"kind", "PodLogOptions"}};
    const Cause cause =
        invalid_value(std::string(name), std::string(text), "must be greater than or equal to 0");
    details["causes"] = Array{{{"reason", cause.reason}, {"message", cause.message}, {"field", cause.field}}};
    return std::unexpected(Failure{422, "Invalid",
                                   fmt::format("PodLogOptions {} is invalid: {}: {}",
                                               go_quoted(request.path.key.name), cause.field, cause.message),
                                   std::move(details)});
  }
  return std::optional<std::int64_t>(*number);
}

std::vector<std::string> container_names(const Object& pod, std::initializer_list<std::string_view> lists) {
  std::vector<std::string> names;
  for (const std::string_view list : lists) {
    if (const Array* containers = kube::find_array(pod, list)) {
      for (const auto& container : *containers) {
        if (container.is_object()) {
          names.emplace_back(kube::find_string(container.get_object(), "name"));
        }
      }
    }
  }
  return names;
}

Answer<std::string> choose_container(const Request& request, const Object& pod) {
  std::string wanted(request.query.find("container"));
  const std::vector<std::string> all = container_names(pod, {"spec.initContainers", "spec.containers"});
  const std::vector<std::string> main = container_names(pod, {"spec.containers"});
  const std::string_view name = request.path.key.name;
  if (wanted.empty()) {
    if (main.size() == 1) {
      return main.front();
    }
    return std::unexpected(bad_request(fmt::format(
        "a container name must be specified for pod {}, choose one of: [{}]", name, join(main, " "))));
  }
  if (std::ranges::find(all, wanted) == all.end()) {
    return std::unexpected(bad_request(fmt::format("container {} is not valid for pod {}", wanted, name)));
  }
  return wanted;
}

Answer<LogOptions> read_log_options(const Request& request, const Object& pod) {
  LogOptions options;
  LLMD_TRY(options.tail_lines, read_number(request, "tailLines"));
  LLMD_TRY(options.since_seconds, read_number(request, "sinceSeconds"));
  LLMD_TRY(options.limit_bytes, read_number(request, "limitBytes"));
  LLMD_TRY(options.container, choose_container(request, pod));
  options.follow = request.query.flag("follow");
  options.previous = request.query.flag("previous");
  options.timestamps = request.query.flag("timestamps");
  return options;
}

const Object* status_of(const Object& pod, std::string_view container) {
  for (const std::string_view list : {"status.containerStatuses", "status.initContainerStatuses"}) {
    if (const Array* statuses = kube::find_array(pod, list)) {
      for (const auto& status : *statuses) {
        if (status.is_object() && kube::find_string(status.get_object(), "name") == container) {
          return &status.get_object();
        }
      }
    }
  }
  return nullptr;
}

Answer<LogFile> open_log(const Object& pod, const LogOptions& options) {
  const std::string_view name = kube::name_of(pod);
  const std::filesystem::path folder(kube::annotation_of(pod, kFolderAnnotation));
  const std::string file = options.container + (options.previous ? ".previous.log" : ".log");
  auto log =
      folder.is_absolute() ? LogFile::open(folder / file) : Result<LogFile>(not_found("no log folder"));
  if (log) {
    return std::move(*log);
  }
  if (options.previous) {
    return std::unexpected(bad_request(fmt::format("previous terminated container {} in pod {} not found",
                                                   go_quoted(options.container), go_quoted(name))));
  }
  const Object* status = status_of(pod, options.container);
  const std::string_view reason =
      status ? kube::find_string(*status, "state.waiting.reason") : std::string_view();
  return std::unexpected(
      bad_request(fmt::format("container {} in pod {} is waiting to start: {}", go_quoted(options.container),
                              go_quoted(name), reason.empty() ? "ContainerCreating" : reason)));
}

// True while more output may come: the container runs, or the pod has not said yet how it ended.
bool may_grow(const Service& service, const Request& request, std::string_view container) {
  const ObjectPtr pod = service.registry.find(request.kind(), request.path.key);
  if (!pod) {
    return false;
  }
  const std::string_view phase = kube::find_string(*pod, "status.phase");
  const Object* status = status_of(*pod, container);
  const bool ended = status && kube::find_object(*status, "state.terminated");
  return !ended && phase != "Succeeded" && phase != "Failed";
}

std::string with_times(std::string_view text, bool& at_line_start, const std::string& now) {
  std::string out;
  for (const char c : text) {
    if (at_line_start) {
      out += now + " ";
    }
    out += c;
    at_line_start = c == '\n';
  }
  return out;
}

Task<void> copy_log(Service& service, http::Exchange& exchange, const Request& request, LogFile log,
                    const LogOptions& options) {
  struct TakeBack {
    http::Exchange& exchange;
    ~TakeBack() { exchange.on_client_gone({}); }
  };
  bool gone = false;
  exchange.on_client_gone([&gone] { gone = true; });
  const TakeBack take_back{exchange};
  std::int64_t left = options.limit_bytes.value_or(std::numeric_limits<std::int64_t>::max());
  bool at_line_start = true;
  while (!gone && left > 0) {
    // Asked before reading: what is written until the end is then still read.
    const bool more = options.follow && !log.was_replaced() && may_grow(service, request, options.container);
    const auto bytes = log.next();
    if (!bytes) {
      break;
    }
    if (bytes->empty()) {
      if (!more) {
        break;
      }
      co_await async::sleep(kPollPeriod);
      continue;
    }
    std::string text = options.timestamps ? with_times(*bytes, at_line_start, service.now()) : *bytes;
    text.resize(std::min<std::size_t>(text.size(), static_cast<std::size_t>(left)));
    left -= static_cast<std::int64_t>(text.size());
    const auto written = co_await exchange.write(text);
    if (!written) {
      co_return;
    }
  }
  static_cast<void>(co_await exchange.finish());
}

}  // namespace

Task<void> handle_log(Service& service, http::Exchange& exchange, Request& request) {
  const ObjectPtr pod = service.registry.find(request.kind(), request.path.key);
  if (!pod) {
    co_await send_failure(exchange, object_not_found(request.resource(), request.path.key.name));
    co_return;
  }
  const auto options = read_log_options(request, *pod);
  if (!options) {
    co_await send_failure(exchange, options.error());
    co_return;
  }
  if (kube::find_string(*pod, "spec.nodeName").empty()) {
    http::ResponseHead head;
    head.status = 204;
    static_cast<void>(co_await exchange.respond(std::move(head), {}));
    co_return;
  }
  auto log = open_log(*pod, *options);
  if (!log) {
    co_await send_failure(exchange, log.error());
    co_return;
  }
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(service.clock.wall_now().time_since_epoch()).count();
  const bool too_old = options->since_seconds && log->modified_seconds() < now - *options->since_seconds;
  const std::optional<std::int64_t> lines = too_old ? 0 : options->tail_lines;
  if (lines) {
    static_cast<void>(log->skip_to_last_lines(*lines));
  }
  http::ResponseHead head;
  head.headers.add("Content-Type", "text/plain");
  const auto started = co_await exchange.start(std::move(head));
  if (started) {
    co_await copy_log(service, exchange, request, std::move(*log), *options);
  }
}

}  // namespace llmd::apiserver
