// v1alpha1 <-> v1alpha2 of serving.kserve.io, without loss in either direction.
//
// What a version cannot say is kept in annotations of the object:
//   internal.serving.kserve.io/model-criticality     spec.model.criticality, which v1alpha2 dropped
//   internal.serving.kserve.io/lora-criticalities    the same of adapters: {"0": "Critical"}
//   internal.serving.kserve.io/v1alpha2-fields       what v1alpha1 lacks: kvCacheOffloading, confidential
//   internal.serving.kserve.io/pool-spec             a pool spec that the other shape cannot say
// The first two are KServe's own. A field that is changed after a conversion wins over what an annotation
// kept.
#pragma once

#include <array>
#include <string_view>

#include "json/value.h"

namespace llmd::llmisvc {

inline constexpr std::array<std::string_view, 2> kVersions{"v1alpha1", "v1alpha2"};

// A LLMInferenceService or LLMInferenceServiceConfig in the given version (one of kVersions), in canonical
// form: nothing stands where that version does not know it. Converting to the version an object has only does
// that.
json::Object to_version(const json::Object& object, std::string_view version);

// The object with everything that annotations kept back in its place: what merging and rendering work on. The
// version stays.
json::Object restore_kept_fields(const json::Object& object);

// InferencePool spec, inference.networking.k8s.io/v1 (selector.matchLabels, targetPorts, endpointPickerRef)
// and inference.networking.x-k8s.io/v1alpha2 (selector, targetPortNumber, extensionRef). Members that are in
// the wanted shape already stay.
json::Object pool_spec_v1(const json::Object& spec);
json::Object pool_spec_v1alpha2(const json::Object& spec);

}  // namespace llmd::llmisvc
