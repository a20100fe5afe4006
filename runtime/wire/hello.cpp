// Body of hellos. The layout is in the header file.
#include "runtime/wire/hello.hpp"

#include "runtime/wire/revision.hpp"

namespace vigil::wire {

void encode_hello(ByteWriter& writer, const Hello& hello) {
  writer.put_u8(revision);
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
  finish_body(reader, found);
  return reader.ok();
}

}  // namespace vigil::wire
