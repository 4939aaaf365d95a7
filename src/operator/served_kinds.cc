#include "operator/served_kinds.h"

#include <fmt/format.h>

namespace llmd::operators {
namespace {

constexpr Duration kServedFor = std::chrono::minutes(10);

}  // namespace

Task<bool> ServedKinds::serves(const kube::Resource& resource) {
  const std::string name = fmt::format("{}/{}", resource.group, resource.plural);
  const TimePoint now = std::chrono::steady_clock::now();
  if (const auto known = answers_.find(name); known != answers_.end() && now < known->second.until) {
    co_return known->second.served;
  }
  // No object has this name: only the kind is asked about.
  kube::ListOptions nothing{.label_selector = {}, .field_selector = "metadata.name=llmd-asks-for-the-kind"};
  const auto listed = co_await client_.list(resource, "", std::move(nothing));
  const bool served = listed || listed.error().kind != ErrorKind::NotFound;
  const bool certain = listed || listed.error().kind == ErrorKind::NotFound ||
                       listed.error().kind == ErrorKind::PermissionDenied;
  if (certain) {
    answers_[name] = {.served = served, .until = now + (served ? kServedFor : kAbsentFor)};
  }
  co_return served;
}

}  // namespace llmd::operators
