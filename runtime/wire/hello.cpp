// Body of hellos. The layout is in the header file.
#include "runtime/wire/hello.hpp"

#include "runtime/wire/revision.hpp"

namespace vigil::wire {

namespace {

constexpr std::uint8_t hello_revision = 2;
constexpr std::size_t second_block_bytes = 8 + 1;

void get_second_block(ByteReader& reader, Hello& hello) {
  ByteReader block(reader.get_bytes(static_cast<std::size_t>(reader.get_varint_up_to(SIZE_MAX))));
  hello.wall_ns = block.get_i64();
  hello.standing = static_cast<Standing>(block.get_u8_below(static_cast<std::uint8_t>(Standing::serving) + 1));
  if (!block.finished() || hello.wall_ns < 0) reader.fail();
}

}  // namespace

void encode_hello(ByteWriter& writer, const Hello& hello) {
  writer.put_u8(hello_revision);
  writer.put_u8(hello.protocol_oldest);
  writer.put_u8(hello.protocol_newest);
  writer.put_u64(hello.boot_id);
  writer.put_u64(hello.config_hash);
  writer.put_u64(hello.name_hash);
  writer.put_varint(hello.challenge);
  writer.put_u64(hello.echo_start_id);
  writer.put_varint(hello.echo_challenge);
  writer.put_u8(static_cast<std::uint8_t>(hello.next_sequence.size()));
  for (const std::uint64_t sequence : hello.next_sequence) writer.put_varint(sequence);
  writer.put_varint(second_block_bytes);
  writer.put_i64(hello.wall_ns);
  writer.put_u8(static_cast<std::uint8_t>(hello.standing));
}

bool decode_hello(Bytes body, Hello& hello) {
  ByteReader reader(body);
  hello = Hello{};
  const std::uint8_t found = get_revision(reader);
  hello.protocol_oldest = reader.get_u8();
  hello.protocol_newest = reader.get_u8();
  hello.boot_id = reader.get_u64();
  hello.config_hash = reader.get_u64();
  hello.name_hash = reader.get_u64();
  hello.challenge = reader.get_varint();
  hello.echo_start_id = reader.get_u64();
  hello.echo_challenge = reader.get_varint();
  const std::size_t count = reader.get_u8_below(limits::max_links + 1);
  for (std::size_t i = 0; i < count && reader.ok(); ++i) hello.next_sequence.push(reader.get_varint());
  if (hello.protocol_oldest > hello.protocol_newest) reader.fail();
  if (found >= 2) get_second_block(reader, hello);
  finish_body(reader, found, hello_revision);
  return reader.ok();
}

}  // namespace vigil::wire
