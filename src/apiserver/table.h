// What `kubectl get` prints: the server computes columns and cells, the client only aligns them.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/kinds.h"
#include "base/clock.h"
#include "kube/object.h"

namespace llmd::apiserver {

struct Column {
  std::string_view name;
  std::string_view description;
  std::string_view type = "string";
  int priority = 0;  // 1: only with -o wide; the cell is there always
};

struct TableLayout {
  std::vector<Column> columns;
  // One cell per column, for every object.
  std::function<boost::json::array(const kube::Object& object, WallTime now)> cells;
};

const TableLayout& layout_of(const Kind& kind);

enum class IncludeObject { Metadata, Object, None };

// {"kind": "Table", ...}; without definitions for the later events of a watch.
boost::json::object make_table(const Kind& kind, std::span<const kube::Object* const> objects,
                               boost::json::object list_metadata, IncludeObject include, WallTime now,
                               bool definitions = true);

// The object reduced to kind, apiVersion and metadata.
boost::json::object partial_metadata(const kube::Object& object);

// "5s", "2m10s", "3h", "4d2h" since an RFC 3339 time; "<unknown>" without one.
std::string age_text(std::string_view since, WallTime now);
std::string age_of(const kube::Object& object, WallTime now);  // since its creation

// Layouts by group of kinds; nullptr when the file does not know the kind.
const TableLayout* workload_layout(const Kind& kind);
const TableLayout* network_layout(const Kind& kind);
const TableLayout* cluster_layout(const Kind& kind);

}  // namespace llmd::apiserver
