#include "apiserver/database.h"

#include <sqlite3.h>

#include <algorithm>

#include "json/value.h"

namespace llmd::apiserver {

namespace {

constexpr int kFormat = 1;                  // PRAGMA user_version
constexpr int kApplicationId = 0x6c6c6d64;  // "llmd"

struct CloseDatabase {
  void operator()(sqlite3* handle) const { sqlite3_close_v2(handle); }
};
struct CloseStatement {
  void operator()(sqlite3_stmt* handle) const { sqlite3_finalize(handle); }
};
using Handle = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, CloseStatement>;

Error sqlite_error(sqlite3* handle, int code, std::string_view what) {
  const int primary = code & 0xff;
  const ErrorKind kind = primary == SQLITE_FULL ? ErrorKind::ResourceExhausted
                         : primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB ? ErrorKind::DataLoss
                         : primary == SQLITE_BUSY || primary == SQLITE_LOCKED    ? ErrorKind::Unavailable
                                                                                 : ErrorKind::Internal;
  return {kind, fmt::format("{}: {}", what, handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code)), {}};
}

void bind_text(sqlite3_stmt* statement, int index, std::string_view text) {
  sqlite3_bind_text64(statement, index, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8);
}

std::string_view column_text(sqlite3_stmt* statement, int index) {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, index));
  return text ? std::string_view(text, static_cast<std::size_t>(sqlite3_column_bytes(statement, index)))
              : std::string_view();
}

class SqliteDatabase final : public Database {
 public:
  explicit SqliteDatabase(Handle handle) : handle_(std::move(handle)) {}

  Result<void> prepare_file() {
    LLMD_TRY_VOID(execute("PRAGMA locking_mode=EXCLUSIVE"));
    LLMD_TRY(const auto format, pragma("PRAGMA user_version"));
    LLMD_TRY(const auto application, pragma("PRAGMA application_id"));
    if (format > kFormat || (application != 0 && application != kApplicationId)) {
      return data_loss("the database is not ours or was written by a newer version");
    }
    LLMD_TRY_VOID(execute("PRAGMA journal_mode=WAL"));
    LLMD_TRY_VOID(execute("PRAGMA synchronous=FULL"));
    LLMD_TRY_VOID(execute("PRAGMA cache_size=-2000"));  // KiB: everything is read from memory, not from here
    LLMD_TRY_VOID(execute(fmt::format("PRAGMA application_id={}", kApplicationId)));
    LLMD_TRY_VOID(execute(fmt::format("PRAGMA user_version={}", kFormat)));
    LLMD_TRY_VOID(
        execute("CREATE TABLE IF NOT EXISTS objects(kind TEXT, namespace TEXT, name TEXT, version INTEGER, "
                "body TEXT, PRIMARY KEY(kind, namespace, name)) WITHOUT ROWID"));
    LLMD_TRY_VOID(
        execute("CREATE TABLE IF NOT EXISTS counter(id INTEGER PRIMARY KEY CHECK(id=0), version INTEGER)"));
    LLMD_TRY_VOID(execute("INSERT OR IGNORE INTO counter VALUES(0, 0)"));
    LLMD_TRY(version_, pragma("SELECT version FROM counter"));
    LLMD_TRY(put_, statement("INSERT OR REPLACE INTO objects VALUES(?,?,?,?,?)"));
    LLMD_TRY(remove_, statement("DELETE FROM objects WHERE kind=? AND namespace=? AND name=?"));
    LLMD_TRY(count_, statement("UPDATE counter SET version=?"));
    return {};
  }

  Result<std::vector<StoredObject>> load() override {
    LLMD_TRY(const auto rows,
             statement("SELECT kind, version, body FROM objects ORDER BY kind, namespace, name"));
    std::vector<StoredObject> objects;
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(rows.get())) == SQLITE_ROW) {
      auto body = json::parse_object(column_text(rows.get(), 2));
      if (!body) {
        return std::move(body.error())
            .within(fmt::format("a stored object of {}", column_text(rows.get(), 0)));
      }
      objects.push_back({std::string(column_text(rows.get(), 0)),
                         static_cast<std::uint64_t>(sqlite3_column_int64(rows.get(), 1)), std::move(*body)});
    }
    if (code != SQLITE_DONE) {
      return sqlite_error(handle_.get(), code, "reading objects");
    }
    return objects;
  }

  std::uint64_t version() const override { return static_cast<std::uint64_t>(version_); }

  Result<void> commit(std::span<const StoredWrite> writes) override {
    LLMD_TRY_VOID(execute("BEGIN IMMEDIATE"));
    auto written = write_all(writes);
    if (written) {
      written = execute("COMMIT");
    }
    if (!written) {
      static_cast<void>(execute("ROLLBACK"));
    }
    return written;
  }

 private:
  Result<void> write_all(std::span<const StoredWrite> writes) {
    for (const StoredWrite& write : writes) {
      sqlite3_stmt* row = write.object ? put_.get() : remove_.get();
      bind_text(row, 1, write.kind);
      bind_text(row, 2, write.key.name_space);
      bind_text(row, 3, write.key.name);
      std::string body;
      if (write.object) {
        body = json::write(boost::json::value(*write.object));
        sqlite3_bind_int64(row, 4, static_cast<sqlite3_int64>(write.version));
        bind_text(row, 5, body);
      }
      LLMD_TRY_VOID(run(row));
      version_ = std::max(version_, static_cast<std::int64_t>(write.version));
    }
    sqlite3_bind_int64(count_.get(), 1, version_);
    return run(count_.get());
  }

  Result<void> run(sqlite3_stmt* row) {
    const int code = sqlite3_step(row);
    sqlite3_reset(row);
    if (code != SQLITE_DONE) {
      return sqlite_error(handle_.get(), code, "writing objects");
    }
    return {};
  }

  Result<void> execute(const std::string& sql) {
    const int code = sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) {
      return sqlite_error(handle_.get(), code, sql);
    }
    return {};
  }

  Result<Statement> statement(const char* sql) {
    sqlite3_stmt* made = nullptr;
    const int code = sqlite3_prepare_v2(handle_.get(), sql, -1, &made, nullptr);
    if (code != SQLITE_OK) {
      return sqlite_error(handle_.get(), code, sql);
    }
    return Statement(made);
  }

  Result<std::int64_t> pragma(const char* sql) {
    LLMD_TRY(const auto row, statement(sql));
    const int code = sqlite3_step(row.get());
    if (code != SQLITE_ROW) {
      return sqlite_error(handle_.get(), code, sql);
    }
    return sqlite3_column_int64(row.get(), 0);
  }

  Handle handle_;
  Statement put_;
  Statement remove_;
  Statement count_;
  std::int64_t version_ = 0;
};

}  // namespace

Result<std::unique_ptr<Database>> Database::open(const std::filesystem::path& file) {
  sqlite3* raw = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(file.c_str(), &raw, flags, nullptr);
  Handle handle(raw);
  if (code != SQLITE_OK) {
    return sqlite_error(raw, code, "open").within(file.string());
  }
  auto database = std::make_unique<SqliteDatabase>(std::move(handle));
  if (auto ready = database->prepare_file(); !ready) {
    Error error = std::move(ready.error()).within(file.string());
    return error.kind == ErrorKind::Unavailable
               ? std::move(error).hint("another process uses this data directory")
               : error;
  }
  return std::unique_ptr<Database>(std::move(database));
}

}  // namespace llmd::apiserver
