// Bytes of persistent reservations, held against the tables of SPC-4 by hand.
#include "disk/persistent_reservation.hpp"

#include <cstring>

// Last: cmocka's macros (fail, …) bite the standard library.
#include "tests/unit/cmocka.hpp"

using namespace vigil;
using namespace vigil::disk;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

Bytes zeros(std::size_t count) { return Bytes(count, 0); }

Bytes text_of(const char* text) { return Bytes(text, text + std::strlen(text)); }

void out_commands(void**) {
  struct Row {
    ReserveOut command;
    std::uint8_t action, type;
    Bytes list;
  };
  const Bytes own = {1, 2, 3, 4, 5, 6, 7, 8};
  const Bytes subject = {0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18};
  constexpr ReservationKey own_key = 0x0102030405060708, subject_key = 0x1112131415161718;
  constexpr auto wero = ReservationType::write_exclusive_registrants;
  const Row rows[] = {
      {{ReserveAction::register_key, wero, own_key, subject_key, true}, 0, 0, joined({own, subject, zeros(4), {1}, zeros(3)})},
      {{ReserveAction::register_and_ignore, wero, 0, subject_key, false}, 6, 0, joined({zeros(8), subject, zeros(8)})},
      {{ReserveAction::reserve, wero, own_key, 0, false}, 1, 5, joined({own, zeros(16)})},
      {{ReserveAction::release, ReservationType::write_exclusive_all_registrants, own_key, 0, false}, 2, 7, joined({own, zeros(16)})},
      {{ReserveAction::clear, wero, own_key, 0, false}, 3, 0, joined({own, zeros(16)})},
      {{ReserveAction::preempt, wero, own_key, subject_key, false}, 4, 5, joined({own, subject, zeros(8)})},
      {{ReserveAction::preempt_and_abort, ReservationType::exclusive_access_all_registrants, own_key, subject_key, false}, 5, 8,
       joined({own, subject, zeros(8)})},
  };
  for (const Row& row : rows) {
    const ReserveCdb cdb = cdb_of(row.command);
    const ReserveCdb expected = {0x5f, row.action, row.type, 0, 0, 0, 0, 0, 24, 0};
    assert_memory_equal(cdb.data(), expected.data(), cdb.size());
    const ReserveParameters list = parameters_of(row.command);
    assert_int_equal(row.list.size(), list.size());
    assert_memory_equal(list.data(), row.list.data(), list.size());
  }
}

void questions(void**) {
  const ReserveCdb keys = cdb_of(ReserveQuestion::keys, 0x1234);
  const ReserveCdb expected = {0x5e, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0};
  assert_memory_equal(keys.data(), expected.data(), keys.size());
  assert_int_equal(cdb_of(ReserveQuestion::reservation, 8)[1], 1);
  assert_int_equal(cdb_of(ReserveQuestion::capabilities, 8)[1], 2);
  assert_int_equal(cdb_of(ReserveQuestion::full_status, 8)[1], 3);
}

void keys_are_read(void**) {
  const Bytes answer = joined({{0, 0, 1, 2}, {0, 0, 0, 16}, {0, 0, 0, 0, 0, 0, 0, 0xa1}, {0xff, 0, 0, 0, 0, 0, 0, 0xa2}});
  const auto keys = decode_keys(answer);
  assert_true(keys.ok());
  assert_int_equal(keys->generation, 0x102);
  assert_int_equal(keys->keys.size(), 2);
  assert_true(keys->keys[0] == 0xa1 && keys->keys[1] == 0xff000000000000a2);
  assert_int_equal(keys->needed, 24);
  // What did not fit is not made up.
  const auto part = decode_keys(std::span(answer).first(20));
  assert_true(part.ok());
  assert_int_equal(part->keys.size(), 1);
  assert_int_equal(part->needed, 24);
  // What follows the listing is none of it.
  const auto more = decode_keys(joined({answer, zeros(8)}));
  assert_int_equal(more->keys.size(), 2);
  assert_false(decode_keys(zeros(7)).ok());
  assert_true(decode_keys(zeros(8)).ok());
}

