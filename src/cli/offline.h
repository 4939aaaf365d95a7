// What the commands that work on files alone share: check, render, convert, plan, explain-config.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "llmisvc/compile.h"
#include "llmisvc/facts.h"
#include "llmisvc/finding.h"
#include "llmisvc/model_shape.h"

namespace llmd::cli {

struct OfflineOptions {
  std::vector<std::string> files;
  std::string output;
  std::string facts_folder;
  bool local = false;

  // Adds FILE, -o with `outputs` (the first is the default), --facts and --local to the command line.
  void describe(Options& options, std::vector<std::string> outputs);
};

struct TextFile {
  std::string name;
  std::string text;
};
// Files in order; a folder stands for its *.yaml and *.yml, "-" for standard input.
Result<std::vector<TextFile>> read_files(const std::vector<std::string>& files);

// Those of a cluster or of this machine, with what the folder's documents say.
Result<llmisvc::Facts> offline_facts(const OfflineOptions& options);

// What the files of a command line hold.
struct OfflineInput {
  std::vector<TextFile> files;
  llmisvc::Facts facts;  // with --facts, and the files' own configs
  std::vector<json::YamlDocument> services =
      {};                                // in order, those of chart values among them; file:// absolute
  llmisvc::Findings findings = {};       // of converting chart values
  std::optional<Error> unreadable = {};  // the first file that is no YAML; the others are read
};
Result<OfflineInput> read_input(const OfflineOptions& options);

// To standard error, as compilers print.
void print_findings(const llmisvc::Findings& findings);
json::Object finding_json(const llmisvc::Finding& finding);

// The sizes of the model in a folder (config.json with safetensors beside it) or a GGUF file.
Result<llmisvc::ModelShape> read_model_shape(const std::string& path);
// Those of all services whose file:// URI leads to files that are here; what cannot be read is left out.
llmisvc::ModelShapes local_model_shapes(const std::vector<json::YamlDocument>& services);

}  // namespace llmd::cli
