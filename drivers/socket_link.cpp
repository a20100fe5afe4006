#include "drivers/socket_link.hpp"

#include <errno.h>
#include <sys/socket.h>

#include <utility>

namespace vigil {

SocketLink::~SocketLink() { SocketLink::close(); }

Status SocketLink::start() {
  errors_in_a_row_ = 0;
  Status status = add_receiver(0, ring(), quiet() == nullptr ? Share::everything : Share::urgent);
  if (status && quiet() != nullptr) status = add_receiver(1, *quiet(), Share::beats);
  if (!status) close();
  return status;
}

namespace {

// Heartbeats of 63 peers wait here for an interval, each counted as a page of the driver's or so. Best effort: more
// than net.core.rmem_max takes CAP_NET_ADMIN.
void prepare_to_wait(int socket) {
  constexpr int room = 1024 * 1024;
  if (::setsockopt(socket, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0)
    ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  const int yes = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof yes);
}

}  // namespace

Status SocketLink::add_receiver(std::uint32_t tag, Ring& ring, Share share) {
  Result<Fd> made = make_socket(share);
  if (!made) return made.error();
  if (share == Share::beats) prepare_to_wait(made->get());
  Result<SourceId> source = ring.receive(made->get(), *this, tag);
  if (!source) return source.error();
  receivers_[tag] = {&ring, std::move(*made), *source};
  return {};
}

void SocketLink::close() {
  const bool was_open = static_cast<bool>(receivers_[0].socket);
  for (Receiver& receiver : receivers_) {
    if (!receiver.socket) continue;
    receiver.ring->remove(receiver.source);
    receiver = {};
  }
  if (was_open) set_usable(false);
}

void SocketLink::on_packet(std::uint32_t, const Packet& packet) {
  errors_in_a_row_ = 0;
  take(packet);
}

void SocketLink::on_receive_stopped(std::uint32_t tag, int error) {
  ++counters_.receive_errors;
  counters_.last_error = error;
  // An interface that goes down says ENETDOWN once; the socket lives on and works when it is back.
  const Receiver& receiver = receivers_[tag];
  if (++errors_in_a_row_ <= errors_tolerated && receiver.ring->receive_again(receiver.source)) return;
  set_usable(false);
}

SendOutcome SocketLink::send_datagram(std::span<const std::byte> bytes, const void* address, unsigned address_size) {
  const ssize_t sent = ::sendto(receivers_[0].socket.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                                static_cast<const sockaddr*>(address), address_size);
  if (sent >= 0) {
    ++counters_.frames_sent;
    return SendOutcome::sent;
  }
  counters_.last_error = errno;
  if (errno == EAGAIN || errno == ENOBUFS) {
    ++counters_.send_dropped;
    return SendOutcome::busy;
  }
  ++counters_.send_errors;
  // The interface that the socket is bound to was deleted: only reopen() can find its successor.
  if (errno == ENXIO || errno == ENODEV) set_usable(false);
  return SendOutcome::failed;
}

void SocketLink::deliver(std::span<const std::byte> frame, const Packet& packet, const LinkSource& source) {
  ++counters_.frames_received;
  sink().on_frame(index(), frame, packet.received, packet.arrived, source);
}

}  // namespace vigil
