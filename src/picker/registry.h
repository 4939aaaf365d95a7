// The registry of plugin types, and what a factory gets. A plugin is two files under plugins/ and two lines
// in registry.cc: the include and the entry.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "picker/framework.h"
#include "picker/parameters.h"

namespace llmd::metrics {
class Registry;
}
namespace llmd::trace {
class Tracer;
}

namespace llmd::picker {

// Where the numbers of a request's prefix match stand; one set per producer.
struct PrefixColumns {
  Column matched;  // blocks, weighted by tier
  Column cached;   // blocks, unweighted
  Scalar total;    // blocks of the prompt; 0: nothing is known
  Scalar block_tokens;
};
struct LatencyColumns {
  Column known;  // 1: predicted
  Column ttft;   // milliseconds
  Column tpot;
  Column ttft_headroom;  // SLO - prediction
  Column tpot_headroom;
  Column valid;
};

inline constexpr std::string_view kApproximateProducer = "approx-prefix-cache-producer";
inline constexpr std::string_view kPreciseProducer = "precise-prefix-cache-producer";
inline constexpr std::string_view kLatencyProducer = "predicted-latency-producer";

class PluginSetup {
 public:
  PluginSetup(std::string_view name, std::string_view type, Parameters& parameters_)
      : plugin_name(name), plugin_type(type), parameters(parameters_) {}
  virtual ~PluginSetup() = default;

  const std::string_view plugin_name;
  const std::string_view plugin_type;
  Parameters& parameters;

  virtual Names& names() = 0;
  virtual const Clock& clock() const = 0;
  // For spans that belong to no request; outlives the plugin. Null: nobody wants them.
  virtual const trace::Tracer* tracer() const = 0;
  // The bit that says whether an endpoint fulfils the predicate (Cycle::has).
  virtual unsigned predicate(EndpointPredicate predicate) = 0;
  // The plugin decides by this request header; lower case. Recorded for explanations.
  virtual void reads_header(std::string_view name) = 0;
  // Whether the configuration has a plugin of that name.
  virtual bool is_listed(std::string_view plugin_name) const = 0;
  // Names of the configuration's plugins of this type, in its order.
  virtual std::vector<std::string> listed_of(std::string_view type) const = 0;
  // Another plugin of the configuration, made now if it was not yet; null and a problem when there is none.
  virtual Plugin* reference(std::string_view path, std::string_view plugin_name) = 0;
  // Somebody must produce this data ("prefix/approx-prefix-cache-producer"): if nobody is configured to, the
  // producer of that default name is made, with `parameters` if given.
  virtual void require(std::string_view kind, std::string_view producer, const json::Object* parameters) = 0;
  virtual void provide(std::string_view kind) = 0;
  // A metric of the engines beyond the basic ones; the slot of EndpointState::custom.
  virtual std::size_t custom_metric(std::string_view attribute) = 0;

  PrefixColumns prefix_columns(std::string_view producer);
  LatencyColumns latency_columns(std::string_view producer);
  // Reads prefixMatchInfoProducerName and requires that producer.
  PrefixColumns required_prefix(const json::Object* parameters_for_producer = nullptr);
  LatencyColumns required_latency();
};

enum class Stability { Beta, Alpha, Ours };

struct PluginType {
  std::string_view type;
  Result<std::unique_ptr<Plugin>> (*make)(PluginSetup&);
  Stability stability = Stability::Beta;
  std::string_view note = {};  // for `deprecated`: what to use instead
};

std::span<const PluginType> plugin_types();
const PluginType* find_plugin_type(std::string_view type);

}  // namespace llmd::picker
