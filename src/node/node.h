// The node: runs the pods that are bound to it as processes on this machine. An ordinary client of the
// Kubernetes API: it watches pods with its name in spec.nodeName and writes their status.
//
// Pods survive the node: their shims go on when it is killed, and the next node with the same data directory
// adopts them. shutdown() stops them.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "async/event_loop.h"
#include "kube/client.h"

namespace llmd::node {

struct NodeOptions {
  std::string name = "llmd-local";
  std::filesystem::path data;         // pods/ and volumes/ live here
  std::filesystem::path llmd;         // this program, for shims, fetches and engines
  std::filesystem::path model_cache;  // shared by all pods
  Duration shutdown_grace = std::chrono::seconds(10);
};

class Node {
 public:
  Node(async::EventLoop& loop, kube::Client& client, NodeOptions options);
  ~Node();

  // Registers the Node object and runs pods until cancelled; cancelling leaves the processes alone.
  Task<void> run();
  // Stops every pod's processes and waits for them (SIGKILL after the grace). Call after run() has been
  // cancelled.
  Task<void> shutdown();
  // Forgets the pods and leaves their processes running, for the next node to adopt. Instead of shutdown().
  Task<void> release();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace llmd::node
