// `llmd get KIND [NAME]`: the table the API server makes, for machines without kubectl.
#include <boost/json.hpp>

#include <algorithm>

#include "base/strings.h"
#include "cli/api_call.h"
#include "cli/options.h"
#include "kube/resource.h"

namespace llmd::cli {
namespace {

constexpr std::string_view kTable = "application/json;as=Table;v=v1;g=meta.k8s.io";

Result<const kube::Resource*> resource_named(const std::string& name) {
  std::vector<std::string_view> names;
  for (const kube::Resource& resource : kube::known_resources()) {
    const std::string kind = to_lower(resource.kind);
    const bool is_short = name == "llmisvc" && resource == kube::kLlmServices;
    if (is_short || name == resource.plural || name == kind ||
        (name == "deploy" && resource == kube::kDeployments) ||
        (name == "svc" && resource == kube::kServices)) {
      return &resource;
    }
    names.push_back(resource.plural);
  }
  return not_found("no kind '{}'", name).hint(did_you_mean(name, names));
}

std::string cell_text(const boost::json::value& cell) {
  return cell.is_string() ? std::string(cell.as_string()) : boost::json::serialize(cell);
}

// Columns of priority 0, as wide as their widest cell, three spaces between: as kubectl prints.
std::string print_table(const kube::Object& table, bool with_namespace) {
  std::vector<std::vector<std::string>> rows(1);
  std::vector<std::size_t> shown;
  const auto& columns = table.at("columnDefinitions").as_array();
  if (with_namespace) {
    rows[0].emplace_back("NAMESPACE");
  }
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (kube::find_int(columns[i].as_object(), "priority", 0) == 0) {
      shown.push_back(i);
      std::string name(kube::find_string(columns[i].as_object(), "name"));
      std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::toupper(c); });
      rows[0].push_back(std::move(name));
    }
  }
  for (const auto& row : table.at("rows").as_array()) {
    auto& out = rows.emplace_back();
    if (with_namespace) {
      out.emplace_back(kube::find_string(row.as_object(), "object.metadata.namespace"));
    }
    for (const std::size_t i : shown) {
      out.push_back(cell_text(row.as_object().at("cells").as_array().at(i)));
    }
  }
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      std::size_t width = 0;
      for (const auto& each : rows) {
        width = std::max(width, each[column].size());
      }
      text += column + 1 == row.size() ? row[column] : fmt::format("{:<{}}", row[column], width + 3);
    }
    text += '\n';
  }
  return text;
}

}  // namespace

Result<int> run_get(Arguments arguments) {
  std::string kind;
  std::string name;
  std::string name_space;
  std::string data;
  Options command_line("llmd get", "Lists objects of the running llmd up.");
  command_line.positional("KIND", kind, "llmisvc, pods, deployments, services, ...").required();
  command_line.positional("NAME", name, "only this object");
  command_line.add("-n,--namespace", name_space, "only this namespace (default: all)");
  command_line.add("--data", data, "data directory of the llmd up");
  LLMD_TRY(const bool go_on, command_line.parse(arguments));
  if (!go_on) {
    return 0;
  }
  LLMD_TRY(const auto* resource, resource_named(kind));
  if (!name.empty() && name_space.empty() && resource->namespaced) {
    name_space = "default";
  }
  async::EventLoop loop;
  LLMD_TRY(auto api, ApiCall::open(loop, data));
  LLMD_TRY(const auto body, loop.block_on(api.get(resource->path(name_space, name), std::string(kTable))));
  boost::system::error_code error;
  const auto table = boost::json::parse(body, error);
  if (error || !table.is_object() || !table.as_object().contains("rows")) {
    return internal_error("the API server did not answer with a table");
  }
  fmt::print("{}", print_table(table.as_object(), resource->namespaced && name_space.empty()));
  return 0;
}

}  // namespace llmd::cli
