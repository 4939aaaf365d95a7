// train_tiny: trains models/tiny and its adapter, talks to them, and records what they say.
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/file.h"
#include "train_tiny/corpus.h"
#include "train_tiny/generate.h"
#include "train_tiny/golden.h"
#include "train_tiny/model_files.h"
#include "train_tiny/safetensors.h"
#include "train_tiny/trainer.h"

namespace llmd::train_tiny {
namespace {

constexpr std::uint64_t kValidationSeed = 1000003;
constexpr int kValidationRows = 64;

struct Options {
  std::filesystem::path model = "models/tiny";
  int steps = 2400;
  int adapter_steps = 350;
  int threads = 2;
  std::uint64_t seed = 1;
  std::string question;    // --generate
  std::string completion;  // --complete
  bool shout = false;
  bool adapter_only = false;
  bool golden = false;
};

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::filesystem::path weights_file(const Options& options) {
  return options.model / "model.safetensors";
}
std::filesystem::path adapter_folder(const Options& options) {
  return options.model / "lora-shout";
}
std::filesystem::path adapter_file(const Options& options) {
  return adapter_folder(options) / "adapter_model.safetensors";
}

struct Weights {
  std::vector<float> base, shouting;
};

Result<Weights> load(const Options& options) {
  const Shape shape;
  const LoraLayout lora(shape, {});
  LLMD_TRY(std::vector<float> base, read_safetensors(weights_file(options), Layout(shape).all()));
  LLMD_TRY(const std::vector<float> adapter, read_safetensors(adapter_file(options), lora.all()));
  std::vector<float> shouting = merged(lora, base, adapter);
  return Weights{std::move(base), std::move(shouting)};
}

Result<void> write_golden(const Options& options) {
  LLMD_TRY(const Weights weights, load(options));
  return write_file_atomically(options.model / "golden.json",
                               golden_json(Shape{}, weights.base, weights.shouting));
}

Result<void> answer(const Options& options) {
  const Shape shape;
  LLMD_TRY(const Weights weights, load(options));
  const std::string prompt =
      options.question.empty() ? options.completion : render_chat({{"user", options.question}}, true);
  Workspace workspace(shape, shape.max_positions);
  const std::vector<Token> tokens = encode(prompt);
  const int room = shape.max_positions - static_cast<int>(tokens.size());
  const Generation generation =
      generate(workspace, options.shout ? weights.shouting : weights.base, tokens, room);
  fmt::print("{}\n", decode(generation.tokens(), true));
  return {};
}

Report reporter(std::string_view part) {
  return [part, watch = Stopwatch()](int step, double loss) {
    fmt::print("{} step {}: loss {:.4f}, {:.0f} s\n", part, step, loss, watch.seconds());
    std::fflush(stdout);
  };
}

Result<void> train_model(const Options& options, Training& training) {
  const Shape shape;
  TrainOptions plan{.threads = options.threads, .seed = options.seed};
  plan.optimiser.steps = options.steps;
  const Stopwatch watch;
  std::vector<float> base = train_base(shape, plan, [&, report = reporter("base")](int step, double loss) {
    report(step, loss);
    training.train_loss = loss;
  });
  round_to_bf16(base);
  training.seconds = watch.seconds();
  training.validation_loss = evaluate(shape, base, Style::Plain, kValidationSeed, kValidationRows);
  fmt::print("base validation loss {:.4f}\n", training.validation_loss);
  LLMD_TRY_VOID(write_safetensors(weights_file(options), Layout(shape).all(), base));
  return write_model_files(options.model, shape);
}

// Starts from the weights on disk, so the adapter comes out the same whether or not they were just trained.
Result<void> train_shout(const Options& options, Training& training) {
  const Shape shape;
  const LoraOptions lora_options;
  const LoraLayout lora(shape, lora_options);
  LLMD_TRY(const std::vector<float> base, read_safetensors(weights_file(options), Layout(shape).all()));
  TrainOptions plan{.threads = options.threads, .seed = options.seed};
  plan.optimiser.steps = options.adapter_steps;
  plan.optimiser.warm_up = 20;
  plan.optimiser.peak_rate = 6e-3F;
  plan.optimiser.decay = 0;
  const Stopwatch watch;
  std::vector<float> adapter = train_adapter(shape, lora, base, plan, reporter("adapter"));
  round_to_bf16(adapter);
  training.adapter_seconds = watch.seconds();
  training.adapter_validation_loss =
      evaluate(shape, merged(lora, base, adapter), Style::Shout, kValidationSeed, kValidationRows);
  fmt::print("adapter validation loss {:.4f} after {:.0f} s\n", training.adapter_validation_loss,
             training.adapter_seconds);
  LLMD_TRY_VOID(write_safetensors(adapter_file(options), lora.all(), adapter));
  return write_adapter_files(adapter_folder(options), lora_options);
}

Result<void> train(const Options& options) {
  std::filesystem::create_directories(adapter_folder(options));
  Training training{
      .command = fmt::format("build/release/tools/train_tiny/train_tiny --steps {} --adapter-steps {} "
                             "--threads {} --seed {}",
                             options.steps, options.adapter_steps, options.threads, options.seed),
      .steps = options.steps,
      .adapter_steps = options.adapter_steps};
  if (!options.adapter_only) {
    LLMD_TRY_VOID(train_model(options, training));
  }
  LLMD_TRY_VOID(train_shout(options, training));
  if (!options.adapter_only) {
    LLMD_TRY_VOID(write_readme(options.model, Shape{}, training));
  }
  return write_golden(options);
}

Result<void> run(const Options& options) {
  if (!options.question.empty() || !options.completion.empty()) {
    return answer(options);
  }
  return options.golden ? write_golden(options) : train(options);
}

}  // namespace
}  // namespace llmd::train_tiny

int main(int argc, char** argv) {
  llmd::train_tiny::Options options;
  CLI::App app("Trains the tiny test model, or talks to it.");
  app.add_option("--model", options.model, "Folder of the model")->capture_default_str();
  app.add_option("--steps", options.steps, "Training steps of the base model")->capture_default_str();
  app.add_option("--adapter-steps", options.adapter_steps, "Training steps of the adapter")
      ->capture_default_str();
  app.add_option("--threads", options.threads)->check(CLI::Range(1, 64))->capture_default_str();
  app.add_option("--seed", options.seed)->capture_default_str();
  app.add_option("--generate", options.question, "Answer this chat message instead of training");
  app.add_option("--complete", options.completion, "Continue this text instead of training");
  app.add_flag("--shout", options.shout, "Use the adapter for --generate and --complete");
  app.add_flag("--adapter-only", options.adapter_only,
               "Keep the base model (and the README's table) as it is");
  app.add_flag("--golden", options.golden, "Rewrite golden.json from the weights instead of training");
  CLI11_PARSE(app, argc, argv);
  const auto result = llmd::train_tiny::run(options);
  if (!result) {
    fmt::print(stderr, "train_tiny: {}\n", result.error().text());
    return llmd::exit_code(result.error().kind);
  }
  return 0;
}
