// Sets of fields of an object, as server-side apply counts them: who owns what. The wire form is FieldsV1:
// {"f:spec":{"f:containers":{"k:{\"name\":\"main\"}":{".":{},"f:image":{}}}}}.
//
// A step is "f:NAME", "k:{KEYS}" (item of a keyed list) or "v:VALUE" (member of a set). Pure.
#pragma once

#include <boost/json/object.hpp>

#include <functional>
#include <map>
#include <string>

#include "base/result.h"
#include "kube/schema.h"

namespace llmd::apiserver {

struct FieldSet {
  bool member = false;  // the path itself is in the set
  std::map<std::string, FieldSet, std::less<>> children;

  bool empty() const { return !member && children.empty(); }
  bool operator==(const FieldSet&) const = default;
  const FieldSet* find(std::string_view step) const;

  boost::json::object to_json() const;
  // Depth and number of steps are bounded.
  static Result<FieldSet> from_json(const boost::json::value& fields);

  FieldSet& operator|=(const FieldSet& other);
  FieldSet& operator-=(const FieldSet& other);  // removes exactly the members of `other`
  FieldSet operator&(const FieldSet& other) const;
};

// All fields an applied object names: leaves, items of keyed lists, and empty containers.
FieldSet fields_of(const boost::json::value& value, const kube::Type* type);

// What makes the sets of a value ambiguous: two items of a list with the same key, or one without it. Empty
// when all is well; else ".spec.containers: duplicate entries for key [name=\"a\"]".
std::string key_mistake(const boost::json::value& value, const kube::Type* type,
                        const std::string& path = {});

struct Difference {
  FieldSet added;
  FieldSet modified;
  FieldSet removed;
  bool empty() const { return added.empty() && modified.empty() && removed.empty(); }
};
Difference compare(const boost::json::value& before, const boost::json::value& after, const kube::Type* type);

// The value with every field of `applied` on top; lists with keys and sets merge, everything atomic is
// replaced.
boost::json::value merge_applied(const boost::json::value& live, const boost::json::value& applied,
                                 const kube::Type* type);

// Removes the fields of `leaving`, and what becomes empty by that. `kept` are fields other managers own: they
// stay.
void remove_fields(boost::json::value& value, const FieldSet& leaving, const FieldSet& kept,
                   const kube::Type* type);

// "containers[name=\"main\"].image" steps for conflict messages, one per member: ".spec.replicas".
void for_each_path(const FieldSet& set, const std::function<void(const std::string&)>& visit);

}  // namespace llmd::apiserver
