// Who is who: nodes, sets of nodes, incarnations, epochs.
#pragma once

#include <bit>
#include <compare>
#include <cstdint>

#include "runtime/base/assert.hpp"
#include "runtime/base/limits.hpp"

namespace vigil {

// A node's position in the configuration, 0 … max_nodes-1 (the file's `id` minus one).
using NodeId = std::uint8_t;
inline constexpr NodeId no_node = 0xff;

using NetworkIndex = std::uint8_t;
using AdapterIndex = std::uint8_t;  // within one node
using LinkIndex = std::uint8_t;     // within one node
using GroupIndex = std::uint8_t;
inline constexpr std::uint8_t no_index = 0xff;

class NodeSet {
 public:
  constexpr NodeSet() = default;
  static constexpr NodeSet from_bits(std::uint64_t bits) {
    NodeSet set;
    set.bits_ = bits;
    return set;
  }
  static constexpr NodeSet of(NodeId node) { return from_bits(std::uint64_t{1} << (node & 63)); }

  constexpr std::uint64_t bits() const { return bits_; }
  constexpr bool has(NodeId node) const { return node < limits::max_nodes && ((bits_ >> node) & 1) != 0; }
  constexpr void add(NodeId node) {
    VIGIL_ASSERT(node < limits::max_nodes);
    bits_ |= std::uint64_t{1} << node;
  }
  constexpr void remove(NodeId node) {
    if (node < limits::max_nodes) bits_ &= ~(std::uint64_t{1} << node);
  }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr int count() const { return std::popcount(bits_); }
  constexpr NodeId lowest() const { return empty() ? no_node : static_cast<NodeId>(std::countr_zero(bits_)); }
  constexpr bool includes(NodeSet other) const { return (bits_ & other.bits_) == other.bits_; }
  constexpr bool intersects(NodeSet other) const { return (bits_ & other.bits_) != 0; }

  constexpr NodeSet operator|(NodeSet other) const { return from_bits(bits_ | other.bits_); }
  constexpr NodeSet operator&(NodeSet other) const { return from_bits(bits_ & other.bits_); }
  constexpr NodeSet operator-(NodeSet other) const { return from_bits(bits_ & ~other.bits_); }
  constexpr bool operator==(const NodeSet&) const = default;

  // for (NodeId node : set)
  class Iterator {
   public:
    constexpr explicit Iterator(std::uint64_t rest) : rest_(rest) {}
    constexpr NodeId operator*() const { return static_cast<NodeId>(std::countr_zero(rest_)); }
    constexpr Iterator& operator++() {
      rest_ &= rest_ - 1;
      return *this;
    }
    constexpr bool operator!=(const Iterator& other) const { return rest_ != other.rest_; }

   private:
    std::uint64_t rest_;
  };
  constexpr Iterator begin() const { return Iterator(bits_); }
  constexpr Iterator end() const { return Iterator(0); }

 private:
  std::uint64_t bits_ = 0;
};

// One life of a node's runtime. boot_id is the kernel's (or a namespace's synthetic one), start_id
// is random at each start of vigild and at each re-entry after an expulsion. start_id 0: unknown.
struct Incarnation {
  std::uint64_t boot_id = 0;
  std::uint64_t start_id = 0;

  constexpr bool known() const { return start_id != 0; }
  constexpr bool operator==(const Incarnation&) const = default;
};

// Totally ordered; one vote per epoch. The proposer breaks the tie of equal counters.
struct Epoch {
  std::uint64_t counter = 0;
  NodeId proposer = no_node;

  constexpr bool is_genesis() const { return counter == 0; }
  constexpr auto operator<=>(const Epoch&) const = default;
};

}  // namespace vigil
