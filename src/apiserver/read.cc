// GET of one object and of collections.
#include <boost/json/array.hpp>

#include <charconv>

#include "apiserver/selection.h"
#include "apiserver/service.h"
#include "apiserver/table.h"
#include "crypto/encode.h"

namespace llmd::apiserver {

namespace {

constexpr std::size_t kMaxPage = 10000;

Failure version_in_future(std::uint64_t wanted, std::uint64_t current) {
  Failure failure{504,
                  "Timeout",
                  fmt::format("Timeout: Too large resource version: {}, current: {}", wanted, current),
                  {}};
  boost::json::object cause{{"reason", "ResourceVersionTooLarge"}, {"message", "Too large resource version"}};
  failure.details["causes"] = boost::json::array{std::move(cause)};
  failure.details["retryAfterSeconds"] = 1;
  return failure;
}

// Where the next page starts: version of the first page, then the key of the last object sent.
struct Continuation {
  std::uint64_t version = 0;
  kube::ObjectKey after;

  std::string text() const {
    return crypto::to_base64(fmt::format("{} {} {}", version, after.name_space, after.name));
  }
};

Answer<Continuation> parse_continuation(std::string_view text) {
  const auto bytes = crypto::from_base64(text);
  const std::string plain = bytes ? *bytes : std::string();
  const std::size_t first = plain.find(' ');
  const std::size_t second = first == std::string::npos ? first : plain.find(' ', first + 1);
  if (second == std::string::npos) {
    return std::unexpected(bad_request("continue key is not valid: invalid continue token"));
  }
  LLMD_TRY(const auto version, parse_version(std::string_view(plain).substr(0, first)));
  return Continuation{version, {plain.substr(first + 1, second - first - 1), plain.substr(second + 1)}};
}

Answer<> check_version(const Service& service, const Request& request) {
  const std::string_view text = request.query.find("resourceVersion");
  const std::string_view match = request.query.find("resourceVersionMatch");
  if (!match.empty() && (text.empty() || (match == "Exact" && text == "0"))) {
    return std::unexpected(invalid_option(
        "ListOptions",
        forbidden_value("resourceVersionMatch",
                        text.empty()
                            ? "resourceVersionMatch is forbidden unless resourceVersion is provided"
                            : "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")));
  }
  if (request.query.has("sendInitialEvents")) {
    return std::unexpected(invalid_option(
        "ListOptions", forbidden_value("sendInitialEvents",
                                       "sendInitialEvents is forbidden for watch unless the WatchList "
                                       "feature gate is enabled")));
  }
  if (text.empty() || text == "0") {
    return {};
  }
  LLMD_TRY(const auto version, parse_version(text));
  if (version > service.registry.version()) {
    return std::unexpected(version_in_future(version, service.registry.version()));
  }
  if (match == "Exact" && version < service.registry.version()) {
    return std::unexpected(expired("The resourceVersion for the provided list is too old."));
  }
  return {};
}

struct Page {
  std::vector<const kube::Object*> objects;
  boost::json::object metadata;
};

Answer<Page> select_page(const Service& service, const Request& request) {
  LLMD_TRY_VOID(check_version(service, request));
  LLMD_TRY(const auto selection, read_selection(request));
  std::size_t limit = kMaxPage * 100;
  const std::string_view limit_text = request.query.find("limit");
  std::from_chars(limit_text.data(), limit_text.data() + limit_text.size(), limit);
  Continuation from{service.registry.version(), {}};
  const std::string_view token = request.query.find("continue");
  if (!token.empty()) {
    LLMD_TRY(from, parse_continuation(token));
  }
  const Objects& all = service.registry.objects(request.kind());
  auto position = token.empty() ? all.lower_bound({selection.name_space, ""}) : all.upper_bound(from.after);
  Page page;
  std::size_t remaining = 0;
  Continuation next = from;
  for (; position != all.end(); ++position) {
    if (!selection.name_space.empty() && position->first.name_space != selection.name_space) {
      break;
    }
    if (!selection.matches(*position->second)) {
      continue;
    }
    if (limit > 0 && page.objects.size() >= limit) {
      ++remaining;
      continue;
    }
    page.objects.push_back(position->second.get());
    next.after = position->first;
  }
  page.metadata["resourceVersion"] = std::to_string(from.version);
  if (remaining > 0) {
    page.metadata["continue"] = next.text();
    if (selection.labels.matches_everything() && selection.fields.requirements().empty()) {
      page.metadata["remainingItemCount"] = static_cast<std::int64_t>(remaining);
    }
  }
  return page;
}

Answer<Reply> list_reply(const Service& service, const Request& request) {
  LLMD_TRY(const Form form, negotiate(request.accept));
  LLMD_TRY(auto page, select_page(service, request));
  const kube::Resource& resource = request.resource();
  if (form == Form::Table) {
    const std::string_view include = request.query.find("includeObject");
    return Reply{200, make_table(request.kind(), page.objects, std::move(page.metadata),
                                 include == "Object" ? IncludeObject::Object
                                 : include == "None" ? IncludeObject::None
                                                     : IncludeObject::Metadata,
                                 service.clock.wall_now())};
  }
  boost::json::array items;
  for (const kube::Object* object : page.objects) {
    boost::json::object item = form == Form::Partial ? partial_metadata(*object) : *object;
    if (form != Form::Partial && !request.kind().custom) {
      item.erase("kind");
      item.erase("apiVersion");
    }
    items.push_back(std::move(item));
  }
  boost::json::object list;
  list["kind"] =
      form == Form::Partial ? std::string("PartialObjectMetadataList") : std::string(resource.kind) + "List";
  list["apiVersion"] = form == Form::Partial ? std::string("meta.k8s.io/v1") : resource.api_version();
  list["metadata"] = std::move(page.metadata);
  list["items"] = std::move(items);
  return Reply{200, std::move(list)};
}

Answer<Reply> get_reply(const Service& service, const Request& request) {
  const ObjectPtr object = service.registry.find(request.kind(), request.path.key);
  if (!object) {
    return std::unexpected(object_not_found(request.resource(), request.path.key.name));
  }
  LLMD_TRY(auto body, shaped(service, request, *object));
  return Reply{200, std::move(body)};
}

}  // namespace

Task<void> handle_get(Service& service, http::Exchange& exchange, Request& request) {
  return send(exchange, request, get_reply(service, request));
}

Task<void> handle_list(Service& service, http::Exchange& exchange, Request& request) {
  return send(exchange, request, list_reply(service, request));
}

}  // namespace llmd::apiserver
