// A connection after 101: what was read too much comes first. Private to http.
#pragma once

#include <cstring>
#include <string>

#include "net/stream.h"

namespace llmd::http {

class UpgradedStream final : public net::Stream {
 public:
  UpgradedStream(std::unique_ptr<net::Stream> inner, std::string leftover)
      : inner_(std::move(inner)), leftover_(std::move(leftover)) {}

  using Stream::write;
  Task<Result<std::size_t>> read_some(std::span<char> buffer) override {
    if (leftover_.empty()) {
      co_return co_await inner_->read_some(buffer);
    }
    const std::size_t size = std::min(buffer.size(), leftover_.size());
    std::memcpy(buffer.data(), leftover_.data(), size);
    leftover_.erase(0, size);
    co_return size;
  }
  Task<Result<void>> write(std::span<const std::string_view> pieces) override {
    co_return co_await inner_->write(pieces);
  }
  void set_deadline(async::Deadline deadline, std::string_view waited_for) override {
    inner_->set_deadline(deadline, waited_for);
  }
  void close() override { inner_->close(); }
  Task<void> shutdown() override { co_await inner_->shutdown(); }
  bool is_stale() override { return !leftover_.empty() || inner_->is_stale(); }
  Task<bool> wait_for_hangup() override { co_return co_await inner_->wait_for_hangup(); }
  bool peer_gone() override { return inner_->peer_gone(); }
  void start_read(std::span<char> buffer, ReadDone done) override {
    inner_->start_read(buffer, std::move(done));
  }
  net::Address local_address() const override { return inner_->local_address(); }
  net::Address peer_address() const override { return inner_->peer_address(); }

 private:
  std::unique_ptr<net::Stream> inner_;
  std::string leftover_;
};

}  // namespace llmd::http
