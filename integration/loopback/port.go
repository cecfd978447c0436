package loopback

import (
	"net"
	"net/netip"
	"strconv"
	"sync"
)

// Port is a reserved TCP port of 127.0.0.1. Release ends the reservation. It is
// safe for concurrent use. The zero value reserves nothing.
type Port struct {
	number  uint16
	release func() error // nil if the system cannot reserve a port

	once sync.Once
	err  error
}

// Reserve reserves an unused port.
func Reserve() (*Port, error) { return reserve(0) }

// ReserveNumber reserves the given port, even if somebody is already listening on
// it. 0 means any unused port.
func ReserveNumber(number uint16) (*Port, error) { return reserve(number) }

// Number returns the port's number.
func (p *Port) Number() int { return int(p.number) }

// Address returns the port as "127.0.0.1:number".
func (p *Port) Address() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(p.number)))
}

// AddrPort returns the port as a netip.AddrPort.
func (p *Port) AddrPort() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), p.number)
}

// Release returns the port to the system. It does not affect a server that
// listens on it. Further calls do nothing and return the same error.
func (p *Port) Release() error {
	p.once.Do(func() {
		if p.release != nil {
			p.err = p.release()
		}
	})
	return p.err
}
