// Replaces the key file without holding up the loop: making, syncing and renaming a file waits for the disk, so a
// thread of the normal class does it, one file at a time. The content is wiped as soon as it is written.
//
// The loop hands the content over and hears of the outcome by the ring; neither side ever waits for the other.
#pragma once

#include <array>
#include <atomic>
#include <optional>
#include <string>

#include "runtime/config/key_file.hpp"
#include "runtime/loop/fd.hpp"
#include "runtime/loop/registration.hpp"
#include "runtime/node/side_thread.hpp"

namespace vigil {

class KeyStoreListener {
 public:
  virtual ~KeyStoreListener() = default;
  // `why`: empty when the file is on stable storage.
  virtual void on_keys_stored(std::string_view why) = 0;
};

class KeyStore : private RingHandler {
 public:
  // The thread starts here: before the process turns real-time.
  KeyStore(std::string path, KeyStoreListener& listener);
  ~KeyStore();
  KeyStore(const KeyStore&) = delete;
  KeyStore& operator=(const KeyStore&) = delete;

  Status attach(Ring& ring);
  void detach() { source_.drop(); }
  bool busy() const { return state_.load(std::memory_order_acquire) != State::idle; }
  // Only when not busy.
  void save(const KeySet& keys);

 private:
  enum class State : std::uint8_t { idle, asked, done };

  static void* run(void* store);
  void work();
  void on_ready(std::uint32_t tag, std::uint32_t events) override;

  std::string path_;
  KeyStoreListener& listener_;
  std::array<char, KeySet::text_bytes_max> text_{};  // the thread's while asked, else the loop's
  std::size_t size_ = 0;
  std::string why_;
  std::atomic<State> state_{State::idle};
  std::atomic<bool> stopping_{false};
  Fd asked_;  // eventfd to the thread
  Fd done_;   // eventfd to the loop
  Registration source_;
  std::optional<SideThread> thread_;
};

}  // namespace vigil
