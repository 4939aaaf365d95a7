#include "llmisvc/render.h"

#include "llmisvc/pod_features.h"
#include "llmisvc/render_parts.h"

namespace llmd::llmisvc {

Result<std::vector<json::Object>> render(const Service& service, const Facts& facts) {
  Objects objects;
  if (service.stopped) {
    return objects;
  }
  LLMD_TRY_VOID(render_workloads(service, facts, objects));
  if (auto claims = device_claim_template(service)) {
    objects.push_back(std::move(*claims));
  }
  render_services(service, facts, objects);
  render_scaling(service, facts, objects);
  LLMD_TRY_VOID(render_scheduler(service, facts, objects));
  render_routes(service, facts, objects);
  render_monitors(service, facts, objects);
  return objects;
}

}  // namespace llmd::llmisvc
