// Streams over real loopback sockets, plain and TLS. Every promise of stream.h is tested for both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>

#include "async/event.h"
#include "async/scope.h"
#include "base/file.h"
#include "net/refused.h"
#include "net/stream.h"

namespace llmd::net {
namespace {

using async::Deadline;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

constexpr auto kSoon = seconds(20);

// A self-signed certificate for 127.0.0.1 in a folder of its own.
class Certificate {
 public:
  Certificate() {
    std::string pattern = (std::filesystem::temp_directory_path() / "llmd-net-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
    X509* made = X509_new();
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
    X509_gmtime_adj(X509_getm_notBefore(made), -3600);
    X509_gmtime_adj(X509_getm_notAfter(made), 3600);
    X509_NAME* name = X509_get_subject_name(made);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("test"), -1,
                               -1, 0);
    X509_set_issuer_name(made, name);
    X509_set_pubkey(made, key);
    X509_EXTENSION* names = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(made, names, -1);
    X509_EXTENSION_free(names);
    X509_sign(made, key, EVP_sha256());
    write([&](BIO* out) { PEM_write_bio_X509(out, made); }, certificate());
    write([&](BIO* out) { PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr); },
          this->key());
    X509_free(made);
    EVP_PKEY_free(key);
  }
  Certificate(const Certificate&) = delete;
  ~Certificate() { std::filesystem::remove_all(folder_); }

  std::filesystem::path certificate() const { return folder_ / "tls.crt"; }
  std::filesystem::path key() const { return folder_ / "tls.key"; }

 private:
  template <typename Writer>
  static void write(Writer writer, const std::filesystem::path& path) {
    BIO* out = BIO_new_file(path.c_str(), "w");
    writer(out);
    BIO_free(out);
  }
  std::filesystem::path folder_;
};

struct Pair {
  std::unique_ptr<Stream> client;
  std::unique_ptr<Stream> server;
};

class Streams : public testing::TestWithParam<bool> {
 protected:
  Streams() {
    ListenOptions options;
    if (GetParam()) {
      options.tls = TlsServer::from_files(certificate_.certificate(), certificate_.key()).value();
      client_tls_ = TlsClient::from_ca_pem(read_file(certificate_.certificate()).value()).value();
    }
    listener_ = Listener::open(loop_, {"127.0.0.1", 0}, options).value();
  }

  Task<Result<std::unique_ptr<Stream>>> accept() {
    LLMD_CO_TRY(auto stream, co_await listener_->accept());
    LLMD_CO_TRY_VOID(co_await handshake(*stream, Deadline::after(kSoon)));
    co_return std::move(stream);
  }
  Task<void> accept_into(std::unique_ptr<Stream>& stream) {
    auto accepted = co_await accept();
    stream = std::move(accepted).value();
  }
  Pair connect() {
    Pair pair;
    async::Scope scope(loop_);
    scope.spawn("accept", accept_into(pair.server));
    pair.client = loop_.block_on(dial(listener_->address(), {.tls = client_tls_})).value();
    loop_.block_on(scope.join());
    return pair;
  }
  std::string read(Stream& stream) {
    std::array<char, 100> buffer;
    const auto size = loop_.block_on(stream.read_some(buffer));
    return size ? std::string(buffer.data(), *size) : size.error().message;
  }

  Certificate certificate_;
  async::EventLoop loop_;
  std::shared_ptr<TlsClient> client_tls_;
  std::unique_ptr<Listener> listener_;
};

INSTANTIATE_TEST_SUITE_P(Plain, Streams, testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Tls, Streams, testing::Values(true));

TEST_P(Streams, CarryBytesBothWaysInOrder) {
  const auto [client, server] = connect();
  const std::array<std::string_view, 4> pieces{"one ", "", "two ", "three"};
  ASSERT_TRUE(loop_.block_on(client->write(pieces)));
  EXPECT_EQ(read(*server), "one two three");
  ASSERT_TRUE(loop_.block_on(server->write("back")));
  EXPECT_EQ(read(*client), "back");
}

TEST_P(Streams, WriteMoreThanTheSocketHolds) {
  const auto [client, server] = connect();
  const std::string big(8 << 20, 'x');
  async::Scope scope(loop_);
  std::size_t received = 0;
  auto receive = [&]() -> Task<void> {
    std::vector<char> buffer(100000);
    while (received < 2 * big.size()) {
      const auto size = co_await server->read_some(buffer);
      received += size.value();
    }
  };
  scope.spawn("reader", receive());
  const std::array<std::string_view, 2> pieces{big, big};
  EXPECT_TRUE(loop_.block_on(client->write(pieces)));
  loop_.block_on(scope.join());
  EXPECT_EQ(received, 2 * big.size());
}

TEST_P(Streams, AnOrderlyCloseReadsAsZero) {
  const auto [client, server] = connect();
  loop_.block_on(client->shutdown());
  EXPECT_EQ(read(*server), "");
}

TEST_P(Streams, AReadPastItsDeadlineNamesWhatWasWaitedFor) {
  const auto [client, server] = connect();
  client->set_deadline(Deadline::after(milliseconds(10)), "the first token");
  std::array<char, 10> buffer;
  const auto size = loop_.block_on(client->read_some(buffer));
  ASSERT_FALSE(size);
  EXPECT_EQ(size.error().kind, ErrorKind::DeadlineExceeded);
  EXPECT_THAT(size.error().message, HasSubstr("the first token"));
}

TEST_P(Streams, ALaterDeadlineReplacesAnEarlierOne) {
  const auto [client, server] = connect();
  client->set_deadline(Deadline::after(seconds(1000)), "a");
  ASSERT_TRUE(loop_.block_on(client->write("x")));
  client->set_deadline(Deadline::after(milliseconds(5)), "b");
  EXPECT_THAT(read(*client), HasSubstr("b"));
  client->set_deadline(Deadline::never(), "c");
  EXPECT_EQ(read(*server), "x");
}

TEST_P(Streams, AWriteToSomebodyWhoReadsNothingEndsAtItsDeadline) {
  const auto [client, server] = connect();
  const std::string big(64 << 20, 'x');
  client->set_deadline(Deadline::after(milliseconds(50)), "the reader");
  const auto written = loop_.block_on(client->write(big));
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, ErrorKind::DeadlineExceeded);
}

