#include "engine/core/threaded_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <semaphore>
#include <stdexcept>

#include "testing/byte_tokenizer.h"
#include "testing/fake_model.h"

namespace llmd::engine {
namespace {

// Gives the finish to whoever waits for it.
class Waiting final : public Listener {
 public:
  void on_update(Update update) override {
    if (update.finish) {
      finished_.set_value(*update.finish);
    }
  }
  Finish wait() { return finished_.get_future().get(); }

 private:
  std::promise<Finish> finished_;
};

// Steps only when it is let, or throws.
class ControlledModel final : public engine::Model {
 public:
  const ModelConfig& config() const override { return fake_.config(); }
  std::unique_ptr<KvCache> make_kv_cache(int blocks, int size) const override {
    return fake_.make_kv_cache(blocks, size);
  }
  std::size_t kv_block_bytes(int size) const override { return fake_.kv_block_bytes(size); }
  std::string_view kernels() const override { return "fake"; }
  Result<std::unique_ptr<LoraAdapter>> load_adapter(const std::filesystem::path& folder) const override {
    return fake_.load_adapter(folder);
  }
  void forward(std::span<const SequenceChunk> batch, KvCache& cache, std::span<float> logits) override {
    steps.acquire();
    if (broken) {
      throw std::runtime_error("out of smoke");
    }
    fake_.forward(batch, cache, logits);
  }
  std::counting_semaphore<> steps{0};
  std::atomic<bool> broken = false;

 private:
  ::llmd::testing::FakeModel fake_;
};

class ThreadedEngineTest : public ::testing::Test {
 protected:
  void start(std::size_t max_live) {
    auto model = std::make_unique<ControlledModel>();
    model_ = model.get();
    ThreadedEngine::Options options{.core = {.blocks = 16, .block_size = 4, .max_model_len = 64},
                                    .max_live = max_live,
                                    .on_death = [this](const Error& error) { death_.set_value(error); }};
    engine_.emplace(std::move(options),
                    ThreadedEngine::Parts{std::move(model),
                                          std::make_shared<::llmd::testing::ByteTokenizer>(64), observer_});
  }
  Result<SequenceId> submit(const std::shared_ptr<Waiting>& listener) {
    return engine_->submit({.prompt = {1, 2, 3}, .params = {.max_tokens = 2, .ignore_eos = true}}, listener);
  }

  NullObserver observer_;
  std::promise<Error> death_;
  std::optional<ThreadedEngine> engine_;
  ControlledModel* model_ = nullptr;
};

TEST_F(ThreadedEngineTest, FinishesWhatItAccepts) {
  start(10);
  const auto listener = std::make_shared<Waiting>();
  ASSERT_TRUE(submit(listener));
  model_->steps.release(2);
  EXPECT_EQ(listener->wait().reason, FinishReason::Length);
}

TEST_F(ThreadedEngineTest, RefusesMoreThanItMayHold) {
  start(2);
  const auto a = std::make_shared<Waiting>();
  const auto b = std::make_shared<Waiting>();
  ASSERT_TRUE(submit(a));
  ASSERT_TRUE(submit(b));
  const auto third = submit(std::make_shared<Waiting>());
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().kind, ErrorKind::ResourceExhausted);
  model_->steps.release(100);
  a->wait();
  b->wait();
}

TEST_F(ThreadedEngineTest, DiesLoudly) {
  start(10);
  model_->broken = true;
  const auto listener = std::make_shared<Waiting>();
  ASSERT_TRUE(submit(listener));
  ASSERT_TRUE(engine_->health());
  model_->steps.release();
  const Finish finish = listener->wait();
  EXPECT_EQ(finish.reason, FinishReason::Error);
  EXPECT_THAT(finish.error->message, ::testing::HasSubstr("out of smoke"));
  EXPECT_THAT(death_.get_future().get().message, ::testing::HasSubstr("out of smoke"));
  EXPECT_EQ(engine_->health().error().kind, ErrorKind::Unavailable);
  EXPECT_EQ(submit(std::make_shared<Waiting>()).error().kind, ErrorKind::Unavailable);
}

TEST_F(ThreadedEngineTest, TellsEverybodyWhenItEnds) {
  start(10);
  const auto listener = std::make_shared<Waiting>();
  ASSERT_TRUE(submit(listener));
  auto ended = std::async(std::launch::async, [this] { engine_.reset(); });
  model_->steps.release(100);
  listener->wait();  // an error, or the answer if it was faster
  ended.wait();
}

}  // namespace
}  // namespace llmd::engine
