#include "picker/plugins/parsers.h"

namespace llmd::picker {

Result<std::unique_ptr<Plugin>> make_parser(PluginSetup& setup) {
  setup.parameters.accept_all();
  return std::make_unique<Plugin>();
}

}  // namespace llmd::picker
