// A watch: the changes of one collection as a stream of JSON lines, until the client leaves, the time is
// over, or the client turns out to be too slow.
#include <charconv>
#include <random>

#include "apiserver/selection.h"
#include "apiserver/service.h"
#include "apiserver/table.h"
#include "json/value.h"

namespace llmd::apiserver {

namespace {

constexpr Duration kBookmarkPeriod = std::chrono::minutes(1);
constexpr Duration kBookmarkLead = std::chrono::seconds(2);  // before the end
constexpr std::size_t kWriteChunk = 64 * 1024;

Duration watch_time(const Request& request) {
  const std::string_view text = request.query.find("timeoutSeconds");
  int seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (seconds > 0) {
    return std::chrono::seconds(std::min(seconds, 24 * 3600));
  }
  // Not all watches of a restarted server shall end in the same second.
  static std::minstd_rand random{std::random_device{}()};
  return std::chrono::seconds(std::uniform_int_distribution(1800, 3600)(random));
}

class WatchStream {
 public:
  WatchStream(Service& service, http::Exchange& exchange, const Request& request, Form form,
              Selection selection)
      : service_(service),
        exchange_(exchange),
        request_(request),
        form_(form),
        selection_(std::move(selection)),
        bookmarks_(request.query.flag("allowWatchBookmarks")),
        end_(std::chrono::steady_clock::now() + watch_time(request)),
        next_bookmark_(std::chrono::steady_clock::now() + kBookmarkPeriod) {}

  Task<void> run() {
    const std::string version_text(request_.query.find("resourceVersion"));
    const bool from_now = version_text.empty() || version_text == "0";
    std::uint64_t version = service_.registry.version();
    if (!from_now) {
      const Answer<std::uint64_t> given = parse_version(version_text);
      if (!given) {
        co_await send_failure(exchange_, given.error());
        co_return;
      }
      version = *given;
    }
    bookmarks_ = bookmarks_ && !version_text.empty();
    subscription_ = service_.registry.subscribe(request_.kind(), version);
    if (from_now) {
      add_existing();
    }
    sent_version_ = version;
    if (!subscription_) {
      add_expired(version);
    }
    http::ResponseHead head;
    head.headers.add("Content-Type", "application/json");
    head.headers.add("Cache-Control", "no-cache, private");
    auto written = co_await exchange_.start(std::move(head), std::exchange(out_, {}));
    if (!written || !subscription_) {
      static_cast<void>(co_await exchange_.finish());
      co_return;
    }
    co_await follow();
  }

 private:
  Task<void> follow() {
    struct TakeBack {
      http::Exchange& exchange;
      ~TakeBack() { exchange.on_client_gone({}); }
    };
    bool gone = false;
    const TakeBack take_back{exchange_};  // also when this task is cancelled
    exchange_.on_client_gone([this, &gone] {
      gone = true;
      subscription_->changed.set();
    });
    while (!gone && !subscription_->overflowed && std::chrono::steady_clock::now() < end_) {
      take_changes();
      take_bookmark();
      if (!out_.empty()) {
        const std::string bytes = std::exchange(out_, {});
        const auto written = co_await exchange_.write(bytes);
        if (!written) {
          break;
        }
        continue;
      }
      subscription_->changed.reset();
      static_cast<void>(co_await subscription_->changed.wait_until(async::Deadline::at(wake_time())));
    }
    if (!gone) {
      static_cast<void>(co_await exchange_.finish());
    }
  }

  TimePoint wake_time() const { return bookmarks_ ? std::min(end_, next_bookmark_) : end_; }

  void take_changes() {
    while (!subscription_->queue.empty() && out_.size() < kWriteChunk) {
      const ChangePtr change = std::move(subscription_->queue.front());
      subscription_->queue.pop_front();
      add_change(*change);
    }
  }

  void add_existing() {
    for (const auto& [key, object] : service_.registry.objects(request_.kind())) {
      if (selection_.matches(*object)) {
        add_event("ADDED", *object);
      }
    }
  }

