// The memory that the lease gate's kernel program and the daemon share: plain C, read by both
// compilers. Times are CLOCK_BOOTTIME nanoseconds; addresses are in network byte order.
//
// vigil_index   hash:  vigil_gate_key -> vigil_gate_reference   which address is gated, and by which entry
// vigil_leases  array: slot -> vigil_gate_entry                 mmapped; one 8-byte store renews a lease
// vigil_drops   array: slot -> vigil_gate_drops                 mmapped; written by the kernel program alone
#ifndef VIGIL_NETIF_BPF_GATE_MAP_H
#define VIGIL_NETIF_BPF_GATE_MAP_H

#include <linux/types.h>

#define VIGIL_GATE_SLOTS 128

// IPv4 fills the first four bytes of address; the rest is zero.
struct vigil_gate_key {
  __u32 family;  // 4 or 6
  __u8 address[16];
};

// A slot is used again for another address; a program that read the index just before must not then
// judge by the new tenant's lease, so both carry the tenancy's number.
struct vigil_gate_reference {
  __u32 slot;
  __u32 tenancy;
};

// One cache line. Only lease_until_ns changes while an address is served.
struct vigil_gate_entry {
  __u64 lease_until_ns;  // packets pass while the clock is below it; 0: closed
  __u64 epoch_counter;
  __u32 tenancy;
  __u8 owner;
  __u8 epoch_proposer;
  __u8 unused[2];
  struct vigil_gate_key key;
  __u8 padding[20];
};

struct vigil_gate_drops {
  __u64 ingress;
  __u64 egress;
};

#endif
