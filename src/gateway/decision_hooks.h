// What a picker's decision means for the request and the answer it was made for. Private to gateway.
#pragma once

#include "gateway/answer.h"
#include "http/message.h"
#include "net/address.h"
#include "picker/decision.h"
#include "proxy/relay.h"

namespace llmd::gateway {

// Where to connect: with data parallelism the port that serves all ranks.
net::Address destination_of(const picker::Decision& decision);
// x-prefiller-host-port and the like.
void tell_endpoint(const picker::Decision& decision, http::RequestHead& request);
// The endpoint answers: plugins hear of it and may mark the answer.
void tell_answer(picker::Decision& decision, http::ResponseHead& answer);
// The request is over: the lease is given back.
void tell_end(picker::Decision& decision, const proxy::RelayOutcome& outcome, const Answer& answer);

}  // namespace llmd::gateway
