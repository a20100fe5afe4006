// Processes for the gate's tests: a holder that renews a lease until it is stopped or killed, and an
// echo server that outlives it, as an application outlives its cluster daemon.
#pragma once

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <atomic>

#include "netif/service_address.hpp"
#include "tests/unit/netif/lab.hpp"

namespace vigil::netif::lab {

// A child process; killed and reaped with this.
class Child {
 public:
  template <typename Body>
  explicit Child(Body body) : pid_(::fork()) {
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    body();
    ::_exit(0);
  }
  ~Child() { end(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Returns when it has stopped, on every CPU.
  void freeze() const {
    int status = 0;
    ::kill(pid_, SIGSTOP);
    ::waitpid(pid_, &status, WUNTRACED);
  }
  void thaw() const { ::kill(pid_, SIGCONT); }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_;
};

// What the holder tells its tester, in memory that both see.
struct HolderWord {
  std::atomic<std::int64_t> until_ns{0};  // never before the lease itself is stored: an upper bound
  std::atomic<int> state{0};              // 1 serving, -1 failed
};

class Holder {
 public:
  static constexpr Duration lease = Duration::from_ms(100);
  static constexpr int renewal_ms = 10;

  // In the node's namespace; serves these addresses on vgnif0 by the whole order of acquire().
  explicit Holder(const std::vector<IpAddress>& addresses)
      : word_(new (::mmap(nullptr, sizeof(HolderWord), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                  HolderWord),
        child_([this, &addresses] { serve(addresses); }) {}
  ~Holder() {
    child_.end();
    ::munmap(word_, sizeof(HolderWord));
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  bool is_serving() const {
    for (int i = 0; i < 500 && word_->state == 0; ++i) pause_ms(10);
    return word_->state == 1;
  }
  Instant lease_until() const { return Instant{word_->until_ns}; }
  void freeze() const { child_.freeze(); }
  void thaw() const { child_.thaw(); }
  void crash() { child_.end(); }

 private:
  void serve(const std::vector<IpAddress>& addresses) {
    Result<std::unique_ptr<ServiceAddresses>> opened = ServiceAddresses::open();
    if (!opened) return failed(opened.error());
    ServiceAddresses& service = **opened;
    AddressSlot slot = 0;
    for (const IpAddress& address : addresses) {
      const Instant until = announce_lease();
      const Result<AcquireTiming> acquired =
          service.acquire({slot++, address, index_of("vgnif0"), node_mac, 0, Epoch{1, 0}, until});
      if (!acquired) return failed(acquired.error());
    }
    word_->state = 1;
    for (;;) {
      service.renew(announce_lease());
      pause_ms(renewal_ms);
    }
  }
  Instant announce_lease() {
    const Instant until = boot_now() + lease;
    word_->until_ns = until.ns;
    return until;
  }
  void failed(const Error& error) {
    std::fprintf(stderr, "holder: %s\n", error.message.c_str());
    word_->state = -1;
  }

  HolderWord* word_;
  Child child_;
};

inline constexpr std::uint16_t echo_port = 4242;

// Answers every datagram to one of these addresses, which need not be there yet.
class EchoServer {
 public:
  explicit EchoServer(const std::vector<IpAddress>& addresses) {
    for (const IpAddress& address : addresses) bind_to(address);
    child_ = std::make_unique<Child>([this] { serve(); });
  }

 private:
  void bind_to(const IpAddress& address) {
    const bool v6 = address.family == 6;
    Descriptor socket(::socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(socket.get(), v6 ? static_cast<int>(IPPROTO_IPV6) : static_cast<int>(IPPROTO_IP),
                 v6 ? IPV6_FREEBIND : IP_FREEBIND, &on, sizeof on);
    sockaddr_in6 local6{};
    sockaddr_in local4{};
    local6.sin6_family = AF_INET6;
    local4.sin_family = AF_INET;
    local6.sin6_port = local4.sin_port = htons(echo_port);
    std::memcpy(&local6.sin6_addr, address.bytes.data(), 16);
    std::memcpy(&local4.sin_addr, address.bytes.data(), 4);
    const int bound = v6 ? ::bind(socket.get(), reinterpret_cast<sockaddr*>(&local6), sizeof local6)
                         : ::bind(socket.get(), reinterpret_cast<sockaddr*>(&local4), sizeof local4);
    if (bound != 0) std::perror("lab: echo server");
    sockets_.push_back(std::move(socket));
  }
  void serve() const {
    std::vector<pollfd> ready;
    for (const Descriptor& socket : sockets_) ready.push_back({socket.get(), POLLIN, 0});
    for (;;) {
      ::poll(ready.data(), ready.size(), -1);
      for (const pollfd& one : ready) {
        if ((one.revents & POLLIN) == 0) continue;
        char bytes[64];
        sockaddr_storage from{};
        socklen_t size = sizeof from;
        const ssize_t got = ::recvfrom(one.fd, bytes, sizeof bytes, 0, reinterpret_cast<sockaddr*>(&from), &size);
        if (got > 0)
          ::sendto(one.fd, bytes, static_cast<std::size_t>(got), 0, reinterpret_cast<sockaddr*>(&from), size);
      }
    }
  }
  std::vector<Descriptor> sockets_;
  std::unique_ptr<Child> child_;
};

}  // namespace vigil::netif::lab
