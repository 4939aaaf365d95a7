// Writes status. Entries of other controllers are kept. Several gateways without a Lease may write beside
// each other as long as they compute the same: who comes second finds nothing left to do. A conflict means
// that the object has changed: its newer version is judged anew, so nothing is written over. One loop;
// private to gateway.
#pragma once

#include <vector>

#include "async/event.h"
#include "gateway/build_routes.h"
#include "kube/client.h"

namespace llmd::gateway {

class StatusWriter {
 public:
  StatusWriter(async::EventLoop& loop, kube::Client& client) : client_(client), changed_(loop.executor()) {}

  // What is left of an earlier list is given up: these were computed from newer objects.
  void want(std::vector<StatusChange> changes);
  // Writes until cancelled.
  Task<void> run();

 private:
  Task<void> write(StatusChange change);
  Task<void> pause();

  kube::Client& client_;
  async::Event changed_;
  std::vector<StatusChange> wanted_;
  Duration pause_ = Duration::zero();  // the last one, since something was written
};

}  // namespace llmd::gateway
