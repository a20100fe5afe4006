// The lease gate: decides for every packet, on every interface, whether it belongs to a service
// address whose lease is over, and drops it then. It runs in the kernel because it must keep its
// word when the daemon cannot: frozen, dead, or not scheduled.
//
// A packet belongs to an address that it comes from or goes to, in IPv4, IPv6 and ARP (sender and
// target alike), or that a neighbour solicitation or advertisement is about; inside up to three VLAN
// tags as well. Every other packet goes on untouched (TC_ACT_UNSPEC), as does one too short to hold an
// address: the kernel's own stack will not take it either.
//
// It must never pass a packet of a gated address at or after lease_until_ns, and never touch a packet
// of any other address.

// The helpers' header needs the kernel's types before it.
// clang-format off
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
// clang-format on

#include "netif/bpf/gate_map.h"

#define INGRESS 0
#define EGRESS 1

#define MAX_VLAN_TAGS 3
#define NEXT_HOP_BY_HOP 0
#define NEXT_ICMPV6 58
#define NEIGHBOUR_SOLICITATION 135
#define NEIGHBOUR_ADVERTISEMENT 136

// The longest span that is ever read behind a network header: IPv6, one hop-by-hop header, ND target.
#define LONGEST_HEADERS 128

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, VIGIL_GATE_SLOTS);
  __type(key, struct vigil_gate_key);
  __type(value, struct vigil_gate_reference);
} vigil_index SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, VIGIL_GATE_SLOTS);
  __type(key, __u32);
  __type(value, struct vigil_gate_entry);
} vigil_leases SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, VIGIL_GATE_SLOTS);
  __type(key, __u32);
  __type(value, struct vigil_gate_drops);
} vigil_drops SEC(".maps");

// Where a packet is read from: from the link-layer header (Ethernet), or from the network header
// (devices without one, where the start of the data is the driver's affair).
struct source {
  struct __sk_buff* skb;
  int from_network_header;
  int direction;
};

static __always_inline int load(const struct source* from, __u32 offset, void* to, __u32 length) {
  if (from->from_network_header)
    return (int)bpf_skb_load_bytes_relative(from->skb, offset, to, length, BPF_HDR_START_NET);
  return (int)bpf_skb_load_bytes(from->skb, offset, to, length);
}

// The lease is read before the clock: whatever delays this program in between makes it stricter.
static __always_inline int must_drop(const struct source* from, const struct vigil_gate_key* key) {
  const struct vigil_gate_reference* reference = bpf_map_lookup_elem(&vigil_index, key);
  if (!reference) return 0;
  __u32 slot = reference->slot;
  const struct vigil_gate_entry* entry = bpf_map_lookup_elem(&vigil_leases, &slot);
  if (entry) {
    const __u64 until = *(const volatile __u64*)&entry->lease_until_ns;
    const __u32 tenancy = *(const volatile __u32*)&entry->tenancy;
    if (tenancy == reference->tenancy && bpf_ktime_get_boot_ns() < until) return 0;
  }
  struct vigil_gate_drops* drops = bpf_map_lookup_elem(&vigil_drops, &slot);
  if (drops) __sync_fetch_and_add(from->direction == EGRESS ? &drops->egress : &drops->ingress, 1);
  return 1;
}

static __always_inline int ipv4_must_drop(const struct source* from, __u32 offset) {
  struct vigil_gate_key key = {.family = 4};
  if (load(from, offset, key.address, 4)) return 0;
  return must_drop(from, &key);
}

static __always_inline int ipv6_must_drop(const struct source* from, __u32 offset) {
  struct vigil_gate_key key = {.family = 6};
  if (load(from, offset, key.address, 16)) return 0;
  return must_drop(from, &key);
}

