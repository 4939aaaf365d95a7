// Gateways with their listeners, and which of them a route is attached to. Private to gateway.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/conditions.h"
#include "gateway/lookup.h"

namespace llmd::gateway {

struct ListenerState {
  const kube::Object* object = nullptr;
  std::string name;
  std::string hostname;  // empty: any
  std::string protocol;
  std::uint16_t port = 0;
  std::vector<std::string_view> kinds;  // of routes it takes
  bool usable = true;
  std::vector<Condition> conditions;
  ListenerDoor::Certificate certificate;  // of HTTPS
  int attached_routes = 0;
};

struct GatewayState {
  const kube::Object* object = nullptr;
  std::vector<ListenerState> listeners;
  std::vector<Condition> conditions;
};

// A route at one of its parents.
struct ParentState {
  struct Attachment {
    std::uint16_t port = 0;
    std::string listener;                // its hostname
    std::vector<std::string> hostnames;  // of the route, as far as the listener serves them
  };
  const kube::Object* reference = nullptr;
  const GatewayState* gateway = nullptr;
  Condition accepted{"Accepted", true, "Accepted", "the route is served"};
  std::vector<Attachment> attachments;
};

class Listeners {
 public:
  Listeners(const RouteObjects& objects, const Lookup& lookup, const BuildOptions& options);

  // Every parent of the route that is a Gateway of ours. Counts the route at its listeners.
  std::vector<ParentState> parents_of(const kube::Object& route);
  const std::vector<GatewayState>& gateways() const { return gateways_; }
  std::vector<ListenerDoor> doors() const;

 private:
  void add(const kube::Object& gateway);
  ListenerState evaluate(const kube::Object& gateway, const kube::Object& listener) const;
  Condition certificate_of(const kube::Object& gateway, ListenerState& state) const;
  static void mark_conflicts(std::vector<ListenerState>& listeners);
  static void conclude(ListenerState& listener);
  void attach(const kube::Object& route, GatewayState& gateway, ParentState& parent);
  bool allows(const kube::Object& gateway, const ListenerState& listener, const kube::Object& route) const;

  const Lookup& lookup_;
  const BuildOptions& options_;
  std::vector<GatewayState> gateways_;
};

}  // namespace llmd::gateway
