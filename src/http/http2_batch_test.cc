// What is queued leaves in order and unchanged, copied or kept, however much the connection takes at a time.
#include "http/http2_batch.h"

#include <gtest/gtest.h>

namespace llmd::http {
namespace {

std::string text_of(Http2Batch& batch) {
  std::string text;
  for (const std::string_view piece : batch.pieces()) {
    text += piece;
  }
  return text;
}

KeptBytes kept(char letter, std::size_t size) {
  auto text = std::make_shared<const std::string>(size, letter);
  return {*text, text};
}

TEST(Http2Queue, GivesBytesInOrderWhateverIsTakenAtATime) {
  for (const std::size_t step : {1U, 7U, 2048U, 16'384U, 1'000'000U}) {
    Http2Queue queue;
    std::string wanted;
    std::string got;
    const auto take = [&](std::size_t bytes) {
      Http2Batch batch;
      queue.move_to(batch, std::min(bytes, queue.size()));
      got += text_of(batch);
    };
    for (int round = 0; round < 5; ++round) {
      for (const std::size_t size : {3U, 2047U, 2048U, 40'000U, 5U}) {
        const KeptBytes piece = kept(static_cast<char>('a' + size % 26), size);
        wanted += piece.bytes;
        queue.add(piece);
        queue.add(std::string_view("head"));
        wanted += "head";
        take(step);
      }
    }
    while (queue.size() > 0) {
      take(std::max<std::size_t>(step, 64));
    }
    EXPECT_EQ(got, wanted) << "taken by " << step;
  }
}

TEST(Http2Queue, LargePiecesStayWhereTheyAreAndAreLetGoWhenTheyHaveLeft) {
  Http2Queue queue;
  auto text = std::make_shared<const std::string>(50'000, 'x');
  queue.add(KeptBytes{*text, text});
  Http2Batch batch;
  queue.move_to(batch, 20'000);
  ASSERT_EQ(batch.pieces().size(), 1U);
  EXPECT_EQ(batch.pieces().front().data(), text->data()) << "not copied";
  queue.move_to(batch, 30'000);
  EXPECT_GT(text.use_count(), 1) << "until it is written";
  batch.clear();
  EXPECT_EQ(text.use_count(), 1);
}

TEST(Http2Queue, WhatNobodyKeepsIsCopied) {
  Http2Queue queue;
  std::string text(50'000, 'x');
  queue.add(KeptBytes{text});
  text.assign(text.size(), 'y');
  Http2Batch batch;
  queue.move_to(batch, queue.size());
  EXPECT_EQ(text_of(batch), std::string(50'000, 'x'));
}

}  // namespace
}  // namespace llmd::http
