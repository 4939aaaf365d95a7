// Finds mistakes before they cost a GPU. The schema's rules (schema.h) are checked on what the author wrote;
// the rules here are about what takes effect: the merged service. docs/reference/findings.md lists all codes.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "llmisvc/compile.h"
#include "llmisvc/facts.h"
#include "llmisvc/finding.h"
#include "llmisvc/memory.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {

// Rules over a merged service.
Findings check(const Service& service, const Facts& facts);

// Rules over the object as its author wrote it: schema, name, contradictions that merging would hide.
Findings check_object(const json::Object& object);

// Pods per group of a service's halves; nullopt where there are no groups.
struct GroupSizes {
  std::optional<long long> main = {};
  std::optional<long long> prefill = {};
};
GroupSizes group_sizes_of(const Service& service);

// An update must not change the size of a group, which Kubernetes cannot do in place. Groups may come and go.
Findings check_update(const GroupSizes& before, const Service& after);

// A config's templates, tried with services of several topologies: one pod, prefill and decode, groups. An
// error where none of them works, a warning where some do not.
Findings check_templates(const json::Object& config, const Facts& facts);

// What memory is asked about: the GPU, where the user names one, and the sizes of models whose files are
// here.
struct MemoryQuestion {
  std::optional<AcceleratorType> gpu = {};
  ModelShapes shapes = {};
  Traffic traffic = {};
};
// Weights, cache and activations of a service whose model's sizes are known: a warning when they do not fit
// the GPU, a note with what is needed when no GPU is named.
Findings check_memory(const Service& service, const MemoryQuestion& question);
// The sizes of a service's model: its files', else those of the table of well-known models.
std::optional<ModelShape> shape_of_model(const Service& service, const ModelShapes& shapes);

struct ManifestText {
  std::string_view text;
  std::string_view name;  // of the file
};
// Files that belong together: configs of one are used by services of the others, and no two of their routes
// may want the same path. Findings carry file, line and column. Documents of other kinds are looked at only
// as far as they meet services; values files of the chart are converted.
Findings check_manifests(std::span<const ManifestText> files, const Facts& facts = {},
                         const MemoryQuestion& question = {});

// One file.
Findings check_manifest(std::string_view yaml, std::string_view source_name, const Facts& facts = {});

}  // namespace llmd::llmisvc
