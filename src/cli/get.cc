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

// As kubectl abbreviates them.
constexpr std::pair<std::string_view, std::string_view> kShort[] = {{"llmisvc", "llminferenceservices"},
                                                                    {"po", "pods"},
                                                                    {"deploy", "deployments"},
                                                                    {"rs", "replicasets"},
                                                                    {"svc", "services"},
                                                                    {"cm", "configmaps"},
                                                                    {"ev", "events"},
                                                                    {"no", "nodes"},
                                                                    {"ns", "namespaces"},
                                                                    {"sa", "serviceaccounts"}};

Result<const kube::Resource*> resource_named(std::string_view name) {
  const auto found = std::ranges::find(kShort, name, &std::pair<std::string_view, std::string_view>::first);
  const std::string_view full = found == std::end(kShort) ? name : found->second;
  std::vector<std::string_view> names;
  for (const kube::Resource& resource : kube::known_resources()) {
    if (full == resource.plural || full == to_lower(resource.kind)) {
      return &resource;
    }
    names.push_back(resource.plural);
  }
  const std::string hint = did_you_mean(name, names);
  return not_found("no kind '{}'", name)
      .hint(hint.empty() ? "for instance llmisvc, pods, deployments or services" : hint);
}

std::string cell_text(const boost::json::value& cell) {
  if (cell.is_null()) {
    return {};
  }
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
  command_line.positional("KIND", kind, "llmisvc, pods, deployments, services, ...; several with commas")
      .required();
  command_line.positional("NAME", name, "only this object");
  command_line.add("-n,--namespace", name_space, "only this namespace (default: all)");
  command_line.add("--data", data, "data directory of the llmd up");
  LLMD_TRY(const bool go_on, command_line.parse(arguments));
  if (!go_on) {
    return 0;
  }
  std::vector<const kube::Resource*> resources;
  for (const std::string_view each : split(kind, ',')) {
    LLMD_TRY(resources.emplace_back(), resource_named(trim(each)));
  }
  async::EventLoop loop;
  LLMD_TRY(auto api, ApiCall::open(loop, data));
  for (const kube::Resource* resource : resources) {
    const std::string in =
        name.empty() || !name_space.empty() || !resource->namespaced ? name_space : "default";
    LLMD_TRY(const auto body, loop.block_on(api.get(resource->path(in, name), std::string(kTable))));
    boost::system::error_code error;
    const auto table = boost::json::parse(body, error);
    if (error || !table.is_object() || !table.as_object().contains("rows")) {
      return internal_error("the API server did not answer with a table");
    }
    fmt::print("{}{}", resource == resources.front() ? "" : "\n",
               print_table(table.as_object(), resource->namespaced && in.empty()));
  }
  return 0;
}

}  // namespace llmd::cli
