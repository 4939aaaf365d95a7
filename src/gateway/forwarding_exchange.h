// An exchange that stands before another: what a subclass does not answer itself, the inner one does.
#pragma once

#include "http/server.h"

namespace llmd::gateway {

class ForwardingExchange : public http::Exchange {
 public:
  explicit ForwardingExchange(http::Exchange& inner) : inner_(inner) {}

  const http::RequestHead& request() const override { return inner_.request(); }
  http::BodyReader& body() override { return inner_.body(); }
  net::Address peer() const override { return inner_.peer(); }
  void set_trailers(http::Headers trailers) override { inner_.set_trailers(std::move(trailers)); }
  using http::Exchange::respond;
  Task<Result<void>> respond(http::ResponseHead head, std::string_view body) override {
    return inner_.respond(std::move(head), body);
  }
  Task<Result<void>> start(http::ResponseHead head, std::string_view first) override {
    return inner_.start(std::move(head), first);
  }
  Task<Result<void>> write(std::string_view bytes) override { return inner_.write(bytes); }
  Task<Result<void>> finish(std::string_view last) override { return inner_.finish(last); }
  bool started() const override { return inner_.started(); }
  void lift_body_limits() override { inner_.lift_body_limits(); }
  Task<void> client_gone() override { return inner_.client_gone(); }
  void on_client_gone(std::function<void()> callback) override { inner_.on_client_gone(std::move(callback)); }
  std::unique_ptr<net::Stream> upgrade() override { return inner_.upgrade(); }

 protected:
  http::Exchange& inner_;
};

}  // namespace llmd::gateway
