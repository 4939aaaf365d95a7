#include "engine/server/serve.h"

#include "cli/command.h"

namespace llmd::cli {

Result<int> run_serve(Arguments arguments) {
  return engine::serve(arguments);
}

}  // namespace llmd::cli
