// What the operator's parts share; included by its sources only.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "http/client.h"
#include "kube/controller.h"
#include "llmisvc/compile.h"
#include "operator/applier.h"
#include "operator/certificates.h"
#include "operator/neighbours.h"
#include "operator/operator.h"
#include "operator/served_kinds.h"
#include "operator/status.h"
#include "operator/world.h"

namespace llmd::operators {

struct Operator::State {
  State(async::EventLoop& loop_, kube::Client& client_, OperatorOptions options_)
      : loop(loop_),
        client(client_),
        options(std::move(options_)),
        world(loop, client, options.platform),
        kinds(client),
        neighbours([this](const kube::ObjectKey& key) { controller.enqueue(key); }),
        applier(client, world, options.platform),
        certificates(client),
        pool(loop),
        controller(loop, "llmisvc", [this](kube::ObjectKey key) { return reconcile(std::move(key)); }) {
    world.on_change([this](const kube::ObjectKey& key) { controller.enqueue(key); });
  }

  Task<void> run();
  Task<Result<kube::Outcome>> reconcile(kube::ObjectKey key);
  Task<Result<void>> leave(const kube::ObjectKey& key, const kube::Object* leaving);
  Task<Result<llmisvc::Facts>> facts_of(const kube::Object& service);
  Task<Obstacles> obstacles_of(const kube::Object& service, const llmisvc::Compiled& compiled,
                               const llmisvc::Facts& facts, std::vector<std::string> divergent);
  Task<Result<void>> bring_about(const kube::Object& service, const llmisvc::Compiled& compiled,
                                 const Obstacles& obstacles);
  Task<Result<void>> remove_cluster_objects(const kube::ObjectKey& key);
  Task<Result<void>> set_finalizer(const kube::Object& service, bool wanted);
  StatusFacts status_facts(const kube::Object& service, const llmisvc::Compiled& compiled) const;
  void add_network(StatusFacts& facts) const;
  std::string url_of(const llmisvc::Service& service, const std::vector<const kube::Object*>& routes) const;
  Task<std::optional<Error>> answer_of(StatusFacts facts);
  Task<Result<void>> write_status(const kube::Object& service, kube::Object status);

  async::EventLoop& loop;
  kube::Client& client;
  const OperatorOptions options;
  World world;
  ServedKinds kinds;
  Neighbours neighbours;
  Applier applier;
  Certificates certificates;
  http::ClientPool pool;
  std::set<std::string> answered;  // uid of services that have answered since their pods became ready
  kube::Controller controller;
};

}  // namespace llmd::operators
