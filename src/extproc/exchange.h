// One request of a proxy's client, as a series of ext_proc messages. Private to extproc.
#pragma once

#include <random>

#include "async/event.h"
#include "envoy/ext_proc.h"
#include "extproc/body_pieces.h"
#include "extproc/header_table.h"
#include "extproc/pools.h"
#include "extproc/renderers.h"
#include "extproc/request_spans.h"
#include "extproc/service.h"
#include "extproc/usage_finder.h"
#include "openai/request_scan.h"

namespace llmd::extproc {

// What a proxy has in its hands while bodies pass by (the size that llm-d's picker uses, too).
inline constexpr std::size_t kPieceBytes = 62'000;

// What the exchanges of a service have in common.
struct Service::Shared {
  Shared(std::shared_ptr<const Pools> used, ServiceMetrics& counted, ServiceOptions chosen);
  // One pool; the picker outlives this.
  Shared(const picker::Picker& used, ServiceMetrics& counted, ServiceOptions chosen);

  const std::shared_ptr<const Pools> pools;
  ServiceMetrics& metrics;
  ServiceOptions options;
  std::size_t held = 0;
  int short_in_a_row = 0;
  bool warned_short = false;
  bool warned_oversized = false;
  Renderers renderers;
  std::uint64_t requests = 0;                       // one of sixteen is measured
  std::minstd_rand random{std::random_device{}()};  // chooses between the targets of a rewrite
  void answer_hidden(Duration since_headers);

  // Scratch memory of the message in hand: everything is done before the next one comes.
  envoy::ProcessingRequest message;
  std::string answer;
  std::vector<http::KeptBytes> pieces;
};

// Adds the time it lives to `sum`; null: does not look at the clock.
class ParseTimer {
 public:
  explicit ParseTimer(Duration* sum) : sum_(sum) {
    if (sum_ != nullptr) {
      began_ = std::chrono::steady_clock::now();
    }
  }
  ~ParseTimer() {
    if (sum_ != nullptr) {
      *sum_ += std::chrono::steady_clock::now() - began_;
    }
  }
  ParseTimer(const ParseTimer&) = delete;

 private:
  Duration* const sum_;
  TimePoint began_;
};

class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(Service::Shared& shared, http::GrpcCall& call);
  ~Exchange();

  void message(std::string_view bytes);
  void half_closed();
  void drained();
  void sending();
  // The call ends by itself: closed() comes next.
  void failed(const http::GrpcStatus& status);
  // The stream is over; the call must not be used any more.
  void closed();
  // How the stream ended, as gRPC calls it.
  std::string_view ended_as() const { return ended_as_; }

 private:
  enum class Step { Begin, Collecting, Deciding, Decided, Answering, Done };
  using Part = envoy::Part;

  void request_headers(std::string_view bytes);
  void request_body();
  void request_trailers();
  void response_headers();
  void response_body();
  void response_trailers();

  bool duplex_request() const { return modes_.request_body == envoy::BodyMode::FullDuplexStreamed; }
  bool buffers_request() const;
  bool waits_for_body() const;
  bool hold(std::string_view body);
  void release_body();
  bool understand_body();
  bool refuse_body();
  bool read_call(std::string_view parser);
  void find_media(std::string_view scanned);
  void read_features();
  Renderer* asks_for_tokens();
  bool has_model();
  bool lists_models();
  void send_model_list();
  void add_model(std::string_view quoted);
  bool choose_pool();
  std::string_view path() const;
  picker::Request describe();
  void decide();
  void decide_by_headers();
  static Task<void> render(std::shared_ptr<Exchange> self);
  static Task<picker::PickResult<picker::Decision>> find_endpoint(std::shared_ptr<Exchange> self);
  static Task<void> decide_later(std::shared_ptr<Exchange> self);
  void decided(picker::PickResult<picker::Decision> result);
  void reject(const picker::Rejection& rejection);
  void reject(int status, std::string_view code, std::string message);
  void immediate(int status, std::string_view body, std::span<const envoy::HeaderFieldView> headers);

  void rewrite_model();
  bool restore_model(std::string_view body, std::string& restored) const;
  void send_decision();
  void evicted();
  void answer_held_messages();
  void answer_pending_trailers();
  void send_request_body(std::size_t queue_at_most);
  void send_rest_of_body();
  void send_piece(Part part, BodyPieces& body, bool end_of_stream);
  void send_echo(bool all);
  void send_answer();
  void complete();
  void stream_ended();

  Service::Shared& shared_;
  http::GrpcCall* call_;  // null: closed
  Step step_ = Step::Begin;
  bool modes_known_ = false;
  envoy::ProtocolConfig modes_{.request_body = envoy::BodyMode::FullDuplexStreamed,
                               .response_body = envoy::BodyMode::FullDuplexStreamed};

  // The request.
  TimePoint received_;
  std::uint64_t measured_ = 0;  // how often the time to read its bodies counts; 0: it is not measured
  Duration request_parsing_{};
  Duration answer_parsing_{};
  HeaderTable headers_;
  std::string request_id_;  // made here, when the client sent none
  openai::RequestScan scan_;
  bool is_json_ = false;
  BodyPieces body_;
  bool body_begun_ = false;  // to go back
  bool body_changed_ = false;
  bool model_added_ = false;  // by a rewrite; the client named none
  bool headers_only_ = false;
  bool body_complete_ = false;
  std::size_t held_messages_ = 0;  // of the body, not answered yet
  bool trailers_pending_ = false;
  bool half_closed_ = false;
  std::string metadata_;  // the last metadata_context that came with the request
  std::vector<std::string_view> subset_;

  RequestSpans spans_;

  Renderer::Rendered rendered_;  // when an engine was asked
  std::vector<kvcache::PlacedItem> placed_media_;
  std::vector<openai::MediaItem> media_;

  // The decision. Rules stay as they were when the pool was chosen.
  PoolPtr pool_;
  std::shared_ptr<const Rules> rules_;
  std::string_view target_model_;  // in rules_ or headers_; empty: the client's
  std::optional<picker::Decision> decision_;
  std::unique_ptr<async::Event> gone_;  // while it waits
  std::string destinations_;

  // The answer.
  UsageFinder usage_;
  // Of its body, what has not been sent back yet: what arrives together goes back together.
  BodyPieces echo_;
  bool echo_ends_ = false;
  int status_ = 0;
  std::size_t response_bytes_ = 0;
  bool first_token_ = false;
  std::string_view ended_as_ = "OK";
  std::string failure_;  // of the call; empty: whoever began it ended it
  bool answer_began_ = false;
  TimePoint answered_at_;  // the response headers
};

}  // namespace llmd::extproc
