// The frame of a controller whose objects own other objects: it wakes when one of its own kind changes, and
// when something that one of them controls does.
#pragma once

#include "controllers/world.h"

namespace llmd::controllers {

class OwnerController : public Part {
 public:
  Task<void> run() final;

 protected:
  // `owners` is the kind it reconciles, `owned` what it makes; `name` is what events and logs call it.
  OwnerController(World& world, std::string_view name, const kube::Resource& owners,
                  const kube::Resource& owned);

  virtual Task<Result<kube::Outcome>> reconcile(kube::ObjectKey key) = 0;

  World& world_;
  kube::EventRecorder events_;

 private:
  kube::Controller controller_;
};

}  // namespace llmd::controllers
