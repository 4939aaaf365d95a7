// PickerAnswer: the answer to a request that an external picker picked for. Shows head, body and trailers to
// the picker on their way to the client and passes on what the picker makes of them, piece by piece. A picker
// that goes away while nothing is lost is done without: the answer continues as the engine sends it. Private
// to gateway; one loop, one request.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "async/event.h"
#include "gateway/forwarding_exchange.h"
#include "gateway/picker_call.h"

namespace llmd::gateway {

class PickerAnswer final : public ForwardingExchange {
 public:
  struct Options {
    Duration patience;                       // with a picker that says nothing when it should
    std::function<std::string()> served_by;  // "10.0.0.1:8000": who answers
  };
  PickerAnswer(http::Exchange& inner, PickerCall& call, Options options, Executor executor)
      : ForwardingExchange(inner), call_(call), options_(std::move(options)), changed_(executor) {}

  // Passes on what the picker sends, beside the task that writes the answer, until cancelled or the answer's
  // end.
  Task<void> pump();

  using http::Exchange::respond;
  Task<Result<void>> respond(http::ResponseHead head, std::string_view body) override;
  Task<Result<void>> start(http::ResponseHead head, std::string_view first) override;
  Task<Result<void>> write(std::string_view bytes) override;
  Task<Result<void>> finish(std::string_view last) override;
  void set_trailers(http::Headers trailers) override { trailers_ = std::move(trailers); }
  bool started() const override { return started_ || inner_.started(); }

 private:
  // How the bytes of the answer travel.
  enum class Way {
    Picker,    // through the picker
    Straight,  // without it: it does not want them, or is gone
    Replaced,  // nowhere: the picker has answered instead
    Broken,    // nowhere: the picker left with a part of them
  };
  Task<void> show_head(http::ResponseHead& head, bool end_of_stream);
  Task<Result<void>> send(std::string_view bytes, bool last);
  Task<void> wait_for_the_rest();
  bool shows_trailers() const { return trailers_ && !lost_ && call_.wants_response_trailers(); }
  Task<Result<void>> send_with_trailers(std::string_view last);
  Task<void> show_trailers();
  Task<Result<void>> end(std::string_view last);
  Result<void> outcome();
  Error broken();
  Task<Result<void>> answer_instead();
  Task<void> take(const envoy::ProcessingResponse& response);
  Task<void> pass_on(std::string_view piece, bool last);
  Task<void> do_without();
  void remember(std::string_view bytes);
  void forget(std::string_view piece);

  PickerCall& call_;
  const Options options_;
  async::Event changed_;
  Way way_ = Way::Picker;
  bool started_ = false;
  bool lost_ = false;  // the picker is gone

  http::ResponseHead* head_ = nullptr;  // that the picker is looking at
  std::optional<ImmediateAnswer> instead_;

  std::optional<http::Headers> trailers_;  // to follow the body
  bool trailers_shown_ = false;            // the picker is looking at them

  std::string unreturned_;  // bytes that the picker has and has not given back
  bool restorable_ = true;  // ... and nothing else is missing
  bool finishing_ = false;  // the engine has said everything
  bool ended_ = false;      // the client has everything
  bool writing_ = false;    // pump() is
  bool told_ = false;       // the relay knows that the answer is broken
  std::optional<Error> client_failure_;

  bool collecting_ = false;  // a whole answer: what comes back is put together here
  std::string collected_;
  std::size_t most_collected_ = 0;
};

}  // namespace llmd::gateway
