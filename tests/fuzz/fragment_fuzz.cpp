// Fragments. First byte even: a list of (length, sender, body) put into the reassembler as they are.
// Odd: messages cut properly, their fragments delivered, lost, doubled and reordered as the input
// says; what comes out must be what went in, once for each send.
#include <vector>

#include "runtime/wire/fragment.hpp"
#include "tests/fuzz/wire_fuzz.hpp"

namespace {

using namespace vigil;

constexpr std::size_t peers = 3;

// One for all inputs: each starts with fresh incarnations, and so from nothing.
wire::Reassembler& reassembler_of_all() {
  static wire::Reassembler reassembler(peers);
  return reassembler;
}
std::uint64_t life = 0;

void add_anything(fuzz::Input input) {
  wire::Reassembler& reassembler = reassembler_of_all();
  life += 2;
  while (!input.empty()) {
    const std::size_t size = input.byte();
    const std::uint8_t who = input.byte();
    const wire::Assembled assembled = reassembler.add(static_cast<NodeId>(who % peers), life + who / 128, input.bytes(size));
    fuzz::require(assembled.message.empty() == (assembled.status != wire::FragmentStatus::complete),
                  "a message comes with its completion, and only then");
    fuzz::require(assembled.message.size() <= limits::message_bytes, "no message is longer than the limit");
  }
}

// Few contents, repeated: repetitions of one content share fragments.
struct Send {
  std::size_t content = 0;
  wire::FragmentPlan plan;
  bool delivered = false;
};

void deliver_as_told(fuzz::Input input) {
  wire::Reassembler& reassembler = reassembler_of_all();
  life += 2;
  std::vector<std::vector<std::uint8_t>> contents;
  for (std::size_t i = 0; i < 3; ++i) {
    std::vector<std::uint8_t> content(1 + input.byte() * (i + 1));
    for (std::size_t k = 0; k < content.size(); ++k) content[k] = static_cast<std::uint8_t>(k * (i + 3));
    contents.push_back(content);
  }
  wire::Fragmenter fragmenter;
  std::vector<Send> sends;
  std::size_t delivered = 0;
  while (!input.empty()) {
    const std::uint8_t what = input.byte();
    if (what < 32 || sends.empty()) {
      const std::size_t content = what % contents.size();
      sends.push_back({content, fragmenter.plan(0, contents[content]), false});
      continue;
    }
    const Send& send = sends[what % sends.size()];
    std::array<std::uint8_t, wire::body_bytes_max> body;
    const std::size_t index = input.byte() % send.plan.count;
    const std::size_t size = wire::write_fragment(send.plan, index, body);
    const wire::Assembled assembled = reassembler.add(0, life, wire::Bytes(body).first(size));
    fuzz::require(assembled.status != wire::FragmentStatus::malformed, "our own fragments make sense");
    fuzz::require(assembled.status != wire::FragmentStatus::corrupt, "fragments of one content fit together");
    if (assembled.status != wire::FragmentStatus::complete) continue;
    const std::vector<std::uint8_t>& content = contents[send.content];
    fuzz::require(std::equal(content.begin(), content.end(), assembled.message.begin(), assembled.message.end()),
                  "what comes out is what went in");
    fuzz::require(!sends[what % sends.size()].delivered, "no send is delivered twice");
    sends[what % sends.size()].delivered = true;
    ++delivered;
  }
  fuzz::require(delivered <= sends.size(), "no more is delivered than was sent");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(wire::Bytes(data, size));
  if (input.byte() % 2 == 0)
    add_anything(input);
  else
    deliver_as_told(input);
  return 0;
}
