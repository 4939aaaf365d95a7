// request-attribute-reporter: {attributes: [{key: {namespace, name}, expression, condition}]}: a number made
// of the request's usage for the proxy's dynamic metadata. The expression language is the sum of terms such
// as `usage.prompt_tokens`, `usage.completion_tokens * 2`; who speaks to the proxy finds the plugin by type
// and asks for the value.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "picker/registry.h"

namespace llmd::picker {

class UsageReporter : public Plugin {
 public:
  struct Term {
    double factor = 1;
    std::string field;  // of usage; empty: a constant
  };
  UsageReporter(std::string space, std::string attribute, std::vector<Term> terms)
      : metadata_namespace(std::move(space)), metadata_name(std::move(attribute)), terms_(std::move(terms)) {}
  const std::string metadata_namespace;
  const std::string metadata_name;
  double value(const Usage& usage) const;

 private:
  const std::vector<Term> terms_;
};

Result<std::unique_ptr<Plugin>> make_request_attribute_reporter(PluginSetup& setup);

}  // namespace llmd::picker
