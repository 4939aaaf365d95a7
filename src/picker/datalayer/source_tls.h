// SourceTls: whom a data source believes and how it makes itself known, from files that may change while the
// program runs, because certificates are short-lived. What cannot be used leaves what there was, and
// PollSource::problem() says why. One loop. Private to the scraper.
#pragma once

#include <memory>

#include "net/tls_options.h"
#include "picker/datalayer/sources.h"

namespace llmd::picker {

class SourceTls {
 public:
  // Reads the files. The source outlives it.
  explicit SourceTls(const PollSource& source);

  // False: its files could not be used yet; nobody can be asked.
  bool usable() const { return usable_; }
  // Null: without TLS.
  const std::shared_ptr<const net::TlsClient>& client() const { return client_; }
  // Whether there are files to look at again.
  bool has_files() const;
  // Reads the files again. True: client() is another one, for new connections; those that are open may end
  // as they began.
  bool look_again();

  // Whether the files can be used now; the error names source, files and cure.
  static Result<void> check(const PollSource& source);

 private:
  bool use(const net::TlsClientOptions& read, std::shared_ptr<const net::TlsClient> made);

  const PollSource* source_;
  std::shared_ptr<const net::TlsClient> client_;
  net::TlsClientOptions used_;
  bool usable_ = false;
  bool failed_ = false;  // the last look; the second in a row is told
};

}  // namespace llmd::picker
