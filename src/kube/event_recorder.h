// Events: what `kubectl describe` and `kubectl get events` tell about an object. Equal events of an object
// become one with a growing count, and an object that produces too many is cut short, so that a crash loop
// does not flood the store.
//
// One loop. record() never waits; run() sends.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "kube/client.h"

namespace llmd::kube {

enum class EventType { Normal, Warning };

class EventRecorder {
 public:
  // `component` is who speaks: "deployment-controller".
  EventRecorder(async::EventLoop& loop, Client& client, std::string component);
  ~EventRecorder();

  // `field_path` names a part of the object: "spec.containers{main}".
  void record(const Object& about, EventType type, std::string_view reason, std::string message,
              std::string_view field_path = {});

  // Sends until cancelled. Events that cannot be sent are dropped: they are comments, not state.
  Task<void> run();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::kube