// RFC 826: hardware type, protocol type, their address lengths, operation; then sender and target.
static __always_inline int arp_must_drop(const struct source* from, __u32 offset) {
  __u8 fixed[8];
  if (load(from, offset, fixed, sizeof fixed)) return 0;
  const __u32 hardware_length = fixed[4];
  const int about_ipv4 = fixed[2] == 0x08 && fixed[3] == 0x00 && fixed[5] == 4;
  if (!about_ipv4 || hardware_length > 32) return 0;
  const __u32 sender = offset + 8 + hardware_length;
  return ipv4_must_drop(from, sender) || ipv4_must_drop(from, sender + 4 + hardware_length);
}

// RFC 4861 sections 4.3 and 4.4: the target follows eight bytes of ICMPv6.
static __always_inline int neighbour_must_drop(const struct source* from, __u32 offset, __u8 next) {
  __u32 icmp = offset + 40;
  if (next == NEXT_HOP_BY_HOP) {
    __u8 option[2];
    if (load(from, icmp, option, sizeof option)) return 0;
    next = option[0];
    icmp += ((__u32)option[1] + 1) * 8;
  }
  if (next != NEXT_ICMPV6) return 0;
  __u8 type;
  if (load(from, icmp, &type, 1)) return 0;
  if (type != NEIGHBOUR_SOLICITATION && type != NEIGHBOUR_ADVERTISEMENT) return 0;
  return ipv6_must_drop(from, icmp + 8);
}

static __always_inline int judge(const struct source* from, __u16 protocol, __u32 offset) {
  int drop = 0;
  if (protocol == ETH_P_IP) {
    drop = ipv4_must_drop(from, offset + 12) || ipv4_must_drop(from, offset + 16);
  } else if (protocol == ETH_P_ARP) {
    drop = arp_must_drop(from, offset);
  } else if (protocol == ETH_P_IPV6) {
    __u8 next;
    if (load(from, offset + 6, &next, 1)) return TC_ACT_UNSPEC;
    drop = ipv6_must_drop(from, offset + 8) || ipv6_must_drop(from, offset + 24) ||
           neighbour_must_drop(from, offset, next);
  }
  return drop ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

// A tag that the adapter or the kernel has already moved into the packet's metadata is not in the data
// any more; the type that remains there is that of the content.
static __always_inline int judge_ethernet(struct __sk_buff* skb, int direction) {
  const struct source from = {.skb = skb, .from_network_header = 0, .direction = direction};
  __u32 offset = 12;
  __u16 type = 0;
#pragma unroll
  for (int tags = 0; tags <= MAX_VLAN_TAGS; ++tags) {
    if (load(&from, offset, &type, sizeof type)) return TC_ACT_UNSPEC;
    type = bpf_ntohs(type);
    if (type != ETH_P_8021Q && type != ETH_P_8021AD) break;
    offset += 4;
  }
  return judge(&from, type, offset + 2);
}

// Relative loads see only the linear part, so the headers are pulled into it. The kernel refuses that
// only without memory, where its stack would lose the packet too: closed, then.
static __always_inline int judge_bare(struct __sk_buff* skb, int direction) {
  const struct source from = {.skb = skb, .from_network_header = 1, .direction = direction};
  const __u32 length = skb->len < LONGEST_HEADERS ? skb->len : LONGEST_HEADERS;
  if (bpf_skb_pull_data(skb, length)) return TC_ACT_SHOT;
  return judge(&from, bpf_ntohs((__u16)skb->protocol), 0);
}

SEC("tc")
int vigil_gate_in(struct __sk_buff* skb) { return judge_ethernet(skb, INGRESS); }

SEC("tc")
int vigil_gate_out(struct __sk_buff* skb) { return judge_ethernet(skb, EGRESS); }

// For devices without an Ethernet header (tunnels, PPP).
SEC("tc")
int vigil_gate_in3(struct __sk_buff* skb) { return judge_bare(skb, INGRESS); }

SEC("tc")
int vigil_gate_out3(struct __sk_buff* skb) { return judge_bare(skb, EGRESS); }

// The name is what the kernel asks for before it lends its helpers to a program.
char vigil_gate_license[] SEC("license") = "Dual MIT/GPL";
