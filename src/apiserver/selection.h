// Which objects of a collection a list, watch or deletecollection is about.
#pragma once

#include "apiserver/failure.h"
#include "apiserver/request.h"
#include "kube/selector.h"

namespace llmd::apiserver {

struct Selection {
  std::string name_space;  // empty: all
  kube::LabelSelector labels;
  kube::FieldSelector fields;

  bool matches(const kube::Object& object) const;
};

// A resourceVersion as clients send it back: digits only.
Answer<std::uint64_t> parse_version(std::string_view text);

// Namespace from the path; a name in the path (legacy watches of one object) becomes a field selector.
Answer<Selection> read_selection(const Request& request);

}  // namespace llmd::apiserver
