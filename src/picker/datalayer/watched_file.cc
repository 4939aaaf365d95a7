#include "picker/datalayer/watched_file.h"

#include "async/deadline.h"
#include "base/file.h"
#include "base/log.h"

namespace llmd::picker {
namespace {

constexpr auto kLookEvery = std::chrono::seconds(1);

}  // namespace

Task<void> watch_file(std::filesystem::path file, std::string last,
                      std::function<Result<void>(const std::string& text)> changed) {
  bool readable = true;
  while (true) {
    co_await async::sleep(kLookEvery);
    auto text = read_file(file, kMostFileBytes);
    if (readable != text.has_value()) {
      readable = text.has_value();
      log::warning(readable ? "the file can be read again" : "the file cannot be read; all stays as it is",
                   {{"file", file.string()}});
    }
    if (!text || *text == last) {
      continue;
    }
    last = std::move(*text);
    if (const auto taken = changed(last); taken) {
      log::info("file read again", {{"file", file.string()}});
    } else {
      log::warning("the file has a mistake; all stays as it is", {{"problem", taken.error().text()}});
    }
  }
}

}  // namespace llmd::picker
