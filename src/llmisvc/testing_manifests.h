// Manifests for tests, and what is found in them.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "llmisvc/check.h"

namespace llmd::llmisvc {

// What `llmd check` prints of a manifest.
inline std::string check_text(std::string_view yaml) {
  std::string text;
  for (const Finding& finding : check_manifest(yaml, "service.yaml")) {
    text += render_finding(finding) + "\n";
  }
  return text;
}

// A service with `spec` below the usual head; the spec begins in line 4. `name` may be all of metadata.
inline std::string service(std::string_view spec, std::string_view name = "a") {
  const std::string metadata = name.starts_with('{') ? std::string(name) : fmt::format("{{name: {}}}", name);
  return fmt::format(
      "apiVersion: serving.kserve.io/v1alpha1\nkind: LLMInferenceService\nmetadata: {}\nspec:\n{}", metadata,
      spec);
}

// The head of a config named c; its spec is to follow.
inline constexpr const char* kConfig =
    "apiVersion: serving.kserve.io/v1alpha1\nkind: LLMInferenceServiceConfig\nmetadata: {name: c}\nspec:\n";
// A part of a spec: routes of its own, with the path /x.
inline constexpr const char* kRoute =
    "  router: {gateway: {}, route: {http: {spec: {rules: [{matches: [{path: {value: /x}}]}]}}}}\n";

}  // namespace llmd::llmisvc
