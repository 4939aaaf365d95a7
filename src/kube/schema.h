// What the fields of the kinds we know are: types, list keys, defaults. One table (schema_*.cc) feeds
// validation of unknown fields, strategic merge patches, server-side apply, defaulting and the OpenAPI
// documents, so that they cannot disagree.
//
// Immutable after the first use; any thread.
#pragma once

#include <boost/json/value.hpp>

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llmd::kube {

enum class Shape { Any, String, Integer, Boolean, Number, Quantity, IntOrString, Time, List, Map, Struct };

struct StructType;

// The type of one field. Lists and maps have an element; structs have a definition.
struct Type {
  Shape shape = Shape::Any;
  const StructType* definition = nullptr;
  const Type* element = nullptr;
  // Merged or replaced as a whole. Lists are atomic unless they have keys or are sets.
  bool atomic = false;
  bool set = false;                    // list of distinct scalars
  std::vector<std::string_view> keys;  // list of items identified by these members (server-side apply)
  std::string_view merge_key;          // the one member strategic merge patches identify items by
  bool retain_keys = false;            // strategic merge: the patch may name the members that stay
};

struct SchemaField {
  std::string_view name;
  const Type* type = nullptr;
  bool required = false;
  std::optional<boost::json::value> fallback;  // written by the API server when absent
  std::string_view description;
};

struct StructType {
  std::string_view name;
  std::string_view description;
  std::vector<SchemaField> fields;
  const SchemaField* find(std::string_view field) const;
};

// The whole object of a kind ("Pod"); null when the kind has no schema.
const Type* schema_of_kind(std::string_view kind);
// All struct types, for documents.
std::span<const StructType* const> schema_structs();

// The text that identifies an item of a keyed list: compact JSON of its key members, sorted, defaults filled
// in. Empty when a key member without a default is missing or the item is no object.
std::string list_item_key(const Type& list, const boost::json::value& item);

}  // namespace llmd::kube
