// A body as the messages brought it: large pieces stay in the memory of their messages, small ones are
// joined. Private to extproc.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "http/grpc_server.h"

namespace llmd::extproc {

class BodyPieces {
 public:
  // `bytes` lie in the message that the call is being told of; null: somewhere else.
  void append(std::string_view bytes, http::GrpcCall* call);
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // The first bytes leave, at most `most` of them: appended to `out`, kept by what they come with.
  void take(std::size_t most, std::vector<http::KeptBytes>& out);
  void clear() { *this = BodyPieces(); }

  // What is here, in one piece, valid until the next change.
  std::string_view joined();
  void replace(std::size_t begin, std::size_t end, std::string_view text);
  // The last byte that is no blank; 0 when there is none.
  char last_visible() const;

 private:
  struct Piece {
    std::shared_ptr<const void> owner;
    std::string* copied = nullptr;  // belongs to us and may grow while nobody else holds it
    std::string_view kept;
    std::size_t begin = 0;
    std::string_view rest() const {
      return (copied != nullptr ? std::string_view(*copied) : kept).substr(begin);
    }
  };
  void copy(std::string_view bytes);

  std::vector<Piece> pieces_;
  std::size_t first_ = 0;  // of pieces_: those before have left
  std::size_t size_ = 0;
};

}  // namespace llmd::extproc
