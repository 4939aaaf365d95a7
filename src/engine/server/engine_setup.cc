#include "engine/server/engine_setup.h"

#include <algorithm>
#include <ctime>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "crypto/random.h"
#include "engine/core/threaded_engine.h"
#include "engine/server/model_path.h"
#include "json/path.h"

namespace llmd::engine {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxRunning = 32;

std::uint64_t random_seed() {
  const std::string bytes = crypto::random_bytes(sizeof(std::uint64_t));
  std::uint64_t seed = 0;
  std::ranges::copy(bytes, reinterpret_cast<char*>(&seed));
  return seed;
}

// The newer of two opinions wins where it has one.
GenerationDefaults overridden(GenerationDefaults base, const GenerationDefaults& by) {
  const auto replace = [](auto& value, const auto& with) { value = with ? with : value; };
  replace(base.temperature, by.temperature);
  replace(base.top_p, by.top_p);
  replace(base.top_k, by.top_k);
  replace(base.min_p, by.min_p);
  replace(base.repetition_penalty, by.repetition_penalty);
  replace(base.max_new_tokens, by.max_new_tokens);
  return base;
}

Result<GenerationDefaults> generation_defaults(const ServeOptions& options, const fs::path& model) {
  GenerationDefaults defaults;
  if (options.model.generation_config != "vllm") {
    const fs::path folder =
        options.model.generation_config == "auto" ? model : fs::path(options.model.generation_config);
    LLMD_TRY(defaults, read_generation_config(folder));
  }
  return overridden(std::move(defaults), options.model.override_generation);
}

Result<ChatFormat> chat_format(const ServeOptions& options,
                               std::shared_ptr<const tokenizer::Tokenizer> tokenizer) {
  using tokenizer::ChatTemplate;
  ChatTemplate::Options chosen;
  const std::string& format = options.model.chat_template_content_format;
  chosen.content = format == "string"   ? ChatTemplate::ContentFormat::Text
                   : format == "openai" ? ChatTemplate::ContentFormat::Parts
                                        : ChatTemplate::ContentFormat::Auto;
  if (!options.model.chat_template.empty()) {
    std::error_code ignored;
    chosen.source = options.model.chat_template;
    if (fs::is_regular_file(options.model.chat_template, ignored)) {
      LLMD_TRY(chosen.source, read_file(options.model.chat_template));
    }
  }
  if (!chosen.source && tokenizer->chat_template().empty()) {
    return ChatFormat([](const tokenizer::ChatInput&, const std::string&) -> Result<std::string> {
      return failed_precondition("this model has no chat template")
          .hint("start the server with --chat-template");
    });
  }
  LLMD_TRY(ChatTemplate made, ChatTemplate::make(*tokenizer, chosen));
  const auto shared = std::make_shared<const ChatTemplate>(std::move(made));
  return ChatFormat([shared, tokenizer, chosen](const tokenizer::ChatInput& input,
                                                const std::string& source) -> Result<std::string> {
    if (source.empty()) {
      return shared->render(input);
    }
    ChatTemplate::Options own = chosen;
    own.source = source;
    LLMD_TRY(const ChatTemplate other, ChatTemplate::make(*tokenizer, own));
    return other.render(input);
  });
}

// Memory for the cache when nobody said how much: a quarter of what is free, at most 2 GiB. Untouched blocks
// cost nothing until they are used.
std::uint64_t cache_bytes(const CacheFlags& flags) {
  if (flags.memory_bytes > 0) {
    return flags.memory_bytes;
  }
  if (const auto space = process_environment()("VLLM_CPU_KVCACHE_SPACE")) {
    if (const auto gib = parse_number(*space); gib && *gib > 0) {
      return static_cast<std::uint64_t>(*gib * (1U << 30));
    }
  }
  return std::min<std::uint64_t>(std::uint64_t{2} << 30, available_memory() / 4);
}

// Fills in blocks and max_model_len so that a sequence of full length fits.
Result<void> size_cache(const ServeOptions& options, const Model& model, EngineCoreConfig& core) {
  const int trained = model.config().max_positions;
  const int asked = options.model.max_model_len;
  if (asked > trained && trained > 0) {
    return invalid_argument("--max-model-len {}: the model was trained for {} positions", asked, trained);
  }
  const int wanted = asked > 0 ? asked : trained;
  const int size = options.cache.block_size;
  const std::size_t block_bytes = model.kv_block_bytes(size);
  const int full_length = (wanted + size - 1) / size;
  core.blocks = options.cache.blocks;
  if (core.blocks == 0) {
    const std::uint64_t affordable = cache_bytes(options.cache) / block_bytes;
    const auto useful =
        static_cast<std::uint64_t>(full_length) * static_cast<std::uint64_t>(core.scheduler.max_running);
    core.blocks = static_cast<int>(std::max<std::uint64_t>(1, std::min(affordable, useful)));
  }
  core.max_model_len = std::min(wanted, core.blocks * size);
  if (core.max_model_len < wanted) {
    const std::string needed = human_bytes(static_cast<std::uint64_t>(full_length) * block_bytes);
    if (asked > 0) {
      return resource_exhausted("--max-model-len {}: its KV cache needs {}, there is room for {} tokens",
                                asked, needed, core.max_model_len)
          .hint("give it more with --kv-cache-memory-bytes or VLLM_CPU_KVCACHE_SPACE (GiB)");
    }
    log::warning("the context is shorter than the model's",
                 {{"max_model_len", core.max_model_len}, {"model", trained}, {"cache_needed", needed}});
  }
  return {};
}

}  // namespace

