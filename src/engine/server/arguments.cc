#include "engine/server/arguments.h"

#include <algorithm>

#include "base/file.h"
#include "base/strings.h"
#include "engine/server/flag.h"
#include "json/yaml.h"

namespace llmd::engine {
namespace {

const Flag* lookup(std::string_view name) {
  for (const auto flags : {honoured_flags(), simulation_flags(), other_flags()}) {
    for (const Flag& flag : flags) {
      if (flag.name == name || (!flag.alias.empty() && flag.alias == name)) {
        return &flag;
      }
    }
  }
  return nullptr;
}

Error unknown(std::string_view name) {
  std::vector<std::string_view> names;
  for (const auto flags : {honoured_flags(), simulation_flags(), other_flags()}) {
    std::ranges::transform(flags, std::back_inserter(names), &Flag::name);
  }
  const auto near = nearest_name(name, names);
  return invalid_argument("unknown argument '--{}'", name)
      .hint(near ? fmt::format("did you mean '--{}'?", *near) : "see llmd serve --help");
}

Result<void> apply(ServeOptions& options, const Flag& flag, Values values) {
  if (!flag.refused.empty() && !(flag.shape == Shape::Switch && values.front() == "false")) {
    return unimplemented("--{}: {}", flag.name, flag.refused);
  }
  if (!flag.no_effect.empty()) {
    options.warnings.push_back(fmt::format("--{} has no effect: {}", flag.name, flag.no_effect));
    return {};
  }
  if (flag.apply != nullptr) {
    if (auto applied = flag.apply(options, values); !applied) {
      return std::unexpected(std::move(applied).error().within(fmt::format("--{}", flag.name)));
    }
  }
  return {};
}

bool is_flag(std::string_view word) {
  return word.size() > 1 && word.front() == '-' && !parse_number(word);
}

// A flag as it stands on the command line.
struct Spelled {
  std::string name;                  // normalised, without dashes in front
  std::optional<std::string> value;  // behind '='
};

Spelled spell(std::string_view word) {
  word.remove_prefix(word.starts_with("--") ? 2 : 1);
  const std::size_t equals = word.find('=');
  Spelled spelled{std::string(word.substr(0, equals)), std::nullopt};
  if (equals != std::string_view::npos) {
    spelled.value = word.substr(equals + 1);
  }
  std::ranges::replace(spelled.name, '_', '-');
  // --kv-transfer-config.kv_role both: a member of a JSON value.
  spelled.name.resize(std::min(spelled.name.size(), spelled.name.find('.')));
  return spelled;
}

// One pass over the words: flags are applied, what is left must be MODEL.
class Parser {
 public:
  Parser(ServeOptions& options, std::span<const std::string> words) : options_(options), words_(words) {}

  Result<void> run() {
    while (next_ < words_.size()) {
      const std::string& word = words_[next_++];
      if (is_flag(word)) {
        LLMD_TRY_VOID(take_flag(word));
      } else if (options_.model.model.empty()) {
        options_.model.model = positional_ = word;
      } else {
        return invalid_argument("unexpected argument '{}': MODEL is already '{}'", word,
                                options_.model.model);
      }
    }
    if (!positional_.empty() && positional_ != options_.model.model) {
      options_.warnings.push_back(
          fmt::format("--model {} is ignored, as vLLM does: MODEL is {}", options_.model.model, positional_));
      options_.model.model = positional_;
    }
    return {};
  }

 private:
  Result<void> take_flag(std::string_view word) {
    Spelled spelled = spell(word);
    if (spelled.name == "config") {
      ++next_;  // read before the others
      next_ -= spelled.value ? 1 : 0;
      return {};
    }
    const Flag* flag = lookup(spelled.name);
    bool negated = false;
    if (flag == nullptr && spelled.name.starts_with("no-")) {
      flag = lookup(spelled.name.substr(3));
      negated = true;
    }
    if (flag == nullptr || (negated && flag->shape != Shape::Switch)) {
      return unknown(spelled.name);
    }
    LLMD_TRY(const std::vector<std::string> values, take_values(*flag, std::move(spelled.value), negated));
    return apply(options_, *flag, values);
  }

  Result<std::vector<std::string>> take_values(const Flag& flag, std::optional<std::string> inline_value,
                                               bool negated) {
    if (inline_value) {
      return std::vector{std::move(*inline_value)};
    }
    if (flag.shape == Shape::Switch) {
      return std::vector<std::string>{negated ? "false" : "true"};
    }
    std::vector<std::string> values;
    while (next_ < words_.size() && !is_flag(words_[next_]) &&
           (values.empty() || flag.shape == Shape::List)) {
      values.push_back(words_[next_++]);
    }
    if (values.empty()) {
      return invalid_argument("--{} needs a value", flag.name);
    }
    return values;
  }

