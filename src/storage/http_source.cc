// https:// with resume. The part file has a note beside it (.NAME.part.json): which URI and which version of
// the page (ETag, Last-Modified) its bytes are from. A later run continues with Range and If-Range, so a page
// that changed meanwhile is fetched from its beginning.
#include <algorithm>
#include <boost/describe.hpp>
#include <optional>

#include "base/file.h"
#include "base/strings.h"
#include "http/client.h"
#include "json/codec.h"
#include "storage/sources.h"

namespace llmd::storage {

struct PartNote {
  std::string uri;
  std::string validator;  // a strong ETag or a date; empty: the page cannot be resumed
};
BOOST_DESCRIBE_STRUCT(PartNote, (), (uri, validator))

namespace {

constexpr int kMaxRedirects = 10;
constexpr std::size_t kWriteBytes = std::size_t{1} << 20;
constexpr Duration kMaxRetryDelay = std::chrono::seconds(30);

using ResponsePtr = std::unique_ptr<http::ClientResponse>;

std::filesystem::path note_path(const Target& target) {
  return target.hidden("part.json");
}

PartNote read_note(const Target& target) {
  const auto text = read_file(note_path(target), std::size_t{64} << 10);
  const auto value = text ? json::parse(*text) : std::unexpected(text.error());
  return value ? json::decode<PartNote>(*value).value_or(PartNote{}) : PartNote{};
}

// "bytes 100-199/200" -> 100 and 200; "*" for the total means that the server does not know.
struct ContentRange {
  std::uint64_t start = 0;
  std::optional<std::uint64_t> total;
};
std::optional<ContentRange> parse_content_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) {
    return std::nullopt;
  }
  text.remove_prefix(kUnit.size());
  const auto start = parse_integer(text.substr(0, text.find('-')));
  const std::size_t slash = text.find('/');
  if (!start || *start < 0 || slash == std::string_view::npos) {
    return std::nullopt;
  }
  ContentRange range{.start = static_cast<std::uint64_t>(*start)};
  if (const auto total = parse_integer(text.substr(slash + 1)); total && *total >= 0) {
    range.total = static_cast<std::uint64_t>(*total);
  }
  return range;
}

// A weak ETag does not promise equal bytes.
std::string validator_of(const http::Headers& headers) {
  const auto etag = headers.find("ETag");
  if (etag && !etag->starts_with("W/")) {
    return std::string(*etag);
  }
  return std::string(headers.find("Last-Modified").value_or(""));
}

Error status_error(int status, const std::string& uri) {
  if (status == 401 || status == 403) {
    return permission_denied("{}: the server answered {}", uri, status)
        .hint("the page may need a login or a token");
  }
  if (status == 404 || status == 410) {
    return not_found("{}: the server has no such page ({})", uri, status);
  }
  if (status == 429 || status >= 500) {
    return unavailable("{}: the server answered {} {}", uri, status, http::reason_phrase(status));
  }
  return Error{kind_of_http_status(status), fmt::format("{}: the server answered {}", uri, status), {}};
}