void a_reservation_is_read(void**) {
  const Bytes header = {0, 0, 0, 7, 0, 0, 0, 16};
  const auto held = decode_reservation(joined({header, {0, 0, 0, 0, 0, 0, 0, 0xa1}, zeros(5), {0x05}, zeros(2)}));
  assert_true(held.ok() && held->held);
  assert_int_equal(held->generation, 7);
  assert_true(held->key == 0xa1);
  assert_true(held->type == ReservationType::write_exclusive_registrants);
  const auto of_all = decode_reservation(joined({header, {0, 0, 0, 0, 0, 0, 0, 0xa1}, zeros(5), {0x07}, zeros(2)}));
  assert_true(of_all.ok() && of_all->held && of_all->key == 0);
  const auto none = decode_reservation(Bytes{0, 0, 0, 7, 0, 0, 0, 0});
  assert_true(none.ok() && !none->held);
  assert_false(decode_reservation(header).ok());
  assert_false(decode_reservation(joined({header, zeros(13), {0x04}, zeros(2)})).ok());
}

void capabilities_are_read(void**) {
  const auto lio = decode_capabilities(Bytes{0, 8, 0x15, 0x81, 0xea, 0x01, 0, 0});
  assert_true(lio.ok());
  assert_true(lio->through_power_loss && lio->through_power_loss_active && lio->many_targets && lio->types_told);
  for (const int type : {1, 3, 5, 6, 7, 8}) assert_true(lio->has(static_cast<ReservationType>(type)));
  const auto plain = decode_capabilities(Bytes{0, 8, 0, 0x80, 0x20, 0, 0, 0});
  assert_true(plain->has(ReservationType::write_exclusive_registrants));
  assert_false(plain->has(ReservationType::write_exclusive_all_registrants) || plain->through_power_loss);
  // Where it does not tell the types, only trying helps.
  assert_true(decode_capabilities(Bytes{0, 8, 0, 0, 0, 0, 0, 0})->has(ReservationType::exclusive_access));
  assert_false(decode_capabilities(Bytes{0, 8, 0, 0}).ok());
  assert_false(decode_capabilities(zeros(8)).ok());
}

Bytes path(std::uint8_t key, std::uint8_t flags, std::uint8_t type, const Bytes& id) {
  return joined({zeros(7), {key}, zeros(4), {flags, type}, zeros(4), {0, 2}, {0, 0, 0, static_cast<std::uint8_t>(id.size())}, id});
}

void full_status_is_read(void**) {
  const Bytes iscsi = joined({{0x45, 0, 0, 24}, text_of("iqn.2026-01.lab:n1,i,0x"), {0}});
  const Bytes sas = joined({{0x06, 0, 0, 0}, {0x50, 1, 2, 3, 4, 5, 6, 7}, zeros(12)});
  const Bytes paths = joined({path(0xa1, 0x01, 0x05, iscsi), path(0xa2, 0x02, 0, sas)});
  const Bytes answer = joined({{0, 0, 0, 9}, {0, 0, 0, static_cast<std::uint8_t>(paths.size())}, paths});
  const auto status = decode_full_status(answer);
  assert_true(status.ok());
  assert_int_equal(status->generation, 9);
  assert_int_equal(status->registrations.size(), 2);
  const Registration& first = status->registrations[0];
  assert_true(first.key == 0xa1 && first.holder && !first.all_targets && first.target_port == 2);
  assert_true(first.type == ReservationType::write_exclusive_registrants);
  assert_string_equal(first.initiator.c_str(), "iqn.2026-01.lab:n1,i,0x");
  const Registration& second = status->registrations[1];
  assert_true(second.key == 0xa2 && !second.holder && second.all_targets && !second.type);
  assert_string_equal(second.initiator.c_str(), "sas:5001020304050607");
  // Cut off in the middle of the second.
  const auto part = decode_full_status(std::span(answer).first(answer.size() - 1));
  assert_true(part.ok());
  assert_int_equal(part->registrations.size(), 1);
  assert_int_equal(part->needed, answer.size());
  assert_false(decode_full_status(joined({{0, 0, 0, 9}, {0, 0, 0, 24}, path(0xa1, 0x01, 0x0f, {})})).ok());
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(out_commands),          cmocka_unit_test(questions),
      cmocka_unit_test(keys_are_read),         cmocka_unit_test(a_reservation_is_read),
      cmocka_unit_test(capabilities_are_read), cmocka_unit_test(full_status_is_read),
  };
  return cmocka_run_group_tests_name("disk/persistent_reservation", tests, nullptr, nullptr);
}