  void add_change(const Change& change) {
    const bool before = change.before && selection_.matches(*change.before);
    if (change.after && selection_.matches(*change.after)) {
      add_event(before ? "MODIFIED" : "ADDED", *change.after);
    } else if (before && change.after) {
      // It left the selection: for this watcher that is its end, in the state it knew, with the new version.
      kube::Object last = *change.before;
      kube::at(last, "metadata.resourceVersion") = std::to_string(change.version);
      add_event("DELETED", last);
    } else if (before) {
      add_event("DELETED", change.last ? *change.last : *change.before);
    }
  }

  void add_event(std::string_view type, const kube::Object& object) {
    boost::json::object event;
    event["type"] = type;
    if (form_ == Form::Table) {
      const kube::Object* const one[] = {&object};
      boost::json::object metadata{{"resourceVersion", kube::resource_version_of(object)}};
      const std::string_view include = request_.query.find("includeObject");
      event["object"] = make_table(request_.kind(), one, std::move(metadata),
                                   include == "Object" ? IncludeObject::Object
                                   : include == "None" ? IncludeObject::None
                                                       : IncludeObject::Metadata,
                                   service_.clock.wall_now(), !std::exchange(defined_, true));
    } else {
      event["object"] = form_ == Form::Partial ? partial_metadata(object) : object;
    }
    add_line(event);
    const std::string_view version = kube::resource_version_of(object);
    std::from_chars(version.data(), version.data() + version.size(), sent_version_);
  }

  void add_line(const boost::json::object& event) {
    json::write_to(out_, boost::json::value(event));
    out_ += '\n';
  }

  void add_expired(std::uint64_t version) {
    const Failure failure = expired(
        fmt::format("too old resource version: {} ({})", version, service_.registry.oldest(request_.kind())));
    add_line({{"type", "ERROR"}, {"object", failure.status()}});
  }

  // Lets a client resume at the newest version although nothing it selects has changed.
  void take_bookmark() {
    const TimePoint now = std::chrono::steady_clock::now();
    if (!bookmarks_ || now < next_bookmark_) {
      return;
    }
    next_bookmark_ = now + kBookmarkPeriod;
    if (next_bookmark_ > end_ - kBookmarkLead && now < end_ - kBookmarkLead) {
      next_bookmark_ = end_ - kBookmarkLead;
    }
    const std::uint64_t version = service_.registry.version();
    if (version <= sent_version_ || !subscription_->queue.empty()) {
      return;
    }
    sent_version_ = version;
    boost::json::object bookmark{{"kind", request_.resource().kind},
                                 {"apiVersion", request_.resource().api_version()}};
    bookmark["metadata"] = {{"resourceVersion", std::to_string(version)}, {"creationTimestamp", nullptr}};
    boost::json::object event{{"type", "BOOKMARK"}};
    if (form_ == Form::Table) {
      const kube::Object* const one[] = {&bookmark};
      event["object"] =
          make_table(request_.kind(), one, {{"resourceVersion", std::to_string(version)}},
                     IncludeObject::Metadata, service_.clock.wall_now(), !std::exchange(defined_, true));
    } else {
      event["object"] = std::move(bookmark);
    }
    add_line(event);
  }

  Service& service_;
  http::Exchange& exchange_;
  const Request& request_;
  const Form form_;
  const Selection selection_;
  bool bookmarks_;
  bool defined_ = false;
  const TimePoint end_;
  TimePoint next_bookmark_;
  std::uint64_t sent_version_ = 0;
  std::string out_;
  std::unique_ptr<Subscription> subscription_;
};

}  // namespace

Task<void> handle_watch(Service& service, http::Exchange& exchange, Request& request) {
  const Answer<Form> form = negotiate(request.accept);
  Answer<Selection> selection = read_selection(request);
  if (!form || !selection) {
    co_await send_failure(exchange, form ? selection.error() : form.error());
    co_return;
  }
  WatchStream stream(service, exchange, request, *form, std::move(*selection));
  co_await stream.run();
}

}  // namespace llmd::apiserver
