// Informer: a local, always up-to-date copy of a collection (list, then watch with resume and back-off), and
// the notifications that drive controllers. One loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "async/event.h"
#include "async/scope.h"
#include "kube/client.h"

namespace llmd::kube {

class Informer {
 public:
  Informer(async::EventLoop& loop, Client& client, Resource resource, std::string name_space = {},
           ListOptions options = {});
  ~Informer();

  // Called for every change after it is in the copy: object before (null when added) and after (null when
  // deleted). Register before run().
  void on_change(std::function<void(const Object* before, const Object* after)> callback);

  // Lists and watches until cancelled; never gives up (back-off 0.2 s to 10 s, logged once per outage).
  Task<void> run();
  // Completes when the first list is in the copy.
  Task<void> synced();
  bool is_synced() const;
  // Since when the copy may be out of date because the server cannot be reached; nullopt: it is not.
  std::optional<TimePoint> interrupted_since() const;

  const Object* find(const ObjectKey& key) const;
  const std::map<ObjectKey, Object>& objects() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::kube
