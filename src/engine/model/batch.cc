#include "engine/model/batch.h"

#include <algorithm>

namespace llmd::engine {
namespace {

void add_segment(Piece& piece, const SequenceChunk& chunk, int first, int count,
                 std::size_t logits_of_chunk) {
  const auto* const adapter = static_cast<const Lora*>(chunk.adapter);
  const int row = static_cast<int>(piece.tokens.size());
  const int size = static_cast<int>(chunk.tokens.size());
  for (int i = first; i < first + count; ++i) {
    piece.tokens.push_back(chunk.tokens[static_cast<std::size_t>(i)]);
    piece.positions.push_back(chunk.position + i);
    piece.segment_of.push_back(static_cast<int>(piece.segments.size()));
    if (i >= size - chunk.logit_rows) {
      piece.logit_rows.push_back(
          {row + i - first, logits_of_chunk + static_cast<std::size_t>(i - (size - chunk.logit_rows))});
    }
  }
  piece.segments.push_back({row, count, chunk.position + first, chunk.block_table, adapter});
  piece.adapters = piece.adapters || adapter != nullptr;
}

}  // namespace

std::vector<Piece> cut_into_pieces(std::span<const SequenceChunk> batch) {
  std::vector<Piece> pieces;
  std::size_t logits = 0;
  for (const SequenceChunk& chunk : batch) {
    const int size = static_cast<int>(chunk.tokens.size());
    for (int first = 0; first < size;) {
      if (pieces.empty() || pieces.back().tokens.size() == kPieceTokens) {
        pieces.emplace_back();
      }
      const int room = kPieceTokens - static_cast<int>(pieces.back().tokens.size());
      const int count = std::min(room, size - first);
      add_segment(pieces.back(), chunk, first, count, logits);
      first += count;
    }
    logits += static_cast<std::size_t>(chunk.logit_rows);
  }
  return pieces;
}

}  // namespace llmd::engine
