#include "gateway/decision_hooks.h"

namespace llmd::gateway {
namespace {

void apply(const picker::HeaderEdits& edits, http::Headers& headers) {
  for (const auto& edit : edits.edits()) {
    if (edit.remove) {
      headers.remove(edit.name);
    } else {
      headers.set(edit.name, std::string(edit.value));
    }
  }
}

}  // namespace

net::Address destination_of(const picker::Decision& decision) {
  net::Address address = decision.endpoint().address;
  if (decision.primary_port >= 0) {
    address.port = static_cast<std::uint16_t>(decision.primary_port);
  }
  return address;
}

void tell_endpoint(const picker::Decision& decision, http::RequestHead& request) {
  apply(decision.headers, request.headers);
}

void tell_answer(picker::Decision& decision, http::ResponseHead& answer) {
  picker::HeaderEdits edits;
  decision.response_headers(answer.status, answer.headers, edits);
  apply(edits, answer.headers);
}

void tell_end(picker::Decision& decision, const proxy::RelayOutcome& outcome, const Answer& answer) {
  const bool left = outcome.error && outcome.error->kind == ErrorKind::Cancelled;
  decision.complete({.cause = left               ? picker::EndCause::ClientGone
                              : outcome.complete ? picker::EndCause::Natural
                                                 : picker::EndCause::Failed,
                     .status = outcome.status,
                     .usage = answer.usage(),
                     .response_bytes = answer.bytes(),
                     .events = answer.events()});
}

}  // namespace llmd::gateway
