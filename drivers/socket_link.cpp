#include "drivers/socket_link.hpp"

#include <errno.h>
#include <sys/socket.h>

#include <utility>

namespace vigil {

SocketLink::~SocketLink() { SocketLink::close(); }

Status SocketLink::start() {
  Result<Fd> made = make_socket();
  if (!made) return made.error();
  Result<SourceId> source = ring().receive(made->get(), *this);
  if (!source) return source.error();
  socket_ = std::move(*made);
  source_ = *source;
  errors_in_a_row_ = 0;
  return {};
}

void SocketLink::close() {
  if (!socket_) return;
  ring().remove(source_);
  source_ = {};
  socket_.reset();
  set_usable(false);
}

void SocketLink::on_packet(std::uint32_t, const Packet& packet) {
  errors_in_a_row_ = 0;
  take(packet);
}

void SocketLink::on_receive_stopped(std::uint32_t, int error) {
  ++counters_.receive_errors;
  counters_.last_error = error;
  // An interface that goes down says ENETDOWN once; the socket lives on and works when it is back.
  if (++errors_in_a_row_ <= errors_tolerated && ring().receive_again(source_)) return;
  set_usable(false);
}

SendOutcome SocketLink::send_datagram(std::span<const std::byte> bytes, const void* address, unsigned address_size) {
  const ssize_t sent = ::sendto(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
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

void SocketLink::deliver(std::span<const std::byte> frame, Instant received, const LinkSource& source) {
  ++counters_.frames_received;
  sink().on_frame(index(), frame, received, source);
}

}  // namespace vigil
