// What a disk is asked about persistent reservations, and what it answers, as bytes. Pure: encodes and decodes,
// sends nothing. SPC-4 (INCITS 513): 6.15 PERSISTENT RESERVE IN, 6.16 PERSISTENT RESERVE OUT, 5.13.13 the model.
//
// A registration is a key that a disk keeps for one path (initiator port and target port) of one node. A reservation of
// type 5 lets only registered paths write, so a node whose keys are gone writes nothing, whatever it still has in
// flight once the preempt that removed them aborted its commands. Integers are big-endian; lengths are in bytes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.hpp"

namespace vigil::disk {

using ReservationKey = std::uint64_t;  // 0: none
using ReserveCdb = std::array<std::uint8_t, 10>;
using ReserveParameters = std::array<std::uint8_t, 24>;

// SPC-4 table 75. The numbers are the disk's.
enum class ReservationType : std::uint8_t {
  write_exclusive = 1,
  exclusive_access = 3,
  write_exclusive_registrants = 5,
  exclusive_access_registrants = 6,
  write_exclusive_all_registrants = 7,
  exclusive_access_all_registrants = 8,
};
std::string_view to_string(ReservationType type);
// Every registered path holds it, so that it has no key of its own.
constexpr bool held_by_all(ReservationType type) {
  return type == ReservationType::write_exclusive_all_registrants || type == ReservationType::exclusive_access_all_registrants;
}

// ---- PERSISTENT RESERVE OUT ---------------------------------------------------------------------------

// SPC-4 table 217.
enum class ReserveAction : std::uint8_t {
  register_key = 0,
  reserve = 1,
  release = 2,
  clear = 3,
  preempt = 4,
  preempt_and_abort = 5,
  register_and_ignore = 6,  // whatever key this path had
};
std::string_view to_string(ReserveAction action);

struct ReserveOut {
  ReserveAction action = ReserveAction::register_key;
  ReservationType type = ReservationType::write_exclusive_registrants;  // unused by the registers and by clear
  ReservationKey own = 0;      // RESERVATION KEY: what this path is registered with
  ReservationKey subject = 0;  // SERVICE ACTION RESERVATION KEY: to register, or whose registrations are to go
  bool through_power_loss = false;  // APTPL: registers alone
};
ReserveCdb cdb_of(const ReserveOut& command);
ReserveParameters parameters_of(const ReserveOut& command);

// ---- PERSISTENT RESERVE IN ----------------------------------------------------------------------------

// SPC-4 table 207.
enum class ReserveQuestion : std::uint8_t { keys = 0, reservation = 1, capabilities = 2, full_status = 3 };
// `room`: of the answer, at most 65,535.
ReserveCdb cdb_of(ReserveQuestion question, std::uint16_t room);

struct RegisteredKeys {
  std::uint32_t generation = 0;        // PRGENERATION: counts what changed registrations, not reserve and release
  std::vector<ReservationKey> keys;    // one a path
  std::size_t needed = 0;              // bytes of the whole answer: ask again where it is more than was received
};
Result<RegisteredKeys> decode_keys(std::span<const std::uint8_t> answer);

struct HeldReservation {
  std::uint32_t generation = 0;
  bool held = false;
  ReservationKey key = 0;  // of its holder; 0 where all registrants hold it
  ReservationType type = ReservationType::write_exclusive_registrants;
};
Result<HeldReservation> decode_reservation(std::span<const std::uint8_t> answer);

struct ReserveCapabilities {
  bool through_power_loss = false;         // PTPL_C: it can
  bool through_power_loss_active = false;  // PTPL_A: it does, for what is registered now
  bool many_targets = false;               // ATP_C: one registration for all target ports
  bool types_told = false;                 // TMV: `types` says something
  std::uint16_t types = 0;                 // bit n: ReservationType n
  bool has(ReservationType type) const { return !types_told || (types >> static_cast<unsigned>(type) & 1) != 0; }
};
Result<ReserveCapabilities> decode_capabilities(std::span<const std::uint8_t> answer);

struct Registration {
  ReservationKey key = 0;
  bool holder = false;
  bool all_targets = false;
  std::optional<ReservationType> type;  // of the reservation that it holds
  std::uint16_t target_port = 0;        // RELATIVE TARGET PORT IDENTIFIER
  std::string initiator;                // "iqn.…,i,0x…" or "fc:…", "sas:…"; empty: of a transport that is not known here
};
struct FullStatus {
  std::uint32_t generation = 0;
  std::vector<Registration> registrations;
  std::size_t needed = 0;
};
Result<FullStatus> decode_full_status(std::span<const std::uint8_t> answer);

}  // namespace vigil::disk
