#include "runtime/node/key_store.hpp"

#include <sodium.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/assert.hpp"

namespace vigil {

KeyStore::KeyStore(std::string path, KeyStoreListener& listener)
    : path_(std::move(path)), listener_(listener), asked_(::eventfd(0, EFD_CLOEXEC)), done_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  VIGIL_ASSERT(asked_.valid());
  VIGIL_ASSERT(done_.valid());
  thread_.emplace(SideThread::small_stack, &KeyStore::run, this);
}

KeyStore::~KeyStore() {
  stopping_.store(true, std::memory_order_release);
  ring_bell(asked_.get());
  thread_.reset();
  sodium_memzero(text_.data(), text_.size());
}

Status KeyStore::attach(Ring& ring) {
  return source_.hold(ring, ring.watch(done_.get(), EPOLLIN, *this));
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
