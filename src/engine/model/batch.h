// A piece of a step, at most kPieceTokens tokens, with everything the layers need to know about each token.
// Long batches run piece by piece: results do not depend on where the cuts fall, and scratch memory stays
// small. Each stage of a piece ends in a barrier, where threads that share their cores with others wait for
// each other: pieces of 64 tokens were measured a tenth slower on a busy machine.
#pragma once

#include <span>
#include <vector>

#include "engine/model/lora.h"
#include "engine/model/model.h"

namespace llmd::engine {

inline constexpr int kPieceTokens = 256;

// Tokens of one sequence within a piece.
struct Segment {
  int first_row = 0;  // in the piece
  int rows = 0;
  int position = 0;  // of the first row
  std::span<const int> block_table;
  const Lora* adapter = nullptr;
};

struct LogitRow {
  int row = 0;     // in the piece
  std::size_t to;  // row of the caller's logits
};

struct Piece {
  std::vector<Token> tokens;
  std::vector<int> positions;
  std::vector<int> segment_of;  // per token
  std::vector<Segment> segments;
  std::vector<LogitRow> logit_rows;
  bool adapters = false;
};

std::vector<Piece> cut_into_pieces(std::span<const SequenceChunk> batch);

}  // namespace llmd::engine
