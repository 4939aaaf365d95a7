#include "kvcache/kv_event.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>

#include "kvcache/kv_event_fields.h"
#include "kvcache/msgpack.h"

namespace llmd::kvcache {
namespace {

using Reader = MsgpackReader;
using Kind = MsgpackReader::Kind;
using Item = MsgpackReader::Item;

constexpr std::size_t kMaxBlocks = std::size_t{1} << 20;  // of one event
constexpr std::size_t kMaxExtras = 256;                   // of one block

bool read_hash(const Item& item, EngineHash& hash) {
  if (item.kind == Kind::Integer) {
    hash = item.integer;
    return true;
  }
  if (item.kind != Kind::Binary || item.bytes.empty()) {
    return false;
  }
  hash = 0;
  for (const char c : item.bytes) {
    hash = hash << 8 | static_cast<unsigned char>(c);
  }
  return true;
}

bool read_hashes(Reader& reader, std::vector<EngineHash>& hashes) {
  Item list;
  if (!reader.read(list) || list.kind != Kind::Array || list.count > kMaxBlocks) {
    return false;
  }
  hashes.resize(list.count);
  for (EngineHash& hash : hashes) {
    Item item;
    if (!reader.read(item) || !read_hash(item, hash)) {
      return false;
    }
  }
  return true;
}

bool read_parent(Reader& reader, EngineHash& parent) {
  Item item;
  if (!reader.read(item)) {
    return false;
  }
  parent = 0;
  return item.kind == Kind::Nil || read_hash(item, parent);
}

bool read_tokens(Reader& reader, std::vector<TokenId>& tokens) {
  Item list;
  if (!reader.read(list) || list.kind != Kind::Array) {
    return false;
  }
  tokens.resize(list.count);
  for (TokenId& token : tokens) {
    Item item;
    if (!reader.read(item) || item.kind != Kind::Integer || item.negative ||
        item.integer > std::numeric_limits<TokenId>::max()) {
      return false;
    }
    token = static_cast<TokenId>(item.integer);
  }
  return true;
}

bool read_text(Reader& reader, std::string& text) {
  Item item;
  if (!reader.read(item)) {
    return false;
  }
  text = item.kind == Kind::Text ? item.bytes : std::string_view();
  return item.kind == Kind::Text || item.kind == Kind::Nil;
}

bool read_number(Reader& reader, std::optional<std::uint32_t>& number) {
  Item item;
  if (!reader.read(item)) {
    return false;
  }
  number.reset();
  if (item.kind == Kind::Nil) {
    return true;
  }
  number = static_cast<std::uint32_t>(item.integer);
  return item.kind == Kind::Integer && !item.negative &&
         item.integer <= std::numeric_limits<std::uint32_t>::max();
}

// One extra key: text, or a pair of text and offset (vLLM before 0.18). Numbers and digests mean nothing
// here.
bool read_extra(Reader& reader, std::vector<std::string>& extras) {
  std::string_view bytes;
  if (!reader.skip(bytes)) {
    return false;
  }
  Reader inside(bytes);
  Item item;
  inside.read(item);
  if (item.kind == Kind::Array && item.count > 0) {
    inside.read(item);
  }
  if (item.kind == Kind::Text && extras.size() < kMaxExtras) {
    extras.emplace_back(item.bytes);
  }
  return true;
}

bool read_extras(Reader& reader, std::vector<std::vector<std::string>>& extras) {
  Item list;
  if (!reader.read(list)) {
    return false;
  }
  extras.clear();
  if (list.kind == Kind::Nil) {
    return true;
  }
  if (list.kind != Kind::Array || list.count > kMaxBlocks) {
    return false;
  }
  extras.resize(list.count);
  for (auto& block : extras) {
    Item inner;
    if (!reader.read(inner) || (inner.kind != Kind::Nil && inner.kind != Kind::Array)) {
      return false;
    }
    for (std::uint32_t i = 0; i < inner.count; ++i) {
      if (!read_extra(reader, block)) {
        return false;
      }
    }
  }
  return true;
}

bool read_field(Reader& reader, StoredField field, BlockStored& event) {
  switch (field) {
    case StoredField::Hashes:
      return read_hashes(reader, event.hashes);
    case StoredField::Parent:
      return read_parent(reader, event.parent);
    case StoredField::Tokens:
      return read_tokens(reader, event.tokens);
    case StoredField::BlockSize: {
      std::optional<std::uint32_t> size;
      const bool good = read_number(reader, size);
      event.block_size = size.value_or(0);
      return good;
    }
    case StoredField::Medium:
      return read_text(reader, event.medium);
    case StoredField::LoraName:
      return read_text(reader, event.lora_name);
    case StoredField::ExtraKeys:
      return read_extras(reader, event.extra_keys);
    case StoredField::Group:
      return read_number(reader, event.group);
    case StoredField::SpecKind:
      return read_text(reader, event.spec_kind);
    case StoredField::SlidingWindow:
      return read_number(reader, event.sliding_window);
    case StoredField::CacheSalt:
      return read_text(reader, event.cache_salt);
    case StoredField::LoraId:  // deprecated: the name says it
      return reader.skip();
  }
  return false;
}

bool read_field(Reader& reader, RemovedField field, BlockRemoved& event) {
  switch (field) {
    case RemovedField::Hashes:
      return read_hashes(reader, event.hashes);
    case RemovedField::Medium:
      return read_text(reader, event.medium);
    case RemovedField::Group:
      return read_number(reader, event.group);
  }
  return false;
}

// The fields after the tag, by position.
template <typename Field, typename Event>
bool read_positions(Reader& reader, std::size_t count, std::span<const FieldName<Field>> names,
                    std::size_t positions, Event& event) {
  for (std::size_t i = 0; i < count; ++i) {
    if (!(i < positions ? read_field(reader, names[i].field, event) : reader.skip())) {
      return false;
    }
  }
  return true;
}

template <typename Field, typename Event>
bool read_members(Reader& reader, std::size_t count, std::span<const FieldName<Field>> names, Event& event) {
  for (std::size_t i = 0; i < count; ++i) {
    Item key;
    if (!reader.read(key) || key.kind != Kind::Text) {
      return false;
    }
    const auto known = std::ranges::find(names, key.bytes, &FieldName<Field>::name);
    if (!(known != names.end() ? read_field(reader, known->field, event) : reader.skip())) {
      return false;
    }
  }
  return true;
}

// The value of "type", wherever it stands.
bool find_tag(Reader reader, std::size_t count, std::string_view& tag) {
  for (std::size_t i = 0; i < count; ++i) {
    Item key;
    Item value;
    if (!reader.read(key)) {
      return false;
    }
    if (key.kind == Kind::Text && key.bytes == "type") {
      return reader.read(value) && value.kind == Kind::Text && (tag = value.bytes, true);
    }
    if (!reader.skip()) {
      return false;
    }
  }
  return false;
}

enum class Outcome { Good, Unknown, Bad };

Outcome read_body(Reader& reader, std::string_view tag, bool is_map, std::size_t count, KvEvent& event) {
  const auto judged = [](bool good) { return good ? Outcome::Good : Outcome::Bad; };
  if (tag == kStoredTag) {
    auto& stored = event.emplace<BlockStored>();
    if (is_map) {
      return judged(read_members<StoredField>(reader, count, kStoredFields, stored) &&
                    !stored.hashes.empty());
    }
    return judged(count >= kStoredLeastPositions &&
                  read_positions<StoredField>(reader, count, kStoredFields, kStoredPositions, stored) &&
                  !stored.hashes.empty());
  }
  if (tag == kRemovedTag) {
    auto& removed = event.emplace<BlockRemoved>();
    if (is_map) {
      return judged(read_members<RemovedField>(reader, count, kRemovedFields, removed) &&
                    !removed.hashes.empty());
    }
    return judged(count >= 1 && read_positions<RemovedField>(reader, count, kRemovedFields,
                                                             kRemovedFields.size(), removed));
  }
  if (tag == kClearedTag) {
    event.emplace<AllBlocksCleared>();
    return Outcome::Good;
  }
  return Outcome::Unknown;
}

Outcome read_event(std::string_view bytes, KvEvent& event) {
  Reader reader(bytes);
  Item head;
  reader.read(head);
  // Storage tiers wrap each event once more.
  if (head.kind == Kind::Binary) {
    const std::string_view inner = head.bytes;
    reader = Reader(inner);
    if (!reader.read(head)) {
      return Outcome::Bad;
    }
  }
  std::string_view tag;
  if (head.kind == Kind::Map) {
    return find_tag(reader, head.count, tag) ? read_body(reader, tag, true, head.count, event) : Outcome::Bad;
  }
  Item first;
  if (head.kind != Kind::Array || head.count == 0 || !reader.read(first) || first.kind != Kind::Text) {
    return Outcome::Bad;
  }
  return read_body(reader, first.bytes, false, head.count - 1, event);
}

Error no_batch(std::string_view what) {
  return data_loss("KV events: {}", what);
}

bool read_timestamp(Reader& reader, double& timestamp) {
  Item item;
  if (!reader.read(item)) {
    return false;
  }
  timestamp = item.kind == Kind::Float ? item.number : static_cast<double>(item.integer);
  return item.kind == Kind::Float || (item.kind == Kind::Integer && !item.negative);
}

}  // namespace

Result<EventBatch> decode_events(std::string_view payload) {
  if (payload.size() > kMaxBatchBytes) {
    return resource_exhausted("KV events: a batch of {} bytes, {} are allowed", payload.size(),
                              kMaxBatchBytes);
  }
  Reader reader(payload);
  Item outer;
  if (!reader.read(outer) || outer.kind != Kind::Array || outer.count < 2) {
    return no_batch("not a list of time and events");
  }
  EventBatch batch;
  if (!read_timestamp(reader, batch.timestamp)) {
    return no_batch("the time is not a number");
  }
  Item list;
  if (!reader.read(list) || list.kind != Kind::Array) {
    return no_batch("the events are not a list");
  }
  for (std::uint32_t i = 0; i < list.count; ++i) {
    std::string_view bytes;
    if (!reader.skip(bytes)) {
      return no_batch("cut off, or nested too deep");
    }
    KvEvent event;
    const Outcome outcome = read_event(bytes, event);
    if (outcome == Outcome::Good) {
      batch.events.push_back(std::move(event));
    }
    batch.unknown_events += outcome == Outcome::Unknown ? 1 : 0;
    batch.bad_events += outcome == Outcome::Bad ? 1 : 0;
  }
  Item rank;
  if (outer.count > 2 && reader.read(rank) && rank.kind == Kind::Integer) {
    batch.rank = static_cast<std::int64_t>(rank.integer);
  }
  return batch;
}

EventTopic parse_topic(std::string_view topic) {
  const std::size_t first = topic.find('@');
  const std::size_t second = first == std::string_view::npos ? first : topic.find('@', first + 1);
  if (second == std::string_view::npos) {
    return {topic, {}};
  }
  return {topic.substr(first + 1, second - first - 1), topic.substr(second + 1)};
}

std::string make_topic(std::string_view pod, std::string_view model) {
  return fmt::format("kv@{}@{}", pod, model);
}

}  // namespace llmd::kvcache
