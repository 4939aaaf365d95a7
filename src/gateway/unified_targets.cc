#include "gateway/unified_targets.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "crypto/hash.h"
#include "gateway/picker_request.h"
#include "picker/plan.h"
#include "proxy/tunnel.h"

namespace llmd::gateway {
namespace {

// Requests per endpoint and unit of weight.
double load_of(const Serving& serving) {
  const auto snapshot = serving.picker->endpoints();
  double running = 0;
  for (const auto& endpoint : snapshot->endpoints) {
    running += endpoint->running();
  }
  const auto count = static_cast<double>(std::max<std::size_t>(snapshot->endpoints.size(), 1));
  return running / (count * serving.target->weight);
}

bool contains(const std::vector<net::Address>& addresses, const net::Address& address) {
  return std::ranges::find(addresses, address) != addresses.end();
}

}  // namespace

UnifiedTargets::UnifiedTargets(Shared& shared, async::Event& changed, Visit& visit,
                               const UnifiedRequest& wanted)
    : DecidedTargets(shared, wanted.model),
      changed_(changed),
      visit_(visit),
      wanted_(wanted),
      model_(wanted.model),
      owner_(wanted.owner),
      total_(shared.end_of(visit.answer().began())),
      deadline_(total_.or_after(shared.options.endpoint_wait)),
      tunnel_(proxy::asks_for_upgrade(visit.answer().request())) {
  const std::string& header = shared.traffic.configuration.unified.sessionHeader;
  if (!header.empty()) {
    session_ = visit.answer().request().headers.find(header).value_or("");
  }
}

std::vector<UnifiedTargets::Candidate> UnifiedTargets::candidates(const ModelCatalog& catalog) {
  std::vector<Candidate> all;
  const auto mappings = catalog.find(model_, owner_);
  if (!mappings) {
    return all;
  }
  for (const ModelMapping* mapping : *mappings) {
    const Via best = mapping->via();
    for (const Serving& serving : mapping->serving) {
      if (tunnel_ && serving.target->protocol.http2) {
        continue;
      }
      all.push_back({.mapping = mapping,
                     .serving = &serving,
                     .preferred = serving.target->via == best,
                     .load = load_of(serving)});
    }
  }
  // Equals take turns.
  // Multiples of the golden ratio: even whatever else counts turns.
  const double fraction = shared_.turn++ * 0.6180339887498949;
  const auto first =
      static_cast<std::size_t>((fraction - std::floor(fraction)) * static_cast<double>(all.size()));
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i].place = (i + all.size() - first) % all.size();
  }
  std::ranges::sort(all, {},
                    [](const Candidate& each) { return std::tuple(!each.preferred, each.load, each.place); });
  return all;
}

std::span<const openai::MediaItem> UnifiedTargets::media_for(const Candidate& candidate) {
  const auto& picker = candidate.serving->picker;
  for (const auto& [known, media] : media_) {
    if (known == picker) {
      return media;
    }
  }
  auto media = media_of(wanted_.scan, wanted_.scanned, wanted_.headers, picker->plan().media);
  return media_.emplace_back(picker, std::move(media)).second;
}

picker::Request UnifiedTargets::request_to(const Candidate& candidate) {
  picker::Request request = wanted_.request;
  request.priority = priority_of(request.objective, candidate.serving->target->priorities);
  if (wanted_.scan.multimodal()) {
    request.media = media_for(candidate);
    request.estimated_tokens = openai::estimated_tokens(wanted_.scan, request.media);
  }
  return request;
}

std::expected<picker::Decision, picker::Rejection> UnifiedTargets::pick_from(const Candidate& candidate) {
  const picker::Request request = request_to(candidate);
  const auto snapshot = candidate.serving->picker->endpoints();
  std::vector<picker::EndpointPtr> exclude;
  for (const picker::EndpointPtr& endpoint : snapshot->endpoints) {
    const net::Address& address = endpoint->endpoint.address;
    if (has_tried(address) || contains(candidate.serving->not_serving, address)) {
      exclude.push_back(endpoint);
    }
  }
  const auto avoided = shared_.outliers.avoided(snapshot->endpoints, shared_.turn++);
  if (!avoided.empty()) {
    auto healthy = exclude;
    healthy.insert(healthy.end(), avoided.begin(), avoided.end());
    if (auto decided = candidate.serving->picker->pick(request, healthy)) {
      return decided;
    }
  }
  return candidate.serving->picker->pick(request, exclude);
}

void UnifiedTargets::accept(const Candidate& candidate, picker::Decision decision) {
  decision_ = std::move(decision);
  use(candidate);
  visit_.set_upstream(decision_.endpoint().address.to_string());
}

void UnifiedTargets::use(const Candidate& candidate) {
  target_ = candidate.serving->target;
  picker_ = candidate.serving->picker;
  RequestNotes& notes = visit_.notes();
  notes.owner = candidate.mapping->card.owned_by;
  notes.via = to_string(target_->via);
}

bool UnifiedTargets::decides_elsewhere(const Candidate& candidate) const {
  return candidate.serving->target->external && candidate.serving->target->key != opened_;
}

