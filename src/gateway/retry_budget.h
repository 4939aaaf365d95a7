// How many requests may be tried again at a time: a share of those that run, so that an outage is not made
// worse by everybody trying thrice. Hedges, which are tried again for being late, may take half of the
// places: the others are for requests that have failed. Any thread.
#pragma once

#include <algorithm>
#include <atomic>

namespace llmd::gateway {

class RetryBudget {
 public:
  // Counts a request while it lives, and its retry once it has one.
  class Request {
   public:
    explicit Request(RetryBudget& budget) : budget_(budget) { ++budget_.running_; }
    Request(const Request&) = delete;
    ~Request() {
      --budget_.running_;
      if (retrying_) {
        --budget_.retrying_;
      }
    }
    // False: too many others are being tried again.
    bool may_retry() { return take_place(budget_.places()); }
    bool may_hedge() { return take_place(budget_.places() / 2); }

   private:
    bool take_place(int places) {
      if (!retrying_) {
        retrying_ = ++budget_.retrying_ <= places;
        if (!retrying_) {
          --budget_.retrying_;
        }
      }
      return retrying_;
    }

    RetryBudget& budget_;
    bool retrying_ = false;
  };

 private:
  static constexpr int kAlways = 10;  // this many may, however few run
  static constexpr int kShare = 5;    // a fifth of those that run
  int places() const { return std::max(kAlways, running_ / kShare); }

  std::atomic<int> running_{0};
  std::atomic<int> retrying_{0};
};

}  // namespace llmd::gateway
