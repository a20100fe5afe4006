// Sealing and opening frames. The layout and its reasons are in the header file.
#include "runtime/wire/frame.hpp"

#include <sodium.h>

#include <string>

namespace vigil::wire {

namespace {

constexpr std::size_t nonce_bytes = 24;
static_assert(nonce_bytes == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES);
static_assert(tag_bytes == crypto_aead_xchacha20poly1305_ietf_ABYTES);
static_assert(key_bytes == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
static_assert(key_bytes == crypto_kdf_blake2b_KEYBYTES);

// Separates the keys of frames from other uses of the cluster key.
constexpr char key_context[crypto_kdf_blake2b_CONTEXTBYTES + 1] = "vigilfrm";

using Nonce = std::array<std::uint8_t, nonce_bytes>;

Nonce nonce_of(const FrameHeader& header) {
  Nonce nonce{};
  ByteWriter writer(nonce);
  writer.put_u64(header.start_id);
  writer.put_u64(header.sequence);
  writer.put_u32(header.cluster_id);
  writer.put_u8(header.from);
  writer.put_u8(header.link);
  return nonce;
}

void write_header(const FrameHeader& header, std::uint8_t key_id, ByteWriter& writer) {
  writer.put_u8(frame_magic);
  writer.put_u8(frame_version);
  writer.put_u8(static_cast<std::uint8_t>(header.type));
  writer.put_u8(key_id);
  writer.put_u32(header.cluster_id);
  writer.put_u8(header.from);
  writer.put_u8(header.to);
  writer.put_u8(header.link);
  writer.put_u8(0);
  writer.put_u64(header.start_id);
  writer.put_u64(header.sequence);
}

}  // namespace

Status prepare_cryptography() {
  if (sodium_init() >= 0) return {};
  return Error::of("preparing libsodium failed: it could not reach the kernel's random source; check /dev/urandom");
}

KeyRing::~KeyRing() { sodium_memzero(keys_.data(), sizeof(keys_)); }

const std::uint8_t* KeyRing::find(std::uint8_t key_id) const {
  for (std::size_t i = 0; i < count_; ++i)
    if (keys_[i].id == key_id) return keys_[i].bytes.data();
  return nullptr;
}

Status KeyRing::add(std::uint8_t key_id, std::span<const std::uint8_t, key_bytes> cluster_key) {
  std::size_t place = 0;
  while (place < count_ && keys_[place].id != key_id) ++place;
  if (place == capacity)
    return Error::of("adding cluster key " + std::to_string(key_id) + ": " + std::to_string(capacity) +
                     " keys are held already; remove one that no node sends with any more");
  keys_[place].id = key_id;
  crypto_kdf_blake2b_derive_from_key(keys_[place].bytes.data(), key_bytes, key_id, key_context, cluster_key.data());
  if (place == count_) ++count_;
  if (count_ == 1) active_ = key_id;
  return {};
}

Status KeyRing::activate(std::uint8_t key_id) {
  if (!has(key_id))
    return Error::of("activating cluster key " + std::to_string(key_id) + ": no such key is held; add it first");
  active_ = key_id;
  return {};
}

Status KeyRing::remove(std::uint8_t key_id) {
  std::size_t place = 0;
  while (place < count_ && keys_[place].id != key_id) ++place;
  if (place == count_) return Error::of("removing cluster key " + std::to_string(key_id) + ": no such key is held");
  if (key_id == active_)
    return Error::of("removing cluster key " + std::to_string(key_id) +
                     ": frames are sealed with it; activate another one first");
  --count_;
  keys_[place] = keys_[count_];
  sodium_memzero(&keys_[count_], sizeof(Key));
  return {};
}

std::size_t seal(const KeyRing& keys, const FrameHeader& header, Bytes body, MutableBytes out) {
  VIGIL_ASSERT(body.size() >= body_bytes_min);
  VIGIL_ASSERT(body.size() <= body_bytes_max);
  VIGIL_ASSERT(out.size() >= frame_size(body.size()));
  VIGIL_ASSERT(header.start_id != 0);
  VIGIL_ASSERT(header.sequence != 0);
  const std::uint8_t* const key = keys.find(keys.active());
  VIGIL_ASSERT(key != nullptr);

  ByteWriter writer(out.first(header_bytes));
  write_header(header, keys.active(), writer);
  const Nonce nonce = nonce_of(header);
  unsigned long long sealed_size = 0;
  crypto_aead_xchacha20poly1305_ietf_encrypt(out.data() + header_bytes, &sealed_size, body.data(), body.size(),
                                             out.data(), header_bytes, nullptr, nonce.data(), key);
  return header_bytes + static_cast<std::size_t>(sealed_size);
}

HeaderStatus read_header(Bytes frame, FrameHeader& header) {
  if (!frame.empty() && frame[0] != frame_magic) return HeaderStatus::wrong_magic;
  if (frame.size() > 1 && frame[1] != frame_version) {
    constexpr std::size_t kept_at = 4;  // in every version
    if (frame.size() < kept_at + 5) return HeaderStatus::wrong_version;
    ByteReader kept(frame.subspan(kept_at, 5));
    header.cluster_id = kept.get_u32();
    header.from = kept.get_u8();
    return HeaderStatus::wrong_version;
  }
  if (frame.size() < frame_size(body_bytes_min)) return HeaderStatus::wrong_length;
  if (frame.size() > limits::frame_bytes) return HeaderStatus::wrong_length;
  ByteReader reader(frame.subspan(2, header_bytes - 2));
  header.type = static_cast<FrameType>(reader.get_u8());
  header.key_id = reader.get_u8();
  header.cluster_id = reader.get_u32();
  header.from = reader.get_u8();
  header.to = reader.get_u8();
  header.link = reader.get_u8();
  reader.get_u8();
  header.start_id = reader.get_u64();
  header.sequence = reader.get_u64();
  return HeaderStatus::ok;
}

bool open(const KeyRing& keys, Bytes frame, MutableBytes body, std::size_t& body_size) {
  VIGIL_ASSERT(body.size() >= body_bytes_max);
  FrameHeader header;
  if (read_header(frame, header) != HeaderStatus::ok) return false;
  const std::uint8_t* const key = keys.find(header.key_id);
  if (key == nullptr) return false;
  const Nonce nonce = nonce_of(header);
  unsigned long long opened_size = 0;
  const int refused = crypto_aead_xchacha20poly1305_ietf_decrypt(
      body.data(), &opened_size, nullptr, frame.data() + header_bytes, frame.size() - header_bytes, frame.data(),
      header_bytes, nonce.data(), key);
  body_size = static_cast<std::size_t>(opened_size);
  return refused == 0;
}

}  // namespace vigil::wire
