#include "extproc/body_pieces.h"

#include <memory>
#include <span>

namespace llmd::extproc {
namespace {

constexpr std::size_t kWorthKeeping = 2048;
constexpr std::size_t kJoined = 64 * 1024;

}  // namespace

void BodyPieces::append(std::string_view bytes, http::GrpcCall* call) {
  if (bytes.empty()) {
    return;
  }
  auto owner = call == nullptr || bytes.size() < kWorthKeeping ? nullptr : call->keep_message();
  if (!owner) {
    copy(bytes);
  } else {
    size_ += bytes.size();
    pieces_.push_back({.owner = std::move(owner), .kept = bytes});
  }
}

void BodyPieces::copy(std::string_view bytes) {
  size_ += bytes.size();
  if (first_ < pieces_.size()) {
    const Piece& last = pieces_.back();
    const bool ours = last.copied != nullptr && last.owner.use_count() == 1;
    if (ours && last.copied->size() + bytes.size() <= kJoined) {
      *last.copied += bytes;
      return;
    }
  }
  auto text = std::make_shared<std::string>(bytes);
  std::string* const copied = text.get();
  pieces_.push_back({.owner = std::move(text), .copied = copied, .kept = {}});
}

void BodyPieces::take(std::size_t most, std::vector<http::KeptBytes>& out) {
  while (most > 0 && first_ < pieces_.size()) {
    Piece& piece = pieces_[first_];
    const std::string_view bytes = piece.rest().substr(0, most);
    piece.begin += bytes.size();
    size_ -= bytes.size();
    most -= bytes.size();
    const bool used_up = piece.rest().empty();
    out.push_back({bytes, used_up ? std::move(piece.owner) : piece.owner});
    first_ += used_up ? 1 : 0;
  }
  if (first_ == pieces_.size()) {
    pieces_.clear();
    first_ = 0;
  }
}

std::string_view BodyPieces::joined() {
  if (pieces_.size() - first_ > 1) {
    auto text = std::make_shared<std::string>();
    text->reserve(size_);
    for (const Piece& piece : std::span(pieces_).subspan(first_)) {
      *text += piece.rest();
    }
    std::string* const copied = text.get();
    pieces_.clear();
    first_ = 0;
    pieces_.push_back({.owner = std::move(text), .copied = copied, .kept = {}});
  }
  return empty() ? std::string_view() : pieces_[first_].rest();
}

void BodyPieces::replace(std::size_t begin, std::size_t end, std::string_view text) {
  const std::string_view before = joined();
  auto changed = std::make_shared<std::string>(before.substr(0, begin));
  *changed += text;
  *changed += before.substr(end);
  std::string* const copied = changed.get();
  pieces_.clear();
  first_ = 0;
  size_ = copied->size();
  pieces_.push_back({.owner = std::move(changed), .copied = copied, .kept = {}});
}

char BodyPieces::last_visible() const {
  for (std::size_t i = pieces_.size(); i > first_; --i) {
    const std::string_view rest = pieces_[i - 1].rest();
    const auto at = rest.find_last_not_of(" \t\n\r");
    if (at != std::string_view::npos) {
      return rest[at];
    }
  }
  return 0;
}

}  // namespace llmd::extproc
