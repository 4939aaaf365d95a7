#include <algorithm>

#include "kvcache/kv_event.h"
#include "kvcache/kv_event_fields.h"
#include "kvcache/msgpack.h"

namespace llmd::kvcache {
namespace {

using Writer = MsgpackWriter;

void write_number(Writer& writer, std::optional<std::uint32_t> number) {
  number ? writer.integer(*number) : writer.nil();
}

void write_text(Writer& writer, std::string_view text) {
  text.empty() ? writer.nil() : writer.text(text);
}

template <typename Number>
void write_numbers(Writer& writer, const std::vector<Number>& numbers) {
  writer.array(numbers.size());
  for (const Number number : numbers) {
    writer.integer(number);
  }
}

void write_extras(Writer& writer, const std::vector<std::vector<std::string>>& extras) {
  writer.array(extras.size());
  for (const auto& block : extras) {
    if (block.empty()) {
      writer.nil();
      continue;
    }
    writer.array(block.size());
    for (const std::string& extra : block) {
      writer.text(extra);
    }
  }
}

bool is_default(StoredField field, const BlockStored& event) {
  switch (field) {
    case StoredField::Hashes:
    case StoredField::Parent:
    case StoredField::Tokens:
    case StoredField::BlockSize:
      return false;
    case StoredField::LoraId:
      return true;
    case StoredField::Medium:
      return event.medium.empty();
    case StoredField::LoraName:
      return event.lora_name.empty();
    case StoredField::ExtraKeys:
      return event.extra_keys.empty();
    case StoredField::Group:
      return !event.group;
    case StoredField::SpecKind:
      return event.spec_kind.empty();
    case StoredField::SlidingWindow:
      return !event.sliding_window;
    case StoredField::CacheSalt:
      return event.cache_salt.empty();
  }
  return true;
}

void write_field(Writer& writer, StoredField field, const BlockStored& event) {
  switch (field) {
    case StoredField::Hashes:
      return write_numbers(writer, event.hashes);
    case StoredField::Parent:
      return event.parent == 0 ? writer.nil() : writer.integer(event.parent);
    case StoredField::Tokens:
      return write_numbers(writer, event.tokens);
    case StoredField::BlockSize:
      return writer.integer(event.block_size);
    case StoredField::LoraId:
      return writer.nil();
    case StoredField::Medium:
      return write_text(writer, event.medium);
    case StoredField::LoraName:
      return write_text(writer, event.lora_name);
    case StoredField::ExtraKeys:
      return event.extra_keys.empty() ? writer.nil() : write_extras(writer, event.extra_keys);
    case StoredField::Group:
      return write_number(writer, event.group);
    case StoredField::SpecKind:
      return write_text(writer, event.spec_kind);
    case StoredField::SlidingWindow:
      return write_number(writer, event.sliding_window);
    case StoredField::CacheSalt:
      return write_text(writer, event.cache_salt);
  }
}

bool is_default(RemovedField field, const BlockRemoved& event) {
  return (field == RemovedField::Medium && event.medium.empty()) ||
         (field == RemovedField::Group && !event.group);
}

void write_field(Writer& writer, RemovedField field, const BlockRemoved& event) {
  switch (field) {
    case RemovedField::Hashes:
      return write_numbers(writer, event.hashes);
    case RemovedField::Medium:
      return write_text(writer, event.medium);
    case RemovedField::Group:
      return write_number(writer, event.group);
  }
}

template <typename Names, typename Event>
void write_map(Writer& writer, std::string_view tag, const Names& names, const Event& event) {
  const auto count =
      std::ranges::count_if(names, [&](const auto& name) { return !is_default(name.field, event); });
  writer.map(static_cast<std::size_t>(count) + 1);
  writer.text("type");
  writer.text(tag);
  for (const auto& [name, field] : names) {
    if (!is_default(field, event)) {
      writer.text(name);
      write_field(writer, field, event);
    }
  }
}

template <typename Names, typename Event>
void write_array(Writer& writer, std::string_view tag, const Names& names, std::size_t positions,
                 const Event& event) {
  while (positions > 0 && is_default(names[positions - 1].field, event)) {
    --positions;
  }
  writer.array(positions + 1);
  writer.text(tag);
  for (std::size_t i = 0; i < positions; ++i) {
    write_field(writer, names[i].field, event);
  }
}

void write_event(Writer& writer, const KvEvent& event, EventEncoding encoding) {
  const bool map = encoding == EventEncoding::Map;
  if (const auto* const stored = std::get_if<BlockStored>(&event)) {
    map ? write_map(writer, kStoredTag, kStoredFields, *stored)
        : write_array(writer, kStoredTag, kStoredFields, kStoredPositions, *stored);
  } else if (const auto* const removed = std::get_if<BlockRemoved>(&event)) {
    map ? write_map(writer, kRemovedTag, kRemovedFields, *removed)
        : write_array(writer, kRemovedTag, kRemovedFields, kRemovedFields.size(), *removed);
  } else {
    map ? writer.map(1) : writer.array(1);
    if (map) {
      writer.text("type");
    }
    writer.text(kClearedTag);
  }
}

}  // namespace

std::string encode_events(const EventBatch& batch, EventEncoding encoding) {
  Writer writer;
  writer.array(3);
  writer.number(batch.timestamp);
  writer.array(batch.events.size());
  for (const KvEvent& event : batch.events) {
    write_event(writer, event, encoding);
  }
  if (!batch.rank) {
    writer.nil();
  } else if (*batch.rank < 0) {
    writer.negative(*batch.rank);
  } else {
    writer.integer(static_cast<std::uint64_t>(*batch.rank));
  }
  return writer.take();
}

}  // namespace llmd::kvcache