  ServeOptions& options_;
  const std::span<const std::string> words_;
  std::size_t next_ = 0;
  std::string positional_;  // MODEL without --model
};

Result<std::vector<std::string>> config_values(const json::Value& value) {
  const auto text_of = [](const json::Value& item) {
    return item.is_string() ? std::string(item.get_string()) : json::write(item);
  };
  std::vector<std::string> values;
  if (const json::Array* list = value.if_array()) {
    std::ranges::transform(*list, std::back_inserter(values), text_of);
  } else {
    values.push_back(text_of(value));
  }
  return values;
}

Result<void> apply_config(ServeOptions& options, const std::string& path) {
  LLMD_TRY(const std::string text, read_file(path));
  LLMD_TRY(const std::vector<json::YamlDocument> documents, json::parse_yaml(text, path));
  if (documents.size() != 1 || !documents.front().value.is_object()) {
    return invalid_argument("{}: must hold one mapping of flags", path);
  }
  for (const auto& member : documents.front().value.get_object()) {
    std::string name(member.key());
    std::ranges::replace(name, '_', '-');
    const std::string place = documents.front().place_of(std::string(member.key()));
    const Flag* flag = lookup(name);
    if (flag == nullptr) {
      return std::unexpected(unknown(name).within(place));
    }
    LLMD_TRY(const std::vector<std::string> values, config_values(member.value()));
    if (values.empty()) {
      return invalid_argument("{}: --{} needs a value", place, name);
    }
    if (auto applied = apply(options, *flag, values); !applied) {
      return std::unexpected(std::move(applied).error().within(place));
    }
  }
  return {};
}

Result<void> check_together(const ServeOptions& options) {
  if (options.model.model.empty() && !options.help && !options.version) {
    return invalid_argument("MODEL is missing")
        .hint("a folder, a .gguf file, or org/name in the Hugging Face cache");
  }
  if (options.http.certificate.empty() != options.http.key.empty()) {
    return invalid_argument("--ssl-certfile and --ssl-keyfile belong together");
  }
  if (options.model.auto_tool_choice && options.model.tool_parser.empty()) {
    return invalid_argument("--enable-auto-tool-choice needs --tool-call-parser");
  }
  if (!options.lora.modules.empty() && !options.lora.enabled && !options.simulate) {
    return invalid_argument("--lora-modules needs --enable-lora");
  }
  if (options.fake_metrics && !options.simulate) {
    return invalid_argument("--fake-metrics needs --simulate");
  }
  const sim::Timing& timing = options.simulation.timing;
  for (const sim::Jittered& time : {timing.time_to_first_token, timing.inter_token_latency}) {
    if (time.deviation.count() * 10 > time.mean.count() * 3) {
      return invalid_argument("a standard deviation of more than 30 % of its mean");
    }
  }
  return {};
}

}  // namespace

Result<ServeOptions> parse_arguments(std::span<const std::string> arguments) {
  ServeOptions options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (!is_flag(arguments[i])) {
      continue;
    }
    const Spelled spelled = spell(arguments[i]);
    if (spelled.name != "config") {
      continue;
    }
    if (!spelled.value && i + 1 == arguments.size()) {
      return invalid_argument("--config needs a value");
    }
    LLMD_TRY_VOID(apply_config(options, spelled.value ? *spelled.value : arguments[i + 1]));
  }
  const std::string configured_model = std::exchange(options.model.model, "");
  LLMD_TRY_VOID(Parser(options, arguments).run());
  if (options.model.model.empty()) {
    options.model.model = configured_model;
  }
  LLMD_TRY_VOID(check_together(options));
  return options;
}

std::string help_text() {
  std::string text =
      "usage: llmd serve MODEL [flags]\n\n"
      "Serves one model over an OpenAI-compatible API. MODEL is a folder, a .gguf file, or org/name in the "
      "Hugging Face\n"
      "cache (HF_HUB_CACHE). Flags are spelled as vLLM spells them; --config FILE.yaml holds the same "
      "ones.\n\n";
  const auto add = [&text](std::span<const Flag> flags) {
    for (const Flag& flag : flags) {
      if (!flag.help.empty()) {
        const std::string_view value = flag.shape == Shape::Switch ? ""
                                       : flag.shape == Shape::List ? " X…"
                                                                   : " X";
        text += fmt::format("  --{:<38}{}\n", fmt::format("{}{}", flag.name, value), flag.help);
      }
    }
  };
  add(honoured_flags());
  text += "\nWith --simulate (a plain number is milliseconds):\n\n";
  add(simulation_flags());
  return text + "\nOther flags of vLLM are accepted with a warning or refused with the reason.\n";
}

}  // namespace llmd::engine
