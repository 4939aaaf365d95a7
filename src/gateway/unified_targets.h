// The endpoints that serve one model for one request: the preferred targets first (pool before service before
// pod), among equals the least loaded, within a target as its picker decides. While nobody is ready, waits
// until somebody is, bounded, and tells a streaming client that it does. Private to gateway.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "async/event.h"
#include "gateway/decided_targets.h"
#include "gateway/external_relay.h"
#include "gateway/model_directory.h"
#include "gateway/traffic.h"
#include "openai/media_items.h"

namespace llmd::gateway {

// What a client wants; everything outlives the targets.
struct UnifiedRequest {
  picker::Request request;  // without its media: what they cost is each target's own matter
  std::string_view model;
  std::string_view owner;
  const openai::RequestScan& scan;
  std::string_view scanned;  // the body
  const http::Headers& headers;
};

class UnifiedTargets final : public DecidedTargets {
 public:
  // The mappings come from `catalog`, which is replaced when it has changed.
  UnifiedTargets(Shared& shared, async::Event& changed, Visit& visit, const UnifiedRequest& wanted);

  // Decides, waiting as next() does. True: the target decides elsewhere: its picker is to be asked, and
  // next() only after fail_open().
  Task<bool> asks_elsewhere();
  ExternallyPicked elsewhere() const;
  // That picker has no decision, and any endpoint of its pool will do.
  void fail_open();
  Task<Result<net::Address>> next() override;
  // Of the one in use.
  const BackendProtocol& protocol() const { return target_->protocol; }
  void settled(bool rival_serves, bool other_failed) override;

 private:
  struct Candidate {
    const ModelMapping* mapping = nullptr;
    const Serving* serving = nullptr;
    bool preferred = false;
    double load = 0;
    std::size_t place = 0;  // among those with the same load
  };
  // Of the same target: it speaks the same protocol.
  Result<picker::Decision> another() override;
  std::vector<Candidate> candidates(const ModelCatalog& catalog);
  // The answer, or why this target has none.
  std::expected<picker::Decision, picker::Rejection> pick_from(const Candidate& candidate);
  picker::Request request_to(const Candidate& candidate);
  std::span<const openai::MediaItem> media_for(const Candidate& candidate);
  // Whether the preferred target lets requests in by their priority; it has answered then.
  Task<bool> queue();
  bool take_one();
  bool take_of_session(const std::vector<Candidate>& all);
  void accept(const Candidate& candidate, picker::Decision decision);
  void use(const Candidate& candidate);
  bool decides_elsewhere(const Candidate& candidate) const;
  Task<Result<void>> choose();
  Task<Result<void>> wait();

  async::Event& changed_;
  Visit& visit_;
  const UnifiedRequest wanted_;
  std::string_view model_;
  std::string_view owner_;
  // By the picker whose configuration says what they cost.
  std::vector<std::pair<std::shared_ptr<const picker::Picker>, std::vector<openai::MediaItem>>> media_;
  std::string_view session_;                      // empty: none
  async::Deadline total_;                         // of the request
  async::Deadline deadline_;                      // for an endpoint
  bool handed_out_ = false;                       // the decision, by next()
  std::shared_ptr<const ModelTarget> target_;     // of the decision, or the one that decides elsewhere
  std::shared_ptr<const picker::Picker> picker_;  // of it
  bool elsewhere_ = false;
  std::string opened_;             // key of the target that is picked for here although it decides elsewhere
  const bool tunnel_;              // asks for a connection that only HTTP/1.1 has
  bool turned_away_ = false;       // by the queue; rejected_ says why
  std::optional<Error> rejected_;  // by a picker, for another reason than that nobody is there
  bool waited_ = false;
};

}  // namespace llmd::gateway
