// Finds mistakes before they cost a GPU. The schema's rules (schema.h) are checked on what the author wrote;
// the rules here are about what takes effect: the merged service.
#pragma once

#include <string_view>

#include "llmisvc/facts.h"
#include "llmisvc/finding.h"
#include "llmisvc/service.h"

namespace llmd::llmisvc {

// Rules over a merged service.
Findings check(const Service& service, const Facts& facts);

// Rules over the object as its author wrote it: schema, name, contradictions that merging would hide.
Findings check_object(const json::Object& object);

// A whole file: every document, configs in it used by the services in it. Findings carry file, line and
// column. Documents of other kinds are left alone.
Findings check_manifest(std::string_view yaml, std::string_view source_name, const Facts& facts = {});

}  // namespace llmd::llmisvc
