#include "picker/datalayer/source_tls.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"

namespace llmd::picker {
namespace {

using Client = std::shared_ptr<const net::TlsClient>;

struct NamedFile {
  std::string_view parameter;
  const std::string& path;
  std::string net::TlsClientOptions::* content;
};

// Those that count: nobody is believed by a CA where nothing is verified, and nothing counts without TLS.
std::vector<NamedFile> files_of(const PollSource::Options& options) {
  std::vector<NamedFile> files;
  const auto add = [&files](NamedFile file) {
    if (!file.path.empty()) {
      files.push_back(file);
    }
  };
  if (options.https && options.verify) {
    add({"caCertPath", options.ca_file, &net::TlsClientOptions::ca_pem});
  }
  if (options.https) {
    add({"clientCertPath", options.certificate_file, &net::TlsClientOptions::certificate_pem});
    add({"clientKeyPath", options.key_file, &net::TlsClientOptions::key_pem});
  }
  return files;
}

Result<net::TlsClientOptions> read(const PollSource::Options& options) {
  net::TlsClientOptions tls{.ca_pem = {}, .verify = options.verify};
  for (const NamedFile& file : files_of(options)) {
    auto content = read_file(file.path);
    if (!content) {
      return std::unexpected(std::move(content)
                                 .error()
                                 .within(file.parameter)
                                 .hint(fmt::format("is {} mounted, and may this user read it?", file.path)));
    }
    tls.*file.content = std::move(*content);
  }
  return tls;
}

Result<Client> make(const PollSource::Options& options, const net::TlsClientOptions& read) {
  if (!options.https) {
    return nullptr;
  }
  auto made = net::make_tls_client(read);
  if (!made) {
    std::string names;
    for (const NamedFile& file : files_of(options)) {
      names += fmt::format("{}{} {}", names.empty() ? "" : ", ", file.parameter, file.path);
    }
    return std::unexpected(std::move(made).error().within(names).hint(
        "all hold PEM: certificates, and the private key of the client's certificate"));
  }
  return std::move(*made);
}

bool is_same(const net::TlsClientOptions& a, const net::TlsClientOptions& b) {
  return a.ca_pem == b.ca_pem && a.certificate_pem == b.certificate_pem && a.key_pem == b.key_pem;
}

std::string place_of(const PollSource& source) {
  return fmt::format("data source '{}'", source.name);
}

}  // namespace

SourceTls::SourceTls(const PollSource& source) : source_(&source) {
  auto found = read(source.options);
  auto made = found ? make(source.options, *found) : std::unexpected(found.error());
  if (made) {
    used_ = std::move(*found);
    client_ = std::move(*made);
    usable_ = true;
    return;
  }
  failed_ = true;
  log::error("a data source cannot be used until its certificates can",
             {{"source", source.name}, {"error", made.error().text()}});
  source.set_problem(std::move(made).error().within(place_of(source)));
}

bool SourceTls::has_files() const {
  return !files_of(source_->options).empty();
}

bool SourceTls::use(const net::TlsClientOptions& read, Client made) {
  used_ = read;
  client_ = std::move(made);
  usable_ = true;
  log::info("certificates of a data source read again", {{"source", source_->name}});
  source_->count_reload(true);
  return true;
}

// A certificate and its key are two files: whoever changes them may be between the two. So what is wrong is
// told when it is still wrong the next time.
bool SourceTls::look_again() {
  auto found = read(source_->options);
  if (found && usable_ && is_same(*found, used_)) {
    failed_ = false;
    source_->set_problem(std::nullopt);
    return false;
  }
  auto made = found ? make(source_->options, *found) : std::unexpected(found.error());
  if (made) {
    failed_ = false;
    source_->set_problem(std::nullopt);
    return use(*found, std::move(*made));
  }
  if (failed_ && !source_->problem()) {
    log::warning("certificates of a data source cannot be used; the old ones stay",
                 {{"source", source_->name}, {"error", made.error().text()}});
    source_->count_reload(false);
    source_->set_problem(std::move(made).error().within(place_of(*source_)));
  }
  failed_ = true;
  return false;
}

Result<void> SourceTls::check(const PollSource& source) {
  auto found = read(source.options);
  auto made = found ? make(source.options, *found) : std::unexpected(found.error());
  if (!made) {
    return std::unexpected(std::move(made).error().within(place_of(source)));
  }
  return {};
}

}  // namespace llmd::picker
