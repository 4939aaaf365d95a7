#include "gateway/picker_answer.h"

#include "base/log.h"

namespace llmd::gateway {
namespace {

using envoy::Part;

// More that the picker holds back cannot be restored when it goes away.
constexpr std::size_t kMostUnreturned = 1024 * 1024;
// A picker may make an answer longer: names, usage.
constexpr std::size_t kMostAdded = 1024 * 1024;

bool has_no_body(const http::RequestHead& request, int status) {
  return request.method == "HEAD" || status == 204 || status == 304;
}

}  // namespace

// --- what the picker says

Task<void> PickerAnswer::pump() {
  while (!ended_ && !lost_) {
    const auto response = co_await call_.receive();
    if (!response) {
      if (way_ != Way::Picker) {  // it may leave when it does not want the body
        lost_ = true;
        changed_.set();
      } else if (!ended_) {
        log::warning("the endpoint picker left before the answer's end",
                     {{"error", response.error().text()}});
        co_await do_without();
      }
      co_return;
    }
    co_await take(**response);
  }
}

Task<void> PickerAnswer::take(const envoy::ProcessingResponse& response) {
  if (response.part == Part::ResponseTrailers && std::exchange(trailers_shown_, false)) {
    apply_changes(response, *trailers_);
    changed_.set();
    co_return;
  }
  if (way_ != Way::Picker) {
    co_return;  // too late
  }
  if (response.immediate_status) {
    instead_ = immediate_answer(response);
  } else if (response.part == Part::ResponseHeaders && head_ != nullptr) {
    apply_changes(response, std::exchange(head_, nullptr)->headers);
  } else if (response.part == Part::ResponseBody && response.has_body) {
    co_await pass_on(response.body, response.end_of_stream);
  }
  changed_.set();
}

Task<void> PickerAnswer::pass_on(std::string_view piece, bool last) {
  if (collecting_) {
    if (collected_.size() + piece.size() <= most_collected_) {
      collected_ += piece;
      ended_ = last;
    } else {
      way_ = Way::Straight;  // nobody needs that much of a picker
    }
    co_return;
  }
  forget(piece);
  writing_ = true;
  const auto sent = last ? co_await end(piece) : co_await inner_.write(piece);
  if (!sent && !client_failure_) {
    client_failure_ = sent.error();
  }
  writing_ = false;
  ended_ = ended_ || last;
}

Task<void> PickerAnswer::do_without() {
  lost_ = true;
  if (!started_ || head_ != nullptr || collecting_) {
    way_ = Way::Straight;  // those who wait have it all
  } else if (!restorable_) {
    way_ = Way::Broken;
  } else {
    std::string rest;
    while (!unreturned_.empty() && !client_failure_) {  // more may come meanwhile
      rest.clear();
      rest.swap(unreturned_);
      if (const auto sent = co_await inner_.write(rest); !sent) {
        client_failure_ = sent.error();
      }
    }
    if (finishing_ && !client_failure_) {
      const auto finished = co_await end({});
      ended_ = finished.has_value();
    }
    way_ = Way::Straight;
  }
  changed_.set();
}

void PickerAnswer::remember(std::string_view bytes) {
  restorable_ = restorable_ && unreturned_.size() + bytes.size() <= kMostUnreturned;
  if (restorable_) {
    unreturned_ += bytes;
  }
}

void PickerAnswer::forget(std::string_view piece) {
  restorable_ = restorable_ && std::string_view(unreturned_).starts_with(piece);
  if (restorable_) {
    unreturned_.erase(0, piece.size());
  } else {
    unreturned_.clear();
  }
}

// --- what the engine says

Task<void> PickerAnswer::show_head(http::ResponseHead& head, bool end_of_stream) {
  started_ = true;
  if (lost_ || !call_.wants_response_headers()) {
    way_ = way_ == Way::Picker ? Way::Straight : way_;
    co_return;
  }
  head_ = &head;
  const auto sent = co_await call_.send_response_headers(head, end_of_stream, options_.served_by());
  const auto deadline = async::Deadline::after(options_.patience);
  while (sent && head_ != nullptr && !lost_ && !instead_) {
    changed_.reset();
    const bool changed = co_await changed_.wait_until(deadline);
    if (!changed) {
      log::warning("the endpoint picker says nothing to an answer", {});
      break;
    }
  }
  const bool answered = std::exchange(head_, nullptr) == nullptr;
  if (way_ == Way::Picker && (!answered || !call_.wants_response_body())) {
    way_ = Way::Straight;
  }
}

Task<Result<void>> PickerAnswer::answer_instead() {
  way_ = Way::Replaced;
  co_return co_await inner_.respond(instead_->head, instead_->body);
}

Task<Result<void>> PickerAnswer::respond(http::ResponseHead head, std::string_view body) {
  const bool bodyless = body.empty() || has_no_body(request(), head.status);
  co_await show_head(head, bodyless);
  if (instead_) {
    co_return co_await answer_instead();
  }
  if (bodyless || way_ != Way::Picker) {
    co_return co_await inner_.respond(std::move(head), body);
  }
  collecting_ = true;
  most_collected_ = body.size() * 2 + kMostAdded;
  co_await call_.send_response_body(body, true);
  co_await wait_for_the_rest();
  if (instead_) {
    co_return co_await answer_instead();
  }
  const bool whole = std::exchange(ended_, true);
  co_return co_await inner_.respond(std::move(head), whole ? std::string_view(collected_) : body);
}

Task<Result<void>> PickerAnswer::start(http::ResponseHead head, std::string_view first) {
  const bool bodyless = has_no_body(request(), head.status);
  co_await show_head(head, bodyless);
  if (instead_) {
    co_return co_await answer_instead();
  }
  if (bodyless) {
    way_ = Way::Straight;
  }
  if (way_ != Way::Picker) {
    co_return co_await inner_.start(std::move(head), first);
  }
  head.headers.remove("content-length");  // the picker may change the length
  LLMD_CO_TRY_VOID(co_await inner_.start(std::move(head), {}));
  co_return co_await send(first, false);
}

// A failure to send is the picker's end, which pump() hears of and deals with.
Task<Result<void>> PickerAnswer::send(std::string_view bytes, bool last) {
  if (!bytes.empty() || last) {
    remember(bytes);
    finishing_ = last;
    co_await call_.send_response_body(bytes, last);
  }
  if (last) {
    co_await wait_for_the_rest();
    call_.half_close();
  }
  co_return outcome();
}

Result<void> PickerAnswer::outcome() {
  if (client_failure_) {
    return std::unexpected(*client_failure_);
  }
  if (instead_ || way_ == Way::Broken) {
    return std::unexpected(broken());
  }
  return {};
}

// The picker gives the body back first, piece by piece and without an end, and the trailers behind it.
Task<Result<void>> PickerAnswer::send_with_trailers(std::string_view last) {
  LLMD_CO_TRY_VOID(co_await send(last, false));
  finishing_ = true;
  co_await show_trailers();
  if (lost_) {
    co_await wait_for_the_rest();  // that the picker had not given back
  } else if (way_ == Way::Picker && !ended_ && !client_failure_ && !instead_) {
    const auto finished = co_await end({});
    client_failure_ = finished ? std::nullopt : std::optional(finished.error());
    ended_ = true;
  }
  call_.half_close();
  co_return outcome();
}

Task<void> PickerAnswer::show_trailers() {
  trailers_shown_ = true;
  const auto sent = co_await call_.send_response_trailers(*trailers_);
  const auto deadline = async::Deadline::after(options_.patience);
  while (sent && trailers_shown_ && !lost_ && !instead_) {
    changed_.reset();
    const bool changed = co_await changed_.wait_until(deadline);
    if (!changed) {
      log::warning("the endpoint picker does not give an answer's trailers back", {});
      break;
    }
  }
  if (std::exchange(trailers_shown_, false) && way_ == Way::Picker && !lost_ && !instead_) {
    co_await do_without();
  }
}

Task<Result<void>> PickerAnswer::end(std::string_view last) {
  if (trailers_) {
    inner_.set_trailers(std::move(*trailers_));
    trailers_.reset();
  }
  co_return co_await inner_.finish(last);
}

Task<void> PickerAnswer::wait_for_the_rest() {
  while (!ended_ && way_ == Way::Picker && !client_failure_ && !instead_) {
    changed_.reset();
    const bool changed = co_await changed_.wait_until(async::Deadline::after(options_.patience));
    if (!changed && !writing_) {
      log::warning("the endpoint picker does not give an answer back", {});
      co_await do_without();
    }
  }
}

Error PickerAnswer::broken() {
  told_ = true;
  return unavailable("the endpoint picker left in the middle of an answer");
}

Task<Result<void>> PickerAnswer::write(std::string_view bytes) {
  switch (way_) {
    case Way::Picker:
      co_return co_await send(bytes, false);
    case Way::Straight:
      co_return co_await inner_.write(bytes);
    case Way::Replaced:
      co_return cancelled("the endpoint picker has answered instead");
    case Way::Broken:
      break;
  }
  co_return std::unexpected(broken());
}

Task<Result<void>> PickerAnswer::finish(std::string_view last) {
  switch (way_) {
    case Way::Picker:
      co_return shows_trailers() ? co_await send_with_trailers(last) : co_await send(last, true);
    case Way::Straight:
      if (shows_trailers()) {
        LLMD_CO_TRY_VOID(co_await inner_.write(last));
        co_await show_trailers();
        last = {};
      }
      co_return co_await end(last);
    case Way::Replaced:
      co_return Result<void>();
    case Way::Broken:
      break;
  }
  if (told_) {  // then this is what the relay says about it
    co_return co_await end(last);
  }
  co_return std::unexpected(broken());
}

}  // namespace llmd::gateway
