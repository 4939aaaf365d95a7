// The answer to GET /v1/models, read and written. Pure; any thread.
//
// Reading is lenient about what engines leave out (only `id` is needed) and bounded: engines are other
// people's programs.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace llmd::openai {

struct ModelCard {
  std::string id;
  std::int64_t created = 0;  // seconds since 1970; 0: not known
  std::string owned_by;
  std::string root;                           // empty: none
  std::string parent;                         // the base model of a LoRA adapter; empty: none
  std::optional<std::int64_t> max_model_len;  // tokens
  bool operator==(const ModelCard&) const = default;
};

inline constexpr std::size_t kMostModels = 10'000;

// DataLoss: no such list. Entries without a usable id are left out.
Result<std::vector<ModelCard>> parse_model_list(std::string_view text);

// What a gateway adds to a card.
struct ListedCard {
  ModelCard card;
  bool stale = false;  // nobody who serves it has answered lately
  std::string via;     // pool, service, pod or manual; empty: not said
};

std::string write_model_list(std::span<const ListedCard> cards);
std::string write_model(const ListedCard& card);

}  // namespace llmd::openai
