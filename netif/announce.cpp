#include "netif/announce.hpp"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace vigil::netif {

Result<FrameSender> FrameSender::open() {
  // Protocol 0: the socket receives nothing.
  Descriptor socket(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return Error::from_errno("opening a packet socket for announcements (needs root or CAP_NET_RAW)", errno);
  FrameSender result;
  result.socket_ = std::move(socket);
  return result;
}

int FrameSender::send(const Frame& frame, int ifindex) const {
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = ifindex;
  to.sll_halen = 6;
  std::copy_n(frame.bytes.begin(), 6, to.sll_addr);
  // The kernel sorts packets by this: ARP, IPv6.
  std::memcpy(&to.sll_protocol, frame.bytes.data() + 12, 2);
  const ssize_t sent = ::sendto(socket_.get(), frame.bytes.data(), frame.size, MSG_DONTWAIT,
                                reinterpret_cast<const sockaddr*>(&to), sizeof to);
  return sent < 0 ? errno : 0;
}

Result<Announcer> Announcer::open() {
  Result<FrameSender> sender = FrameSender::open();
  if (!sender) return sender.error();
  Announcer result;
  result.sender_ = std::move(*sender);
  return result;
}

int Announcer::announce(const Entry& entry) {
  int failed = 0;
  const auto send = [&](const Frame& frame) {
    const int code = sender_.send(frame, entry.ifindex);
    if (code == 0) return;
    ++failures_;
    if (failed == 0) failed = code;
  };
  if (entry.address.family == 4) {
    send(encode_gratuitous_arp(entry.address, entry.mac, ArpForm::request));
    send(encode_gratuitous_arp(entry.address, entry.mac, ArpForm::reply));
  } else {
    send(encode_unsolicited_na(entry.address, entry.mac, entry.router));
  }
  return failed;
}

Status Announcer::start(const IpAddress& address, int ifindex, const MacAddress& mac, bool router, Instant now) {
  stop(address);
  const Entry entry{address, ifindex, mac, router, now, 1};
  const int failed = announce(entry);
  entries_.push(entry);
  if (failed == 0) return {};
  return Error::from_errno("announcing " + text_of(address) + " on " + interface_text(ifindex), failed);
}

void Announcer::stop(const IpAddress& address) {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (!same_host(entries_[i].address, address)) continue;
    entries_.erase(i);
    return;
  }
}

void Announcer::step(Instant now) {
  for (std::size_t i = 0; i < entries_.size();) {
    Entry& entry = entries_[i];
    if (now < entry.begun + announce_schedule[entry.sent]) {
      ++i;
      continue;
    }
    announce(entry);
    // A late loop sends once for all that it missed.
    while (entry.sent < announce_schedule.size() && entry.begun + announce_schedule[entry.sent] <= now) ++entry.sent;
    if (entry.sent == announce_schedule.size()) {
      entries_.erase(i);
    } else {
      ++i;
    }
  }
}

Instant Announcer::next_deadline() const {
  Instant next = Instant::never();
  for (const Entry& entry : entries_) next = earlier(next, entry.begun + announce_schedule[entry.sent]);
  return next;
}

}  // namespace vigil::netif