Result<GenerationDefaults> read_generation_config(const fs::path& folder) {
  const fs::path path = folder / "generation_config.json";
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) {
    return GenerationDefaults{};
  }
  LLMD_TRY(const std::string text, read_file(path, 1 << 20));
  Result<json::Value> value = json::parse(text);
  if (!value) {
    return std::unexpected(std::move(value).error().within(path.native()));
  }
  const auto as_int = [&](std::string_view key) -> std::optional<int> {
    const auto number = json::int_at(*value, key);
    return number ? std::optional(static_cast<int>(*number)) : std::nullopt;
  };
  return GenerationDefaults{.temperature = json::double_at(*value, "temperature"),
                            .top_p = json::double_at(*value, "top_p"),
                            .top_k = as_int("top_k"),
                            .min_p = json::double_at(*value, "min_p"),
                            .repetition_penalty = json::double_at(*value, "repetition_penalty"),
                            .max_new_tokens = as_int("max_new_tokens")};
}

const std::string& first_name(const ServeOptions& options) {
  return options.model.served_names.empty() ? options.model.model : options.model.served_names.front();
}

std::shared_ptr<ServedModel> served_model(const ServeOptions& options) {
  auto served = std::make_shared<ServedModel>();
  served->names =
      options.model.served_names.empty() ? std::vector{options.model.model} : options.model.served_names;
  served->root = options.model.model;
  served->owned_by = options.model.owned_by;
  served->created = static_cast<long>(std::time(nullptr));
  served->max_logprobs = options.model.max_logprobs;
  served->priority_scheduling = options.scheduler.policy == Policy::Priority;
  return served;
}

EngineCoreConfig core_config(const ServeOptions& options, int max_running) {
  EngineCoreConfig core;
  core.scheduler.max_running = options.scheduler.max_num_seqs.value_or(max_running);
  core.scheduler.long_prefill_threshold = options.scheduler.long_prefill_threshold;
  core.scheduler.chunked_prefill = options.scheduler.chunked_prefill;
  core.scheduler.max_adapters = options.lora.max_loras;
  core.scheduler.policy = options.scheduler.policy;
  core.block_size = options.cache.block_size;
  core.prefix_caching = options.cache.prefix_caching;
  core.max_batched_tokens = options.scheduler.max_batched_tokens;
  core.hash_seed = random_seed();
  core.sampling_seed = options.model.seed.value_or(random_seed());
  return core;
}

Result<LoadedEngine> load_engine(const ServeOptions& options, metrics::Registry& registry,
                                 CacheListener* cache, std::function<void(const Error&)> on_death) {
  const TimePoint begin = system_clock().now();
  LLMD_TRY(const fs::path path, find_model(options.model.model, process_environment()));
  LLMD_TRY(std::unique_ptr<Model> model, load_model(path, {.threads = options.model.threads}));
  const fs::path tokenizer_path = options.model.tokenizer.empty() ? path : fs::path(options.model.tokenizer);
  LLMD_TRY(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, tokenizer::load_tokenizer(tokenizer_path));
  auto served = served_model(options);
  served->trust_request_chat_template = options.model.trust_request_chat_template;
  served->auto_tool_choice = options.model.auto_tool_choice;
  served->tool_parser = options.model.tool_parser;
  served->tokenizer = tokenizer;
  served->vocabulary = std::make_shared<TokenVocabulary>(tokenizer);
  LLMD_TRY(served->format_chat, chat_format(options, tokenizer));
  LLMD_TRY(served->defaults, generation_defaults(options, path));
  EngineCoreConfig core = core_config(options, kMaxRunning);
  LLMD_TRY_VOID(size_cache(options, *model, core));
  served->max_model_len = core.max_model_len;
  log::info("model loaded",
            {{"model", served->names.front()},
             {"path", path.native()},
             {"kernels", model->kernels()},
             {"max_model_len", core.max_model_len},
             {"kv_blocks", core.blocks},
             {"kv_bytes",
              human_bytes(static_cast<std::uint64_t>(core.blocks) * model->kv_block_bytes(core.block_size))},
             {"seconds", std::chrono::duration<double>(system_clock().now() - begin).count()}});
  LoadedEngine loaded;
  loaded.metrics = std::make_unique<EngineMetrics>(
      registry, EngineMetricsOptions{.model_name = served->names.front(),
                                     .max_model_len = core.max_model_len,
                                     .block_size = core.block_size,
                                     .blocks = core.blocks,
                                     .prefix_caching = core.prefix_caching,
                                     .max_loras = options.lora.enabled ? options.lora.max_loras : 0});
  const auto max_live = static_cast<std::size_t>(core.scheduler.max_running + options.scheduler.max_waiting);
  loaded.engine = std::make_unique<ThreadedEngine>(
      ThreadedEngine::Options{.core = core, .max_live = max_live, .on_death = std::move(on_death)},
      ThreadedEngine::Parts{std::move(model), tokenizer, *loaded.metrics, cache});
  loaded.metrics->watch(loaded.engine.get());
  loaded.model = std::move(served);
  return loaded;
}

}  // namespace llmd::engine
