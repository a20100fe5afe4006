#include "runtime/node/key_store.hpp"

#include <signal.h>
#include <sodium.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/assert.hpp"

namespace vigil {

namespace {

// Locked memory is counted in full: the default stack would be a quarter of the daemon.
constexpr std::size_t stack_bytes = 128 * 1024;

void ring_bell(int bell) {
  const std::uint64_t one = 1;
  (void)!::write(bell, &one, sizeof one);
}

}  // namespace

KeyStore::KeyStore(std::string path, KeyStoreListener& listener)
    : path_(std::move(path)), listener_(listener), asked_(::eventfd(0, EFD_CLOEXEC)), done_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  VIGIL_ASSERT(asked_.valid());
  VIGIL_ASSERT(done_.valid());
  pthread_attr_t attributes;
  VIGIL_ASSERT(::pthread_attr_init(&attributes) == 0);
  VIGIL_ASSERT(::pthread_attr_setstacksize(&attributes, stack_bytes) == 0);
  // Signals are the loop's: a thread inherits what is blocked.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  VIGIL_ASSERT(::pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
  VIGIL_ASSERT(::pthread_create(&thread_, &attributes, &KeyStore::run, this) == 0);
  VIGIL_ASSERT(::pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
  ::pthread_attr_destroy(&attributes);
}

KeyStore::~KeyStore() {
  stopping_.store(true, std::memory_order_release);
  ring_bell(asked_.get());
  ::pthread_join(thread_, nullptr);
  sodium_memzero(text_.data(), text_.size());
}

Status KeyStore::attach(Ring& ring) {
  const auto source = ring.watch(done_.get(), EPOLLIN, *this);
  if (!source) return source.error();
  return {};
}

void KeyStore::save(const KeySet& keys) {
  VIGIL_ASSERT(!busy());
  size_ = keys.write(text_);
  state_.store(State::asked, std::memory_order_release);
  ring_bell(asked_.get());
}

void* KeyStore::run(void* store) {
  static_cast<KeyStore*>(store)->work();
  return nullptr;
}

void KeyStore::work() {
  while (!stopping_.load(std::memory_order_acquire)) {
    std::uint64_t count = 0;
    (void)!::read(asked_.get(), &count, sizeof count);
    if (state_.load(std::memory_order_acquire) != State::asked) continue;
    const Status replaced = replace_key_file(path_, {text_.data(), size_});
    sodium_memzero(text_.data(), text_.size());
    why_ = replaced ? std::string() : replaced.error().message;
    state_.store(State::done, std::memory_order_release);
    ring_bell(done_.get());
  }
}

void KeyStore::on_ready(std::uint32_t, std::uint32_t) {
  std::uint64_t count = 0;
  (void)!::read(done_.get(), &count, sizeof count);
  if (state_.load(std::memory_order_acquire) != State::done) return;
  const std::string why = std::exchange(why_, {});
  state_.store(State::idle, std::memory_order_release);
  listener_.on_keys_stored(why);
}

}  // namespace vigil
