// Problems of an EndpointPickerConfig as findings of `llmd check`. Private to cli.
#pragma once

#include <string>
#include <string_view>

#include "json/yaml.h"
#include "llmisvc/finding.h"

namespace llmd::cli {

// "FILE:LINE:COLUMN: SENTENCE" of an error's text, as a finding.
llmisvc::Finding placed_finding(std::string_view text, const std::string& file, std::string code,
                                llmisvc::Severity severity);

// A document of its own, whose places are those of its file.
llmisvc::Findings picker_findings(std::string_view document, const std::string& file);

// A part of a manifest, given as an object or as a text. A text's places are shown in the file where it
// stands there line by line (behind `|`), else at its key; the sentence says `named` and the place within.
llmisvc::Findings picker_findings(const json::YamlDocument& manifest, std::string_view path,
                                  const std::string& named, std::string_view text_of_file);

// A text that stands in no file here: shown at `place`, a path of the manifest.
llmisvc::Findings picker_findings_at(const json::YamlDocument& manifest, std::string_view place,
                                     std::string_view text, const std::string& named);

}  // namespace llmd::cli
