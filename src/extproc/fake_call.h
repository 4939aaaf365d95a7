// A call without a connection: remembers what was sent. For tests and the fuzzer of extproc.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "http/grpc_server.h"

namespace llmd::extproc {

class FakeCall final : public http::GrpcCall {
 public:
  explicit FakeCall(async::EventLoop& loop) : loop_(loop), tasks_(loop) {}
  ~FakeCall() override { loop_.block_on(tasks_.close()); }

  using GrpcCall::send;
  const http::RequestHead& request() const override { return head_; }
  net::Address peer() const override { return {"127.0.0.1", 1}; }
  void send(std::span<const http::KeptBytes> pieces) override {
    std::string& message = sent.emplace_back();
    for (const http::KeptBytes& piece : pieces) {
      message += piece.bytes;
    }
    waiting += slow ? message.size() : 0;
  }
  void send_later() override {}
  std::shared_ptr<const void> keep_message() override { return nullptr; }
  void finish(http::GrpcStatus status) override {
    if (!ended) {
      ended = std::move(status);
    }
  }
  void flush() override {
    if (flushed) {
      flushed();
    }
  }
  std::size_t queued() const override { return waiting; }
  async::Scope& tasks() override { return tasks_; }
  Executor executor() const override { return loop_.executor(); }

  std::function<void()> flushed;  // what was decided later has been sent
  std::vector<std::string> sent;
  std::optional<http::GrpcStatus> ended;
  bool slow = false;  // the proxy takes nothing until `waiting` is set to 0
  std::size_t waiting = 0;

 private:
  async::EventLoop& loop_;
  async::Scope tasks_;
  http::RequestHead head_;
};

}  // namespace llmd::extproc