// Where a redirect leads, from the page it came from.
Result<HttpSource> follow(const HttpSource& from, std::string_view location) {
  const std::string scheme = from.tls ? "https" : "http";
  std::string absolute(location);
  if (location.starts_with("//")) {
    absolute = fmt::format("{}:{}", scheme, location);
  } else if (location.starts_with('/')) {
    absolute = fmt::format("{}://{}{}", scheme, from.address.to_string(), location);
  } else if (location.find("://") == std::string_view::npos) {
    const std::string_view path = std::string_view(from.target).substr(0, from.target.find('?'));
    absolute = fmt::format("{}://{}{}{}", scheme, from.address.to_string(),
                           path.substr(0, path.rfind('/') + 1), location);
  }
  absolute = absolute.substr(0, absolute.find('#'));
  auto uri = parse_uri(absolute);
  auto* next = uri ? std::get_if<HttpSource>(&uri->source) : nullptr;
  if (!next) {
    return unavailable("the server redirects to {}, which cannot be followed", absolute);
  }
  if (from.tls && !next->tls) {
    return unavailable("the server redirects from https:// to {}, which is not followed", absolute);
  }
  next->sha256 = from.sha256;
  return std::move(*next);
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

class Download {
 public:
  Download(FetchJob& job, std::string uri, HttpSource source, std::shared_ptr<PartFile> part)
      : job_(job), uri_(std::move(uri)), source_(std::move(source)), part_(std::move(part)) {}

  Task<Result<FetchRecord>> run() {
    Duration delay = job_.options.retry_delay;
    for (int failures = 0;;) {
      const std::uint64_t before = part_->size();
      const auto done = co_await attempt();
      if (done) {
        break;
      }
      failures = part_->size() > before ? 1 : failures + 1;
      const bool may_retry =
          done.error().kind == ErrorKind::Unavailable || done.error().kind == ErrorKind::DeadlineExceeded;
      if (!may_retry || failures > job_.options.max_retries || job_.deadline.expired()) {
        clean_up(done.error());
        co_return std::unexpected(explained(done.error()));
      }
      co_await async::sleep(delay);
      delay = std::min(delay * 2, kMaxRetryDelay);
    }
    auto record = co_await verify();
    co_return record;
  }

 private:
  // One request (and its redirects) with as much of the body as arrives.
  Task<Result<void>> attempt() {
    LLMD_CO_TRY(ResponsePtr response, co_await request());
    const int status = response->status();
    if (status == 416) {  // what we have is not a prefix of the page as it is now
      LLMD_CO_TRY_VOID(co_await restart());
      co_return unavailable("{}: the page changed while it was fetched", uri_);
    }
    if (status != 200 && status != 206) {
      co_return std::unexpected(status_error(status, uri_));
    }
    LLMD_CO_TRY_VOID(co_await begin(*response));
    auto received = co_await receive(*response);
    co_return received;
  }

  Task<Result<ResponsePtr>> request() {
    HttpSource at = source_;
    for (int redirects = 0; redirects <= kMaxRedirects; ++redirects) {
      LLMD_CO_TRY(http::ClientPool * pool, pool_for(at.tls));
      http::ClientRequest call{.address = at.address, .head = head_for(at)};
      call.timeouts = {.connect = job_.options.connect_timeout,
                       .first_byte = job_.options.idle_timeout,
                       .idle = job_.options.idle_timeout,
                       .total = job_.deadline};
      LLMD_CO_TRY(ResponsePtr response, co_await pool->send(std::move(call)));
      if (!is_redirect(response->status())) {
        co_return response;
      }
      const auto location = response->head().headers.find("Location");
      if (!location) {
        co_return unavailable("{}: a redirect without Location", uri_);
      }
      LLMD_CO_TRY(at, follow(at, *location));
    }
    co_return unavailable("{}: more than {} redirects", uri_, kMaxRedirects);
  }

  http::RequestHead head_for(const HttpSource& at) const {
    http::RequestHead head{.method = "GET", .target = at.target};
    head.headers.add("User-Agent", "llmd-fetch");
    head.headers.add("Accept-Encoding", "identity");
    if (part_->size() > 0 && !validator_.empty()) {
      head.headers.add("Range", fmt::format("bytes={}-", part_->size()));
      head.headers.add("If-Range", validator_);
    }
    return head;
  }

  Result<http::ClientPool*> pool_for(bool tls) {
    auto& pool = tls ? tls_pool_ : plain_pool_;
    if (!pool) {
      http::ClientOptions options;
      if (tls) {
        options.tls = job_.options.tls;
        if (!options.tls) {
          LLMD_TRY(options.tls, net::TlsClient::system_trust());
        }
      }
      pool = std::make_unique<http::ClientPool>(job_.loop, options);
    }
    return pool.get();
  }

  // Decides whether the body continues the part file or replaces it.
  Task<Result<void>> begin(http::ClientResponse& response) {
    const http::Headers& headers = response.head().headers;
    const auto length = response.body().length();
    if (response.status() == 206) {
      const auto range = parse_content_range(headers.find("Content-Range").value_or(""));
      if (!range || range->start != part_->size()) {
        co_return unavailable("{}: the server sent another range than was asked for", uri_);
      }
      total_ = range->total ? range->total : length ? std::optional(*length + range->start) : std::nullopt;
    } else {
      if (part_->size() > 0) {
        LLMD_CO_TRY_VOID(co_await restart());
      }
      total_ = length;
    }
    if (total_) {
      LLMD_CO_TRY_VOID(job_.target.check_space(*total_ - std::min(*total_, part_->size())));
    }
    validator_ = validator_of(headers);
    const PartNote note{uri_, validator_};
    LLMD_CO_TRY_VOID(write_file_atomically(note_path(job_.target), json::write(json::encode(note))));
    co_return Result<void>();
  }

  Task<Result<void>> receive(http::ClientResponse& response) {
    std::string pending;
    while (true) {
      const auto piece = co_await response.body().next();
      const bool at_end = !piece || piece->empty();
      if (!at_end) {
        pending.append(*piece);
      }
      if (pending.size() >= kWriteBytes || (at_end && !pending.empty())) {
        LLMD_CO_TRY_VOID(co_await write(std::exchange(pending, {})));
      }
      if (!piece) {
        co_return std::unexpected(piece.error());
      }
      job_.report(Progress::Step::Downloading, part_->size() + pending.size(), total_);
      if (at_end) {
        break;
      }
    }
    if (total_ && part_->size() != *total_) {
      co_return unavailable("{}: the connection ended after {} of {} bytes", uri_, part_->size(), *total_);
    }
    co_return Result<void>();
  }

  Task<Result<void>> write(std::string bytes) {
    auto work = [part = part_, bytes = std::move(bytes)] { return part->write(bytes); };
    auto written = co_await job_.worker.run(std::move(work));
    co_return written;
  }

  Task<Result<void>> restart() {
    auto work = [part = part_] { return part->restart(); };
    auto restarted = co_await job_.worker.run(std::move(work));
    validator_.clear();
    co_return restarted;
  }

  Task<Result<FetchRecord>> verify() {
    auto work = [part = part_] { return part->finish(); };
    LLMD_CO_TRY(std::string digest, co_await job_.worker.run(std::move(work)));
    if (!source_.sha256.empty() && digest != source_.sha256) {
      discard();
      co_return data_loss("{}: the file has SHA-256 {}, expected {}", uri_, digest, source_.sha256)
          .hint("the file at the source changed, or the digest in the URI is that of another file");
    }
    std::filesystem::remove(note_path(job_.target));
    co_return FetchRecord{.sha256 = std::move(digest), .size = part_->size()};
  }

  void discard() {
    job_.target.discard_part();
    std::error_code ignored;
    std::filesystem::remove(note_path(job_.target), ignored);
  }

  // After a broken network the part is worth keeping if the server lets us continue it; otherwise nothing
  // stays.
  void clean_up(const Error& error) {
    const bool network = error.kind == ErrorKind::Unavailable || error.kind == ErrorKind::DeadlineExceeded;
    if (!network || part_->size() == 0 || validator_.empty()) {
      discard();
    }
  }

  Error explained(Error error) const {
    if (error.message.find(uri_) == std::string::npos) {
      error.message = fmt::format("{}: {}", uri_, error.message);
    }
    if (error.advice.empty() &&
        (error.kind == ErrorKind::Unavailable || error.kind == ErrorKind::DeadlineExceeded)) {
      const bool can_continue = part_->size() > 0 && !validator_.empty();
      error.advice = can_continue
                         ? fmt::format("run it again: it continues after {}", human_bytes(part_->size()))
                         : "check the network and the address, then run it again";
    }
    return error;
  }

  friend Task<Result<FetchRecord>> llmd::storage::fetch_http(FetchJob&, const std::string&, HttpSource);

  FetchJob& job_;
  const std::string uri_;
  const HttpSource source_;
  const std::shared_ptr<PartFile> part_;
  std::string validator_;
  std::optional<std::uint64_t> total_;
  std::unique_ptr<http::ClientPool> tls_pool_;
  std::unique_ptr<http::ClientPool> plain_pool_;
};

}  // namespace

Task<Result<FetchRecord>> fetch_http(FetchJob& job, const std::string& uri, HttpSource source) {
  PartNote note = read_note(job.target);
  const bool can_resume = note.uri == uri && !note.validator.empty();
  auto open = [path = job.target.part_path(), can_resume]() -> Result<std::shared_ptr<PartFile>> {
    LLMD_TRY(PartFile part, PartFile::open(path, can_resume));
    return std::make_shared<PartFile>(std::move(part));
  };
  LLMD_CO_TRY(std::shared_ptr<PartFile> part, co_await job.worker.run(std::move(open)));
  Download download(job, uri, std::move(source), std::move(part));
  download.validator_ = can_resume ? std::move(note.validator) : std::string();
  auto record = co_await download.run();
  co_return record;
}

}  // namespace llmd::storage
