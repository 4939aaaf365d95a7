#include "apiserver/table.h"

namespace llmd::apiserver {

namespace {

using boost::json::array;
using boost::json::object;

object definition(const Column& column, bool first) {
  return {{"name", column.name},
          {"type", column.type},
          {"format", first ? "name" : ""},
          {"description", column.description},
          {"priority", column.priority}};
}

// Kinds that nobody wrote columns for.
const TableLayout& plain_layout() {
  static const TableLayout layout{
      {{"Name", "name of the object"}, {"Created At", "when the object was made", "date"}},
      [](const kube::Object& item, WallTime) {
        return array{boost::json::value(std::string(kube::name_of(item))),
                     boost::json::value(std::string(kube::find_string(item, "metadata.creationTimestamp")))};
      }};
  return layout;
}

}  // namespace

std::string age_text(std::string_view since, WallTime now) {
  const auto start = parse_rfc3339(since);
  if (!start) {
    return "<unknown>";
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - *start).count();
  constexpr long long kMinute = 60;
  constexpr long long kHour = 60 * kMinute;
  constexpr long long kDay = 24 * kHour;
  constexpr long long kYear = 365 * kDay;
  const auto two = [](long long big, std::string_view unit, long long small, std::string_view small_unit) {
    return small == 0 ? fmt::format("{}{}", big, unit)
                      : fmt::format("{}{}{}{}", big, unit, small, small_unit);
  };
  if (seconds < -1) {
    return "<invalid>";
  }
  if (seconds < 2 * kMinute) {
    return fmt::format("{}s", std::max<long long>(0, seconds));
  }
  if (seconds < 10 * kMinute) {
    return two(seconds / kMinute, "m", seconds % kMinute, "s");
  }
  if (seconds < 3 * kHour) {
    return fmt::format("{}m", seconds / kMinute);
  }
  if (seconds < 8 * kHour) {
    return two(seconds / kHour, "h", seconds % kHour / kMinute, "m");
  }
  if (seconds < 2 * kDay) {
    return fmt::format("{}h", seconds / kHour);
  }
  if (seconds < 8 * kDay) {
    return two(seconds / kDay, "d", seconds % kDay / kHour, "h");
  }
  if (seconds < 2 * kYear) {
    return fmt::format("{}d", seconds / kDay);
  }
  if (seconds < 8 * kYear) {
    return two(seconds / kYear, "y", seconds % kYear / kDay, "d");
  }
  return fmt::format("{}y", seconds / kYear);
}

std::string age_of(const kube::Object& object, WallTime now) {
  return age_text(kube::find_string(object, "metadata.creationTimestamp"), now);
}

const TableLayout& layout_of(const Kind& kind) {
  for (const auto find : {workload_layout, network_layout, cluster_layout}) {
    if (const TableLayout* layout = find(kind)) {
      return *layout;
    }
  }
  return plain_layout();
}

object partial_metadata(const kube::Object& item) {
  object partial{{"kind", "PartialObjectMetadata"}, {"apiVersion", "meta.k8s.io/v1"}};
  const kube::Object* metadata = kube::find_object(item, "metadata");
  partial["metadata"] = metadata ? *metadata : object();
  return partial;
}

object make_table(const Kind& kind, std::span<const kube::Object* const> objects, object list_metadata,
                  IncludeObject include, WallTime now, bool definitions) {
  const TableLayout& layout = layout_of(kind);
  object table{{"kind", "Table"}, {"apiVersion", "meta.k8s.io/v1"}};
  table["metadata"] = std::move(list_metadata);
  if (definitions) {
    array columns;
    for (const Column& column : layout.columns) {
      columns.push_back(definition(column, columns.empty()));
    }
    table["columnDefinitions"] = std::move(columns);
  } else {
    table["columnDefinitions"] = nullptr;
  }
  array rows;
  for (const kube::Object* item : objects) {
    object row;
    row["cells"] = layout.cells(*item, now);
    if (include == IncludeObject::Object) {
      row["object"] = *item;
    } else if (include == IncludeObject::Metadata) {
      row["object"] = partial_metadata(*item);
    }
    rows.push_back(std::move(row));
  }
  table["rows"] = std::move(rows);
  return table;
}

}  // namespace llmd::apiserver