TEST_P(Streams, CloseFailsAReadInFlightWithCancelled) {
  const auto [client, server] = connect();
  loop_.post([&stream = *client] { stream.close(); });
  std::array<char, 10> buffer;
  const auto size = loop_.block_on(client->read_some(buffer));
  ASSERT_FALSE(size);
  EXPECT_EQ(size.error().kind, ErrorKind::Cancelled);
}

TEST_P(Streams, CancellingATaskUnwindsItsRead) {
  const auto [client, server] = connect();
  bool returned = false;
  auto reader = [&]() -> Task<void> {
    std::array<char, 10> buffer;
    co_await client->read_some(buffer);
    returned = true;
  };
  async::Scope scope(loop_);
  scope.spawn("reader", reader());
  loop_.block_on(async::sleep(milliseconds(1)));
  loop_.block_on(scope.close());
  EXPECT_FALSE(returned);
}

TEST_P(Streams, AnIdleConnectionIsStaleOnceThePeerHasLeft) {
  auto [client, server] = connect();
  EXPECT_FALSE(server->is_stale());
  EXPECT_FALSE(server->peer_gone());
  client->close();
  const bool hung_up = loop_.block_on(server->wait_for_hangup());
  EXPECT_TRUE(hung_up);
  EXPECT_TRUE(server->is_stale());
  EXPECT_TRUE(server->peer_gone());
}

TEST_P(Streams, BytesAreNoHangup) {
  const auto [client, server] = connect();
  ASSERT_TRUE(loop_.block_on(client->write("x")));
  EXPECT_FALSE(loop_.block_on(server->wait_for_hangup()));
  EXPECT_EQ(read(*server), "x");
}

TEST_P(Streams, WaitingForAHangupCanBeCancelled) {
  const auto [client, server] = connect();
  bool returned = false;
  auto watcher = [&]() -> Task<void> {
    co_await server->wait_for_hangup();
    returned = true;
  };
  async::Scope scope(loop_);
  scope.spawn("watcher", watcher());
  loop_.block_on(async::sleep(milliseconds(1)));
  loop_.block_on(scope.close());
  EXPECT_FALSE(returned);
}

TEST_P(Streams, AReadWithoutATaskReportsBytesAndTheEnd) {
  auto [client, server] = connect();
  std::array<char, 10> buffer;
  std::optional<Result<std::size_t>> outcome;
  async::Event done(loop_.executor());
  const auto note = [&](Result<std::size_t> size) {
    outcome = std::move(size);
    done.set();
  };
  server->start_read(buffer, note);
  ASSERT_TRUE(loop_.block_on(client->write("abc")));
  loop_.block_on(done.wait());
  EXPECT_EQ(*outcome, Result<std::size_t>(3));
  done.reset();
  server->start_read(buffer, note);
  loop_.block_on(client->shutdown());
  loop_.block_on(done.wait());
  EXPECT_EQ(*outcome, Result<std::size_t>(0));
}

TEST_P(Streams, AStreamMayGoWhileAReadWithoutATaskIsPending) {
  auto [client, server] = connect();
  auto buffer = std::make_unique<std::array<char, 10>>();
  server->start_read(*buffer,
                     [](const Result<std::size_t>&) { FAIL() << "called after the stream was destroyed"; });
  server.reset();
  buffer.reset();
  loop_.block_on(async::sleep(milliseconds(5)));
}

TEST_P(Streams, KnowTheirAddresses) {
  const auto [client, server] = connect();
  EXPECT_EQ(client->peer_address(), listener_->address());
  EXPECT_EQ(server->peer_address(), client->local_address());
}

class Tcp : public testing::Test {
 protected:
  async::EventLoop loop_;
};

