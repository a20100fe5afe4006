#include "disk/persistent_reservation.hpp"

#include <algorithm>
#include <cstdio>

namespace vigil::disk {

namespace {

constexpr std::uint8_t reserve_in = 0x5e;
constexpr std::uint8_t reserve_out = 0x5f;
constexpr std::size_t header_bytes = 8;        // generation u32, additional length u32
constexpr std::size_t reservation_bytes = 16;  // SPC-4 table 212
constexpr std::size_t capability_bytes = 8;    // SPC-4 table 213
constexpr std::size_t descriptor_bytes = 24;   // of a full status, before its transport id: SPC-4 table 216

void put(std::span<std::uint8_t> bytes, std::uint64_t value) {
  for (std::size_t i = bytes.size(); i-- > 0; value >>= 8) bytes[i] = static_cast<std::uint8_t>(value);
}

std::uint64_t get(std::span<const std::uint8_t> bytes) {
  std::uint64_t value = 0;
  for (const std::uint8_t byte : bytes) value = value << 8 | byte;
  return value;
}

bool is_type(std::uint8_t number) {
  return number == 1 || number == 3 || (number >= 5 && number <= 8);
}

Error short_answer(const char* to) {
  return Error::of(std::string("the disk's answer to PERSISTENT RESERVE IN (") + to +
                   ") is shorter than its header says; see what `sg_persist` makes of it");
}

Error unknown_type(unsigned number) {
  return Error::of("the disk says that it holds a reservation of type " + std::to_string(number) +
                   ", which SPC-4 does not know; see what `sg_persist --in --read-reservation` makes of it");
}

struct Listing {
  std::uint32_t generation = 0;
  std::span<const std::uint8_t> content;  // as far as it was received
  std::size_t needed = 0;
};

// What begins with a generation and the length of what follows.
Result<Listing> open_listing(std::span<const std::uint8_t> answer, const char* to) {
  if (answer.size() < header_bytes) return short_answer(to);
  Listing listing;
  listing.generation = static_cast<std::uint32_t>(get(answer.subspan<0, 4>()));
  const std::size_t length = get(answer.subspan<4, 4>());
  listing.needed = header_bytes + length;
  listing.content = answer.subspan(header_bytes, std::min(length, answer.size() - header_bytes));
  return listing;
}

// SPC-4 7.6.4: the names that people know are those of iSCSI, Fibre Channel and SAS.
std::string initiator_of(std::span<const std::uint8_t> id) {
  if (id.size() < 24) return {};
  const unsigned protocol = id[0] & 0x0f;
  const auto name_of = [&](const char* kind, std::size_t at) {
    char text[32];
    std::snprintf(text, sizeof text, "%s:%016llx", kind, static_cast<unsigned long long>(get(id.subspan(at, 8))));
    return std::string(text);
  };
  if (protocol == 0) return name_of("fc", 8);
  if (protocol == 6) return name_of("sas", 4);
  if (protocol != 5) return {};
  // A text that zeros fill up to a multiple of four.
  const std::size_t length = std::min<std::size_t>(get(id.subspan(2, 2)), id.size() - 4);
  std::string name;
  for (const std::uint8_t byte : id.subspan(4, length)) {
    if (byte == 0) break;
    name += byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '?';
  }
  return name;
}

}  // namespace

std::string_view to_string(ReservationType type) {
  switch (type) {
    case ReservationType::write_exclusive: return "write exclusive";
    case ReservationType::exclusive_access: return "exclusive access";
    case ReservationType::write_exclusive_registrants: return "write exclusive, registrants only";
    case ReservationType::exclusive_access_registrants: return "exclusive access, registrants only";
    case ReservationType::write_exclusive_all_registrants: return "write exclusive, all registrants";
    case ReservationType::exclusive_access_all_registrants: return "exclusive access, all registrants";
  }
  return "unknown";
}

std::string_view to_string(ReserveAction action) {
  switch (action) {
    case ReserveAction::register_key: return "register";
    case ReserveAction::reserve: return "reserve";
    case ReserveAction::release: return "release";
    case ReserveAction::clear: return "clear";
    case ReserveAction::preempt: return "preempt";
    case ReserveAction::preempt_and_abort: return "preempt and abort";
    case ReserveAction::register_and_ignore: return "register and ignore existing key";
  }
  return "unknown";
}

ReserveCdb cdb_of(const ReserveOut& command) {
  ReserveCdb cdb{};
  cdb[0] = reserve_out;
  cdb[1] = static_cast<std::uint8_t>(command.action);
  const bool registers = command.action == ReserveAction::register_key || command.action == ReserveAction::register_and_ignore;
  // SCOPE is the logical unit, 0.
  if (!registers && command.action != ReserveAction::clear) cdb[2] = static_cast<std::uint8_t>(command.type);
  put(std::span(cdb).subspan<5, 4>(), ReserveParameters{}.size());
  return cdb;
}

ReserveParameters parameters_of(const ReserveOut& command) {
  ReserveParameters list{};
  put(std::span(list).first<8>(), command.own);
  put(std::span(list).subspan<8, 8>(), command.subject);
  list[20] = command.through_power_loss ? 1 : 0;
  return list;
}

ReserveCdb cdb_of(ReserveQuestion question, std::uint16_t room) {
  ReserveCdb cdb{};
  cdb[0] = reserve_in;
  cdb[1] = static_cast<std::uint8_t>(question);
  put(std::span(cdb).subspan<7, 2>(), room);
  return cdb;
}

Result<RegisteredKeys> decode_keys(std::span<const std::uint8_t> answer) {
  const Result<Listing> listing = open_listing(answer, "read keys");
  if (!listing) return listing.error();
  RegisteredKeys keys{listing->generation, {}, listing->needed};
  for (std::size_t at = 0; at + 8 <= listing->content.size(); at += 8)
    keys.keys.push_back(get(listing->content.subspan(at, 8)));
  return keys;
}

Result<HeldReservation> decode_reservation(std::span<const std::uint8_t> answer) {
  const Result<Listing> listing = open_listing(answer, "read reservation");
  if (!listing) return listing.error();
  HeldReservation held;
  held.generation = listing->generation;
  if (listing->needed == header_bytes) return held;
  if (listing->content.size() < reservation_bytes) return short_answer("read reservation");
  const std::uint8_t type = listing->content[13] & 0x0f;
  if (!is_type(type)) return unknown_type(type);
  held.held = true;
  held.type = static_cast<ReservationType>(type);
  held.key = held_by_all(held.type) ? 0 : get(listing->content.first<8>());
  return held;
}

Result<ReserveCapabilities> decode_capabilities(std::span<const std::uint8_t> answer) {
  if (answer.size() < capability_bytes || get(answer.first<2>()) < capability_bytes) return short_answer("report capabilities");
  ReserveCapabilities can;
  can.through_power_loss = (answer[2] & 0x01) != 0;
  can.many_targets = (answer[2] & 0x04) != 0;
  can.types_told = (answer[3] & 0x80) != 0;
  can.through_power_loss_active = (answer[3] & 0x01) != 0;
  // Byte 4 has types 7, 6, 5, 3 and 1 from bit 7 down, byte 5 type 8 in bit 0.
  constexpr std::array<std::uint8_t, 8> of_bit{0, 1, 0, 3, 0, 5, 6, 7};
  for (std::size_t bit = 0; bit < of_bit.size(); ++bit)
    if (of_bit[bit] != 0 && (answer[4] >> bit & 1) != 0) can.types = static_cast<std::uint16_t>(can.types | 1u << of_bit[bit]);
  if ((answer[5] & 0x01) != 0) can.types = static_cast<std::uint16_t>(can.types | 1u << 8);
  return can;
}

Result<FullStatus> decode_full_status(std::span<const std::uint8_t> answer) {
  const Result<Listing> listing = open_listing(answer, "read full status");
  if (!listing) return listing.error();
  FullStatus status{listing->generation, {}, listing->needed};
  std::span<const std::uint8_t> rest = listing->content;
  while (rest.size() >= descriptor_bytes) {
    const std::size_t id_bytes = get(rest.subspan<20, 4>());
    if (id_bytes > rest.size() - descriptor_bytes) break;  // cut off: `needed` tells
    Registration path;
    path.key = get(rest.first<8>());
    path.all_targets = (rest[12] & 0x02) != 0;
    path.holder = (rest[12] & 0x01) != 0;
    const std::uint8_t type = rest[13] & 0x0f;
    if (path.holder && !is_type(type)) return unknown_type(type);
    if (path.holder) path.type = static_cast<ReservationType>(type);
    path.target_port = static_cast<std::uint16_t>(get(rest.subspan<18, 2>()));
    path.initiator = initiator_of(rest.subspan(descriptor_bytes, id_bytes));
    status.registrations.push_back(std::move(path));
    rest = rest.subspan(descriptor_bytes + id_bytes);
  }
  return status;
}

}  // namespace vigil::disk
