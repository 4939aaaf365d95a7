#include "llmisvc/accelerators.h"
#include "llmisvc/check.h"

namespace llmd::llmisvc {
namespace {

// "weights 65.7 GiB + activations 3.6 GiB + 8192 tokens 1.3 GiB"
std::string parts_of(const MemoryNeed& need) {
  const std::string tokens =
      need.length > 0 ? fmt::format("a sequence of {} tokens", need.length) : "a mean request";
  return fmt::format("weights {} + activations {} + {} {}", gib(need.weights), gib(need.activations), tokens,
                     gib(need.one_sequence));
}

void check_heads(const ModelShape& shape, const Workload& workload, Findings& findings) {
  const long long tensor = workload.parallelism.tensor.value_or(1);
  if (shape.latent_size > 0 || tensor <= 1) {
    return;
  }
  const bool divides = tensor <= shape.kv_heads ? shape.kv_heads % tensor == 0 : tensor % shape.kv_heads == 0;
  if (!divides) {
    findings.push_back({.code = "tensor-heads",
                        .severity = Severity::Warning,
                        .path = workload.path + ".parallelism.tensor",
                        .sentence = fmt::format("{} KV heads of {} cannot be spread over {} GPUs evenly",
                                                shape.kv_heads, shape.name, tensor),
                        .fix = fmt::format("choose a divisor or a multiple of {}", shape.kv_heads)});
  }
}

void check_workload(const ModelShape& shape, const Workload& workload, const MemoryQuestion& question,
                    Findings& findings) {
  check_heads(shape, workload, findings);
  if (!workload.pod || accelerators_of(*workload.pod).value_or(0) < 1) {
    return;
  }
  const EngineMemory engine = engine_memory(workload);
  const MemoryNeed need = memory_need(shape, workload.parallelism, engine, question.traffic);
  Finding finding{.code = "memory", .severity = Severity::Note, .path = workload.path};
  if (!question.gpu) {
    finding.sentence = fmt::format("needs at least {} per GPU: ({}) / {:.2f}", gib(need.at_least),
                                   parts_of(need), engine.utilization);
    findings.push_back(std::move(finding));
    return;
  }
  const MemoryFit fit = memory_fit(need, *question.gpu, workload.parallelism, engine, question.traffic);
  if (fit.fits) {
    return;
  }
  finding.severity = Severity::Warning;
  finding.sentence = fmt::format("does not fit: {} = {} per GPU, of {} {} x {:.2f} = {} can be used",
                                 parts_of(need), gib(need.weights + need.activations + need.one_sequence),
                                 question.gpu->name, gib(question.gpu->bytes), engine.utilization,
                                 gib(question.gpu->bytes * engine.utilization));
  finding.fix = memory_advice(shape, workload.parallelism, engine, *question.gpu);
  findings.push_back(std::move(finding));
}

}  // namespace

std::optional<ModelShape> shape_of_model(const Service& service, const ModelShapes& shapes) {
  const auto found = shapes.find(service.model.uri);
  if (found != shapes.end()) {
    return found->second;
  }
  const auto known = well_known_model(service.model.uri);
  return known ? known : well_known_model(service.model.name);
}

Findings check_memory(const Service& service, const MemoryQuestion& question) {
  Findings findings;
  const auto shape = shape_of_model(service, question.shapes);
  if (!shape) {
    return findings;
  }
  check_workload(*shape, service.main, question, findings);
  if (service.prefill) {
    check_workload(*shape, *service.prefill, question, findings);
  }
  return findings;
}

}  // namespace llmd::llmisvc
