// What a token-producer is told to do, as llm-d's own tests state the rules.
#include "picker/plugins/token_producer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "picker/plan.h"
#include "picker/plugins/testing_pool.h"

namespace llmd::picker {
namespace {

Result<std::unique_ptr<Picker>> loaded(std::string_view parameters) {
  return Picker::from_config(only("token-producer", parameters), "tokens");
}

TEST(TokenProducer, AsksOneBackendOrEstimates) {
  struct Row {
    const char* parameters;
    const char* server;  // empty: nobody is asked
  };
  for (const Row& row : {Row{"{}", ""}, Row{"{estimate: {}}", ""}, Row{"{modelName: m}", "localhost:8000"},
                         Row{"{modelName: m, vllm: {url: 'http://engine:9000/'}}", "engine:9000"},
                         Row{"{modelName: m, vllm: {http: 'http://10.0.0.1'}}", "10.0.0.1:80"},
                         Row{"{modelName: m, udsTokenizerConfig: {socketFile: /tmp/x}}", ""}}) {
    const auto picker = loaded(row.parameters);
    ASSERT_TRUE(picker) << row.parameters << picker.error().text();
    const auto* producer = (*picker)->plan().find_as<TokenProducer>("token-producer");
    EXPECT_EQ(producer->renders(), row.server[0] != '\0') << row.parameters;
    if (producer->renders()) {
      EXPECT_EQ(producer->options.server.to_string(), row.server);
      EXPECT_EQ(producer->options.model, "m");
    }
  }
}

TEST(TokenProducer, RefusesWhatContradictsItself) {
  for (const char* wrong :
       {"{vllm: {}}", "{udsTokenizerConfig: {}}", "{modelName: m, vllm: {}, udsTokenizerConfig: {}}",
        "{modelName: m, estimate: {}}", "{modelName: m, vllm: {url: 'ftp://x'}}",
        "{estimate: {image: {mode: static}}}", "{estimate: {image: {mode: guess}}}",
        "{estimate: {image: {dynamic: {factor: 0}}}}",
        "{estimate: {image: {defaultResolution: {width: -1}}}}",
        "{estimate: {video: {tokensPerFrame: {mode: static}}}}", "{estimate: {video: {defaultDuration: 0}}}",
        "{estimate: {video: {frames: {sampled: {sampleFPS: -1}}}}}",
        "{estimate: {video: {frames: {strided: {frameStride: 0}}}}}", "{estimate: {sound: {}}}"}) {
    EXPECT_FALSE(loaded(wrong)) << wrong;
  }
}

TEST(TokenProducer, SaysWhatPicturesAndVideosCost) {
  const auto picker = loaded(R"({estimate: {
      image: {mode: dynamic, dynamic: {factor: 784}, defaultResolution: {width: 1000, height: 500}},
      video: {defaultResolution: {width: 200, height: 100}, defaultDuration: 4,
              tokensPerFrame: {mode: static, static: {numTokensPerFrame: 66}},
              frames: {mode: strided, minFrames: 2, maxFrames: 64, strided: {defaultSourceFPS: 30, frameStride: 15}},
              maxVideoTokens: 5000}}})");
  ASSERT_TRUE(picker) << picker.error().text();
  const openai::MediaEstimate& media = (*picker)->plan().media;
  EXPECT_EQ(media.image.factor, 784);
  EXPECT_EQ(media.image.size, (openai::ImageSize{1000, 500}));
  EXPECT_EQ(media.image.fixed, 0);
  EXPECT_EQ(media.video.frame.fixed, 66);
  EXPECT_EQ(media.video.seconds, 4);
  EXPECT_EQ(media.video.stride_fps, 30);
  EXPECT_EQ(media.video.stride, 15);
  EXPECT_EQ(media.video.least_frames, 2);
  EXPECT_EQ(media.video.most_frames, 64);
  EXPECT_EQ(media.video.most_tokens, 5000);
  const auto fixed = loaded("{estimate: {image: {mode: static, static: {staticToken: 300}}}}");
  ASSERT_TRUE(fixed);
  EXPECT_EQ((*fixed)->plan().media.image.fixed, 300);
}

}  // namespace
}  // namespace llmd::picker