TEST_F(Tcp, ARefusedConnectionSaysWhere) {
  Address closed;
  {
    const auto listener = Listener::open(loop_, {"127.0.0.1", 0}, {}).value();
    closed = listener->address();
  }
  const auto stream = loop_.block_on(dial(closed, {}));
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().kind, ErrorKind::Unavailable);
  EXPECT_THAT(stream.error().message, HasSubstr(closed.to_string()));
  EXPECT_TRUE(is_refused(stream.error()));
  EXPECT_TRUE(is_refused(Error(stream.error()).within("engine a"))) << "whoever passes it on";
}

TEST_F(Tcp, AHandshakeWithAPeerThatSaysNothingEndsAtItsDeadline) {
  const auto listener = Listener::open(loop_, {"127.0.0.1", 0}, {}).value();
  const auto trust = TlsClient::system_trust().value();
  const auto stream = loop_.block_on(
      dial(listener->address(), {.deadline = Deadline::after(milliseconds(20)), .tls = trust}));
  ASSERT_FALSE(stream);
  EXPECT_EQ(stream.error().kind, ErrorKind::DeadlineExceeded);
  EXPECT_THAT(stream.error().message, HasSubstr("TLS handshake with 127.0.0.1"));
  EXPECT_FALSE(is_refused(stream.error()));
}

TEST_F(Tcp, AnUnknownCertificateIsRefused) {
  const Certificate certificate;
  const auto tls = TlsServer::from_files(certificate.certificate(), certificate.key()).value();
  const auto listener = Listener::open(loop_, {"127.0.0.1", 0}, {.tls = tls}).value();
  async::Scope scope(loop_);
  auto serve = [&]() -> Task<void> {
    auto stream = co_await listener->accept();
    co_await handshake(**stream, Deadline::after(kSoon));
  };
  scope.spawn("server", serve());
  const auto stream = loop_.block_on(dial(listener->address(), {.tls = TlsClient::system_trust().value()}));
  ASSERT_FALSE(stream);
  EXPECT_THAT(stream.error().message, HasSubstr("TLS handshake"));
  loop_.block_on(scope.close());
}

TEST_F(Tcp, ATakenPortIsNamedWithAHint) {
  const auto first = Listener::open(loop_, {"127.0.0.1", 0}, {}).value();
  const auto second = Listener::open(loop_, first->address(), {});
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().text(), HasSubstr(first->address().to_string()));
  EXPECT_THAT(second.error().advice, HasSubstr("another program uses this port"));
}

TEST_F(Tcp, SeveralListenersShareAPortWhenAsked) {
  const auto first = Listener::open(loop_, {"127.0.0.1", 0}, {.reuse_port = true}).value();
  EXPECT_TRUE(Listener::open(loop_, first->address(), {.reuse_port = true}));
}

TEST_F(Tcp, AnUnknownNameIsUnavailable) {
  const auto stream =
      loop_.block_on(dial({"no-such-host.invalid", 80}, {.deadline = Deadline::after(kSoon)}));
  ASSERT_FALSE(stream);
  EXPECT_THAT(stream.error().message, HasSubstr("no-such-host.invalid"));
}

TEST(TlsServerTest, FilesThatDoNotFitAreNamed) {
  const Certificate one;
  const Certificate other;
  const auto mixed = TlsServer::from_files(one.certificate(), other.key());
  ASSERT_FALSE(mixed);
  EXPECT_THAT(mixed.error().message, HasSubstr("tls.key"));
  EXPECT_FALSE(TlsServer::from_files("/no/such.crt", one.key()));
}

TEST(TlsServerTest, AReloadThatFailsKeepsTheOldCertificate) {
  const Certificate certificate;
  const auto server = TlsServer::from_files(certificate.certificate(), certificate.key()).value();
  EXPECT_TRUE(server->reload());
  ASSERT_TRUE(write_file_atomically(certificate.certificate(), "nonsense"));
  EXPECT_FALSE(server->reload());
}

TEST(AddressTest, IsReadAsPeopleWriteIt) {
  EXPECT_EQ(parse_address("127.0.0.1:80"), (Address{"127.0.0.1", 80}));
  EXPECT_EQ(parse_address("[::1]:8000"), (Address{"::1", 8000}));
  EXPECT_EQ(parse_address("example.org:65535"), (Address{"example.org", 65535}));
  for (const auto* bad :
       {"", "host", "host:", "host:65536", "host:-1", "::1:80", ":80", "a b:80", "[::1:80"}) {
    EXPECT_FALSE(parse_address(bad)) << bad;
  }
  EXPECT_EQ((Address{"::1", 80}).to_string(), "[::1]:80");
}

TEST(AddressTest, KnowsLoopback) {
  EXPECT_TRUE((Address{"127.9.9.9", 1}).is_loopback());
  EXPECT_TRUE((Address{"::1", 1}).is_loopback());
  EXPECT_TRUE((Address{"localhost", 1}).is_loopback());
  EXPECT_FALSE((Address{"10.0.0.1", 1}).is_loopback());
}

}  // namespace
}  // namespace llmd::net
