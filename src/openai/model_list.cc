#include "openai/model_list.h"

#include "json/path.h"
#include "json/value.h"

namespace llmd::openai {
namespace {

std::string text_at(const json::Value& card, std::string_view member) {
  return std::string(json::string_at(card, member).value_or(""));
}

void add_member(std::string& out, std::string_view name, std::string_view value) {
  out += ',';
  json::write_quoted_to(out, name);
  out += ':';
  json::write_quoted_to(out, value);
}

void write_card_to(std::string& out, const ListedCard& listed) {
  const ModelCard& card = listed.card;
  out += R"({"id":)";
  json::write_quoted_to(out, card.id);
  out += R"(,"object":"model","created":)" + std::to_string(card.created);
  add_member(out, "owned_by", card.owned_by);
  if (!card.root.empty()) {
    add_member(out, "root", card.root);
  }
  if (card.parent.empty()) {
    out += R"(,"parent":null)";
  } else {
    add_member(out, "parent", card.parent);
  }
  out += R"(,"max_model_len":)" +
         (card.max_model_len ? std::to_string(*card.max_model_len) : std::string("null"));
  if (!listed.via.empty()) {
    add_member(out, "via", listed.via);
  }
  out += listed.stale ? R"(,"stale":true})" : R"(,"stale":false})";
}

}  // namespace

Result<std::vector<ModelCard>> parse_model_list(std::string_view text) {
  const auto parsed = json::parse(text, {.max_depth = 16, .max_bytes = std::size_t{16} << 20});
  if (!parsed) {
    return data_loss("the list of models is not JSON: {}", parsed.error().message);
  }
  const json::Array* data = json::array_at(*parsed, "data");
  if (data == nullptr) {
    return data_loss("the list of models has no \"data\"");
  }
  std::vector<ModelCard> cards;
  for (const json::Value& item : *data) {
    ModelCard card;
    card.id = text_at(item, "id");
    if (card.id.empty() || cards.size() == kMostModels) {
      continue;
    }
    card.created = json::int_at(item, "created").value_or(0);
    card.owned_by = text_at(item, "owned_by");
    card.root = text_at(item, "root");
    card.parent = text_at(item, "parent");
    card.max_model_len = json::int_at(item, "max_model_len");
    cards.push_back(std::move(card));
  }
  return cards;
}

std::string write_model_list(std::span<const ListedCard> cards) {
  std::string out = R"({"object":"list","data":[)";
  for (const ListedCard& card : cards) {
    if (out.back() != '[') {
      out += ',';
    }
    write_card_to(out, card);
  }
  return out + "]}";
}

std::string write_model(const ListedCard& card) {
  std::string out;
  write_card_to(out, card);
  return out;
}

}  // namespace llmd::openai
