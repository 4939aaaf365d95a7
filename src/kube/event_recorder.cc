#include "kube/event_recorder.h"

#include <map>

#include "async/channel.h"
#include "base/clock.h"
#include "base/log.h"

namespace llmd::kube {

namespace {

constexpr std::size_t kMaxWaiting = 1000;
constexpr std::size_t kMaxRemembered = 2000;
constexpr std::int64_t kMaxPerObject = 100;  // different events of one object
constexpr std::size_t kMaxMessage = 1024;

struct Occurrence {
  Object reference;
  EventType type;
  std::string reason;
  std::string message;

  std::string identity() const {
    return fmt::format("{}|{}|{}|{}|{}", find_string(reference, "uid"), find_string(reference, "fieldPath"),
                       reason, type == EventType::Warning, message);
  }
};

struct Sent {
  ObjectKey key;
  std::int64_t count = 0;
};

Object reference_to(const Object& about, std::string_view field_path) {
  Object reference;
  reference["kind"] = kind_of(about);
  reference["apiVersion"] = api_version_of(about);
  reference["namespace"] = namespace_of(about);
  reference["name"] = name_of(about);
  reference["uid"] = uid_of(about);
  reference["resourceVersion"] = resource_version_of(about);
  if (!field_path.empty()) {
    reference["fieldPath"] = field_path;
  }
  return reference;
}

}  // namespace

struct EventRecorder::State {
  State(async::EventLoop& loop, Client& used, std::string name)
      : client(used), component(std::move(name)), waiting(loop.executor(), kMaxWaiting) {}

  Client& client;
  const std::string component;
  async::Channel<Occurrence> waiting;
  std::map<std::string, Sent> sent;
  std::map<std::string, std::int64_t> per_object;

  Task<void> send(Occurrence occurrence) {
    const std::string now = to_rfc3339(system_clock().wall_now());
    if (sent.size() > kMaxRemembered) {
      sent.clear();
      per_object.clear();
    }
    Sent& known = sent[occurrence.identity()];
    ++known.count;
    if (known.count > 1) {
      Object patch;
      patch["count"] = known.count;
      patch["lastTimestamp"] = now;
      const ObjectKey key = known.key;
      const auto patched = co_await client.merge_patch(kEvents, key, std::move(patch));
      if (patched) {
        co_return;
      }
      sent[occurrence.identity()].count = 1;  // it was cleaned up meanwhile: tell it anew
    } else if (++per_object[std::string(find_string(occurrence.reference, "uid"))] > kMaxPerObject) {
      co_return;
    }
    const auto created = co_await client.create(kEvents, make_event(occurrence, now));
    if (created) {
      sent[occurrence.identity()].key = key_of(*created);
    } else {
      log::debug("event dropped", {{"reason", occurrence.reason}, {"error", created.error().message}});
    }
  }

  Object make_event(const Occurrence& occurrence, const std::string& now) const {
    std::string place(find_string(occurrence.reference, "namespace"));
    if (place.empty()) {
      place = "default";
    }
    const auto ticks = system_clock().wall_now().time_since_epoch().count();
    Object event{{"apiVersion", "v1"}, {"kind", "Event"}};
    at(event, "metadata.namespace") = place;
    at(event, "metadata.name") = fmt::format("{}.{:x}", find_string(occurrence.reference, "name"), ticks);
    event["involvedObject"] = occurrence.reference;
    event["reason"] = occurrence.reason;
    event["message"] = occurrence.message;
    event["type"] = occurrence.type == EventType::Warning ? "Warning" : "Normal";
    at(event, "source.component") = component;
    event["reportingComponent"] = component;
    event["firstTimestamp"] = now;
    event["lastTimestamp"] = now;
    event["count"] = 1;
    return event;
  }
};

EventRecorder::EventRecorder(async::EventLoop& loop, Client& client, std::string component)
    : state_(std::make_unique<State>(loop, client, std::move(component))) {}
EventRecorder::~EventRecorder() = default;

void EventRecorder::record(const Object& about, EventType type, std::string_view reason, std::string message,
                           std::string_view field_path) {
  message.resize(std::min(message.size(), kMaxMessage));
  static_cast<void>(state_->waiting.try_send(
      Occurrence{reference_to(about, field_path), type, std::string(reason), std::move(message)}));
}

Task<void> EventRecorder::run() {
  while (auto occurrence = co_await state_->waiting.receive()) {
    co_await state_->send(std::move(*occurrence));
  }
}

}  // namespace llmd::kube
