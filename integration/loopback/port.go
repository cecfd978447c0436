package loopback

import (
	"net"
	"net/netip"
	"strconv"
	"sync"
)

// Port is a reserved TCP port of 127.0.0.1. Release gives it back. It is safe
// for concurrent use; its zero value holds nothing.
type Port struct {
	number  uint16
	release func() error // nil where the system cannot hold a port

	once sync.Once
	err  error
}

// Reserve reserves a port that nobody uses.
func Reserve() (*Port, error) { return reserve(0) }

// ReserveNumber reserves the given port, which somebody may be listening on
// already; 0 means any port that nobody uses.
func ReserveNumber(number uint16) (*Port, error) { return reserve(number) }

// Number is the port's number.
func (p *Port) Number() int { return int(p.number) }

// Address is the port as "127.0.0.1:number".
func (p *Port) Address() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(p.number)))
}

// AddrPort is the port as a netip.AddrPort.
func (p *Port) AddrPort() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), p.number)
}

// Release gives the port back to the system. It does not touch a server that
// listens on it. Calls after the first do nothing and return the same error.
func (p *Port) Release() error {
	p.once.Do(func() {
		if p.release != nil {
			p.err = p.release()
		}
	})
	return p.err
}
