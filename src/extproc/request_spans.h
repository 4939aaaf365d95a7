// The spans of one request, under names of llm-d's picker:
//
//   gateway.request                      server   from the headers to the end of the answer; continues the
//                                                 client's trace, and the engine continues it
//     gateway.request_orchestration      internal from the whole body to the decision
//       tokenize_render PATH             internal where an engine is asked for the tokens
//       …                                         what the picker adds (picker/spans.h)
//
// Until begin(), and for a request that is not sampled, everything here does nothing. One request, one loop.
// Private to extproc.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "picker/decision.h"
#include "picker/spans.h"

namespace llmd::extproc {

class RequestSpans {
 public:
  // `traceparent`: the client's. The tracer outlives this.
  void begin(const trace::Tracer& tracer, std::optional<std::string_view> traceparent);
  bool sampled() const { return request_.sampled(); }

  void begin_deciding(const picker::Request& request);
  // While it is decided: where more spans belong; null: nobody wants them. Valid as long as this.
  const picker::SpanParent* parent() const { return parent_ ? &*parent_ : nullptr; }
  trace::Span begin_rendering(std::string_view path) const;
  void decided(const picker::Decision& decision);

  // The engine's `traceparent`. Empty: the client's own passes as it came, because nobody traces here, or
  // because it is not sampled and says so.
  std::string context_to_send() const;

  void refused(int status, std::string_view why);  // by the picker itself, which ends it
  void answered(int status);                       // by the engine; 0: unknown
  void used(const picker::Usage& usage);
  void fail(std::string_view why) { request_.fail(why); }
  void end();

 private:
  bool client_unsampled_ = false;
  const trace::Tracer* tracer_ = nullptr;
  trace::Span request_;
  trace::Span deciding_;
  std::optional<picker::SpanParent> parent_;
};

}  // namespace llmd::extproc