// The endpoint with the highest random weight for this session: one that comes or goes moves only the
// sessions it gets or had.
bool UnifiedTargets::take_of_session(const std::vector<Candidate>& all) {
  const std::uint64_t seed = crypto::xxh64(session_);
  const Candidate* best = nullptr;
  picker::EndpointPtr chosen;
  std::uint64_t heaviest = 0;
  for (const Candidate& candidate : all) {
    if (decides_elsewhere(candidate)) {
      continue;
    }
    const auto snapshot = candidate.serving->picker->endpoints();
    const auto avoided = shared_.outliers.avoided(snapshot->endpoints, shared_.turn++);
    for (const picker::EndpointPtr& endpoint : snapshot->endpoints) {
      const net::Address& address = endpoint->endpoint.address;
      const std::uint64_t weight = crypto::xxh64(endpoint->destination, seed);
      const bool usable = candidate.preferred && !has_tried(address) &&
                          !contains(candidate.serving->not_serving, address) &&
                          std::ranges::find(avoided, endpoint) == avoided.end();
      if (usable && (best == nullptr || weight > heaviest)) {
        best = &candidate;
        chosen = endpoint;
        heaviest = weight;
      }
    }
  }
  if (best == nullptr) {
    return false;
  }
  const auto snapshot = best->serving->picker->endpoints();
  std::vector<picker::EndpointPtr> others = snapshot->endpoints;
  std::erase(others, chosen);
  auto decided = best->serving->picker->pick(request_to(*best), others);
  if (decided) {
    accept(*best, std::move(*decided));
  }
  return decided.has_value();
}

bool UnifiedTargets::take_one() {
  const auto catalog = shared_.directory->catalog();
  const auto all = candidates(*catalog);
  if (!session_.empty() && take_of_session(all)) {
    return true;
  }
  for (const Candidate& candidate : all) {
    if (decides_elsewhere(candidate)) {
      // A picker is asked once, before anything is sent: it may change the body.
      const bool too_late = !tried_.empty() || !opened_.empty();
      if (too_late || candidate.serving->target->endpoints.empty()) {
        continue;
      }
      use(candidate);
      elsewhere_ = true;
      return true;
    }
    auto decided = pick_from(candidate);
    if (!decided) {
      if (decided.error().status != 503) {
        rejected_ = decided.error().error();
      }
      continue;
    }
    accept(candidate, std::move(*decided));
    return true;
  }
  return false;
}

Task<Result<void>> UnifiedTargets::wait() {
  if (!waited_) {
    waited_ = true;
    shared_.traffic.metrics.waited_for_model();
  }
  changed_.reset();
  const Duration pause = shared_.traffic.configuration.unified.progressInterval;
  const async::Deadline next = wanted_.request.stream ? deadline_.or_after(pause) : deadline_;
  const bool changed = co_await changed_.wait_until(next);
  if (changed) {
    co_return Result<void>();
  }
  if (total_.expired()) {
    co_return deadline_exceeded("total deadline: no endpoint of the model `{}` became ready", model_);
  }
  if (deadline_.expired()) {
    co_return unavailable(
        "the model `{}` has no ready endpoint, and none became ready within {} s", model_,
        std::chrono::duration_cast<std::chrono::seconds>(shared_.options.endpoint_wait).count())
        .hint("it may still be loading; try again later");
  }
  co_return co_await visit_.answer().progress(fmt::format("waiting for the model {} to start", model_));
}

Task<bool> UnifiedTargets::queue() {
  if (turned_away_) {
    co_return true;
  }
  const auto catalog = shared_.directory->catalog();  // candidates point into it
  const auto all = candidates(*catalog);
  // What is tried again has had its turn.
  if (all.empty() || !tried_.empty() || decides_elsewhere(all.front())) {
    co_return false;
  }
  const Candidate& first = all.front();
  const picker::Picker& gate = *first.serving->picker;
  if (!gate.waits() || gate.endpoints()->endpoints.empty()) {
    co_return false;
  }
  auto admitted = co_await gate.decide(request_to(first), deadline_);
  if (!admitted) {
    rejected_ = admitted.error().error();
    turned_away_ = true;
    co_return true;
  }
  if (!session_.empty() && take_of_session(all)) {
    co_return true;
  }
  if (contains(first.serving->not_serving, admitted->endpoint().address)) {
    co_return false;
  }
  accept(first, std::move(*admitted));
  co_return true;
}

Task<Result<void>> UnifiedTargets::choose() {
  while (!decision_.lease && !elsewhere_) {
    const bool queued = co_await queue();
    if (!queued && take_one()) {
      break;
    }
    if (queued && !turned_away_) {
      break;
    }
    if (rejected_) {
      co_return std::unexpected(*rejected_);
    }
    if (!tried_.empty()) {
      co_return unavailable("no other endpoint serves the model `{}`", model_);
    }
    LLMD_CO_TRY_VOID(co_await wait());
  }
  co_return Result<void>();
}

// A failure is told by next(), which finds the same.
Task<bool> UnifiedTargets::asks_elsewhere() {
  co_await choose();
  co_return elsewhere_;
}

ExternallyPicked UnifiedTargets::elsewhere() const {
  return {*target_->external, target_->protocol, *picker_};
}

void UnifiedTargets::fail_open() {
  elsewhere_ = false;
  opened_ = target_->key;
}

Task<Result<net::Address>> UnifiedTargets::next() {
  if (handed_out_) {
    handed_out_ = false;
    LLMD_CO_TRY_VOID(give_up());
  }
  LLMD_CO_TRY_VOID(co_await choose());
  handed_out_ = true;
  co_return destination_of(decision_);
}

Result<picker::Decision> UnifiedTargets::another() {
  const auto catalog = shared_.directory->catalog();  // candidates point into it
  for (const Candidate& candidate : candidates(*catalog)) {
    if (candidate.serving->picker != picker_) {
      continue;
    }
    if (auto decided = pick_from(candidate)) {
      return std::move(*decided);
    }
  }
  return unavailable("no other endpoint serves the model `{}`", model_);
}

void UnifiedTargets::settled(bool rival_serves, bool other_failed) {
  DecidedTargets::settled(rival_serves, other_failed);
  if (rival_serves) {
    visit_.set_upstream(decision_.endpoint().address.to_string());
  }
}

}  // namespace llmd::gateway
