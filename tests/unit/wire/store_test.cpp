// The state file: what was written last is read, whatever a crash left of the write after it.
#include "runtime/wire/store.hpp"

#include <algorithm>
#include <vector>

#include "tests/unit/wire/random_messages.hpp"

#include "tests/unit/cmocka.hpp"

namespace {

using namespace vigil;
using test::RandomMessages;
using wire::SlotStatus;
using wire::StoredImage;

constexpr wire::StoreOwner owner{0x1234, 2};

using SlotBytes = std::array<std::uint8_t, wire::slot_bytes>;

// A file as the shell keeps it: each write goes to the slot of its generation.
struct File {
  std::vector<std::uint8_t> bytes = std::vector<std::uint8_t>(wire::store_bytes);

  // Writes the first `reach` bytes of the slot, as a crash in the middle would.
  void write(std::uint64_t generation, const StoredImage& image, std::size_t reach = wire::slot_bytes) {
    SlotBytes slot;
    wire::encode_slot(owner, generation, image, slot);
    const auto place = static_cast<std::ptrdiff_t>(wire::slot_of(generation) * wire::slot_bytes);
    std::copy_n(slot.begin(), reach, bytes.begin() + place);
  }
};

void the_newest_is_read(void**) {
  RandomMessages make(1, 64, 32);
  File file;
  const Result<wire::LoadedStore> nothing = wire::load_store(owner, file.bytes);
  assert_true(nothing.ok());
  assert_int_equal(nothing->generation, 0);
  assert_true(nothing->image == StoredImage{});
  assert_true(wire::load_store(owner, {}).ok());
  for (std::uint64_t generation = 1; generation < 50; ++generation) {
    const StoredImage image = make.image();
    file.write(generation, image);
    const Result<wire::LoadedStore> loaded = wire::load_store(owner, file.bytes);
    assert_true(loaded.ok());
    assert_int_equal(loaded->generation, generation);
    assert_true(loaded->image == image);
    assert_false(loaded->other_slot_damaged);
  }
}

// Cut at every byte: the image before it is read, or already the new one, and nothing else.
void a_torn_write_leaves_the_last_one(void**) {
  RandomMessages make(2, 5, 3);
  for (const std::uint64_t last : {1u, 2u, 7u}) {
    File before;
    std::vector<StoredImage> images;
    for (std::uint64_t generation = 1; generation <= last; ++generation) {
      images.push_back(make.image());
      before.write(generation, images.back());
    }
    const StoredImage next = make.image();
    for (std::size_t reach = 0; reach <= wire::slot_bytes; reach += reach < 600 ? 1 : 97) {
      File file = before;
      file.write(last + 1, next, reach);
      const Result<wire::LoadedStore> loaded = wire::load_store(owner, file.bytes);
      assert_true(loaded.ok());
      const bool is_new = loaded->generation == last + 1;
      assert_true(is_new || loaded->generation == last);
      assert_true(loaded->image == (is_new ? next : images.back()));
      if (reach == 0) assert_false(is_new);
      if (reach + 97 >= wire::slot_bytes) assert_true(is_new);
    }
  }
}

void the_first_write_may_be_torn_too(void**) {
  RandomMessages make(3, 5, 3);
  const StoredImage image = make.image();
  File file;
  file.write(1, image, 100);
  const Result<wire::LoadedStore> loaded = wire::load_store(owner, file.bytes);
  assert_true(loaded.ok());
  assert_int_equal(loaded->generation, 0);
  assert_true(loaded->other_slot_damaged);
}

void every_flipped_bit_is_found(void**) {
  RandomMessages make(4, 3, 1);
  SlotBytes slot;
  wire::encode_slot(owner, 6, make.image(), slot);
  const wire::Slot good = wire::decode_slot(owner, 0, slot);
  assert_int_equal(good.status, SlotStatus::valid);
  wire::ByteReader reader(slot);
  reader.get_bytes(8 + 2 + 4 + 1 + 8);
  const std::size_t used = wire::slot_header_bytes + reader.get_u32();
  for (std::size_t bit = 0; bit < 8 * used; ++bit) {
    SlotBytes damaged = slot;
    damaged[bit / 8] = static_cast<std::uint8_t>(damaged[bit / 8] ^ 1u << (bit % 8));
    assert_int_equal(wire::decode_slot(owner, 0, damaged).status, SlotStatus::damaged);
  }
}

void what_must_not_be_used_is_refused(void**) {
  RandomMessages make(5, 3, 1);
  File file;
  file.write(1, make.image());
  file.write(2, make.image());
  assert_false(wire::load_store({0x1234, 3}, file.bytes).ok());  // another node's
  assert_false(wire::load_store({0x1235, 2}, file.bytes).ok());  // another cluster's
  assert_true(wire::load_store(owner, file.bytes).ok());

  std::vector<std::uint8_t> cut(file.bytes.begin(), file.bytes.end() - 1);
  assert_false(wire::load_store(owner, cut).ok());

  File both = file;
  both.bytes[100] ^= 1;
  assert_true(wire::load_store(owner, both.bytes).ok());
  assert_true(wire::load_store(owner, both.bytes)->other_slot_damaged);
  both.bytes[wire::slot_bytes + 100] ^= 1;
  assert_false(wire::load_store(owner, both.bytes).ok());

  // A slot in the other's place is not ours to believe.
  File swapped;
  std::copy_n(file.bytes.begin(), wire::slot_bytes, swapped.bytes.begin() + wire::slot_bytes);
  std::copy_n(file.bytes.begin() + wire::slot_bytes, wire::slot_bytes, swapped.bytes.begin());
  assert_false(wire::load_store(owner, swapped.bytes).ok());
}

void absurd_leases_are_clamped(void**) {
  for (const std::int64_t ns : {std::int64_t{-1}, INT64_MAX}) {
    SlotBytes slot;
    wire::encode_slot(owner, 2, StoredImage{1, Duration::from_ns(ns), {}}, slot);
    const wire::Slot read = wire::decode_slot(owner, 0, slot);
    assert_int_equal(read.status, SlotStatus::valid);
    assert_int_equal(read.image.longest_acknowledged.ns, ns < 0 ? 0 : wire::lease_sane_max.ns);
  }
}

}  // namespace

int main() {
  const CMUnitTest tests[] = {
      cmocka_unit_test(the_newest_is_read),
      cmocka_unit_test(a_torn_write_leaves_the_last_one),
      cmocka_unit_test(the_first_write_may_be_torn_too),
      cmocka_unit_test(every_flipped_bit_is_found),
      cmocka_unit_test(what_must_not_be_used_is_refused),
      cmocka_unit_test(absurd_leases_are_clamped),
  };
  return cmocka_run_group_tests_name("wire/store", tests, nullptr, nullptr);
}
