#include "kvcache/kv_event.h"

#include <gtest/gtest.h>

#include <random>

#include "crypto/encode.h"
#include "kvcache/msgpack.h"

namespace llmd::kvcache {
namespace {

std::string bytes(std::string_view hex) {
  return crypto::from_hex(hex).value();
}

constexpr std::string_view kSample =
    "93cb3ff80000000000009197ab426c6f636b53746f726564920102c0940102030402c0a3475055c0";

EventBatch sample_batch() {
  EventBatch batch{.timestamp = 1.5};
  batch.events.emplace_back(
      BlockStored{.hashes = {1, 2}, .tokens = {1, 2, 3, 4}, .block_size = 2, .medium = "GPU"});
  return batch;
}

EventBatch full_batch() {
  EventBatch batch{.timestamp = 1763749413.25, .rank = 3};
  BlockStored stored;
  stored.hashes = {0xffffffffffffffff, 0x1234567890abcdef};
  stored.parent = 77;
  stored.tokens = {0, 127, 128, 255, 256, 65535, 65536, 0xffffffff};
  stored.block_size = 4;
  stored.medium = "CPU";
  stored.lora_name = "sql-adapter";
  stored.extra_keys = {{"sql-adapter", "img"}, {}};
  stored.group = 2;
  stored.spec_kind = "full_attention";
  stored.sliding_window = 4096;
  batch.events.emplace_back(stored);
  batch.events.emplace_back(BlockRemoved{.hashes = {5}, .medium = "GPU", .group = 0});
  batch.events.emplace_back(AllBlocksCleared());
  return batch;
}

TEST(KvEventTest, ReadsAndWritesTheBytesOfARealEngine) {
  const auto batch = decode_events(bytes(kSample));
  ASSERT_TRUE(batch) << batch.error().text();
  EXPECT_EQ(*batch, sample_batch());
  EXPECT_EQ(crypto::to_hex(encode_events(sample_batch(), EventEncoding::Array)), kSample);
}

TEST(KvEventTest, BothEncodingsCarryEverything) {
  for (const auto encoding : {EventEncoding::Array, EventEncoding::Map}) {
    const auto batch = decode_events(encode_events(full_batch(), encoding));
    ASSERT_TRUE(batch) << batch.error().text();
    EXPECT_EQ(*batch, full_batch());
  }
}

TEST(KvEventTest, MapsMayComeInAnyOrderWithKeysNobodyKnows) {
  MsgpackWriter w;
  w.array(2);
  w.integer(9);
  w.array(1);
  w.map(5);
  w.text("token_ids");
  w.array(2);
  w.integer(7);
  w.integer(8);
  w.text("session_id");
  w.map(1);
  w.text("a");
  w.nil();
  w.text("block_size");
  w.integer(2);
  w.text("block_hashes");
  w.array(1);
  w.negative(-1);
  w.text("type");
  w.text("BlockStored");
  const auto batch = decode_events(w.take());
  ASSERT_TRUE(batch) << batch.error().text();
  ASSERT_EQ(batch->events.size(), 1U);
  const auto& stored = std::get<BlockStored>(batch->events[0]);
  EXPECT_EQ(stored.hashes, std::vector<EngineHash>{~0ULL});
  EXPECT_EQ(stored.tokens, (std::vector<TokenId>{7, 8}));
}

void write_stored(MsgpackWriter& w, std::size_t extra_positions) {
  w.array(5 + extra_positions);
  w.text("BlockStored");
  w.array(1);
  w.binary(bytes("00112233445566778899aabbccddeeff"));
  w.binary(bytes("ff01"));
  w.array(1);
  w.integer(1);
  w.integer(1);
  for (std::size_t i = 0; i < extra_positions; ++i) {
    w.nil();
  }
}

TEST(KvEventTest, DigestsBecomeTheirLastEightBytes) {
  MsgpackWriter w;
  w.array(3);
  w.number(1);
  w.array(1);
  write_stored(w, 20);
  w.nil();
  const auto batch = decode_events(w.take());
  ASSERT_TRUE(batch) << batch.error().text();
  ASSERT_EQ(batch->events.size(), 1U);
  const auto& stored = std::get<BlockStored>(batch->events[0]);
  EXPECT_EQ(stored.hashes[0], 0x8899aabbccddeeffU);
  EXPECT_EQ(stored.parent, 0xff01U);
}

TEST(KvEventTest, OneBadEventDoesNotCostTheOthers) {
  MsgpackWriter w;
  w.array(4);
  w.number(1);
  w.array(7);
  w.array(1);
  w.text("BlockMoved");  // unknown
  w.array(2);            // too short
  w.text("BlockStored");
  w.array(0);
  w.nil();     // no event at all
  w.array(0);  // no tag
  w.map(1);    // no type
  w.text("block_hashes");
  w.array(0);
  write_stored(w, 0);  // good
  w.array(2);          // an empty digest
  w.text("BlockRemoved");
  w.array(1);
  w.binary("");
  w.nil();
  w.text("an extra trailing field");
  const auto batch = decode_events(w.take());
  ASSERT_TRUE(batch) << batch.error().text();
  EXPECT_EQ(batch->events.size(), 1U);
  EXPECT_EQ(batch->unknown_events, 1U);
  EXPECT_EQ(batch->bad_events, 5U);
}

TEST(KvEventTest, StorageTiersWrapEventsInBlobs) {
  MsgpackWriter inner;
  inner.array(3);
  inner.text("BlockRemoved");
  inner.array(1);
  inner.integer(9);
  inner.text("SHARED_STORAGE");
  MsgpackWriter w;
  w.array(2);
  w.number(1);
  w.array(1);
  w.binary(inner.take());
  const auto batch = decode_events(w.take());
  ASSERT_TRUE(batch) << batch.error().text();
  EXPECT_EQ(std::get<BlockRemoved>(batch->events.at(0)),
            (BlockRemoved{.hashes = {9}, .medium = "SHARED_STORAGE"}));
}

TEST(KvEventTest, ExtraKeysKeepTextAndTheTextOfPairs) {
  MsgpackWriter w;
  w.array(2);
  w.number(1);
  w.array(1);
  w.array(9);
  w.text("BlockStored");
  w.array(2);
  w.integer(1);
  w.integer(2);
  w.nil();
  w.array(0);
  w.integer(16);
  w.nil();
  w.nil();
  w.nil();
  w.array(2);
  w.array(4);
  w.text("img");
  w.array(2);
  w.text("pair");
  w.integer(3);
  w.integer(4);
  w.binary("digest");
  w.nil();
  const auto batch = decode_events(w.take());
  ASSERT_TRUE(batch) << batch.error().text();
  ASSERT_EQ(batch->bad_events, 0U);
  EXPECT_EQ(std::get<BlockStored>(batch->events[0]).extra_keys,
            (std::vector<std::vector<std::string>>{{"img", "pair"}, {}}));
}

TEST(KvEventTest, WhatIsNoBatchIsAnErrorAtEveryLength) {
  const std::string whole = encode_events(full_batch(), EventEncoding::Map);
  for (std::size_t size = 0; size + 1 < whole.size(); ++size) {
    const auto batch = decode_events(std::string_view(whole).substr(0, size));
    ASSERT_FALSE(batch) << size;
    EXPECT_EQ(batch.error().kind, ErrorKind::DataLoss);
  }
  for (const std::string_view hex :
       {"c0", "80", "91cb3ff8000000000000", "92a161", "92c090", "93cb3ff8000000000000c0c0", "ddffffffff",
        "92cb3ff8000000000000ddffffffff"}) {
    EXPECT_FALSE(decode_events(bytes(hex))) << hex;
  }
}

TEST(KvEventTest, DamagedBatchesAreSkippedOrRefusedButNeverMisread) {
  std::mt19937 random(3);
  for (const auto encoding : {EventEncoding::Array, EventEncoding::Map}) {
    const std::string whole = encode_events(full_batch(), encoding);
    for (int i = 0; i < 20'000; ++i) {
      std::string damaged = whole;
      for (unsigned n = 1 + random() % 3; n > 0; --n) {
        damaged[random() % damaged.size()] = static_cast<char>(random());
      }
      const auto batch = decode_events(damaged);
      if (batch) {
        EXPECT_LE(batch->events.size() + batch->bad_events + batch->unknown_events, 15U);
        const auto again = decode_events(encode_events(*batch, EventEncoding::Map));
        ASSERT_TRUE(again);
        EXPECT_EQ(again->events, batch->events);
      }
    }
  }
}

TEST(KvEventTest, NestingHasALimit) {
  std::string deep = bytes("92cb3ff800000000000091");
  deep.append(100'000, '\x91');
  EXPECT_FALSE(decode_events(deep));
}

TEST(KvEventTest, TopicsNamePodAndModel) {
  EXPECT_EQ(parse_topic("kv@10.0.0.1:8000@org/m").pod, "10.0.0.1:8000");
  EXPECT_EQ(parse_topic("kv@10.0.0.1:8000@org/m").model, "org/m");
  EXPECT_EQ(parse_topic("kv@p@m@rev").model, "m@rev");
  EXPECT_EQ(parse_topic("plain").pod, "plain");
  EXPECT_EQ(parse_topic("kv@pod").model, "");
  EXPECT_EQ(make_topic("p", "m"), "kv@p@m");
}

}  // namespace
}  // namespace llmd::kvcache
