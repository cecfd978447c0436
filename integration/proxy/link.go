package proxy

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/getcd/getcd/integration/loopback"
)

// dialTimeout limits connecting to the target, which is on this machine.
const dialTimeout = 5 * time.Second

var (
	// ErrNoLink is the error of the methods of a nil *Link.
	ErrNoLink = errors.New("proxy: there is no link here")
	// ErrClosed is the error of the methods of a closed Link.
	ErrClosed = errors.New("proxy: the link is closed")
)

// Config describes a link.
type Config struct {
	// Network is the network to listen on: "tcp", which means 127.0.0.1, or
	// "unix". Empty means "tcp".
	Network string
	// Port is the TCP port to listen on. Zero means any free port.
	Port uint16
	// Path is the UNIX socket to listen on. It must not exist.
	Path string

	// TargetNetwork is the target's network: "tcp" or "unix". Empty means "tcp".
	TargetNetwork string
	// Target is the target's address: "host:port", or the path of a socket.
	Target string
}

// mode is the state of a link.
type mode int

const (
	forwarding mode = iota
	swallowing
	cut
)

// Link forwards connections from one listener to one target. It is safe for
// concurrent use. The caller must call Close. The methods of a nil Link return
// ErrNoLink, so that a program can request a fault on a link that may not exist.
type Link struct {
	cfg Config // read-only, except for Port, which mu guards

	wg sync.WaitGroup // every goroutine of the link

	mu       sync.Mutex // guards the fields below
	closed   bool
	port     *loopback.Port // for TCP
	listener net.Listener   // nil while connections are refused
	mode     mode
	gate     chan struct{} // closed while bytes may pass
	away     bool          // the target is known to be gone
	delays   [2]time.Duration
	line     *Line // nil means no limits
	conns    map[*conn]struct{}
	stats    Stats
}

// Stats counts what has passed through a link.
type Stats struct {
	// Accepted is the number of connections accepted so far.
	Accepted int
	// Open is the number of connections that are open.
	Open int
	// ToTarget and FromTarget are the numbers of bytes forwarded.
	ToTarget, FromTarget int64
}

// New starts a link that forwards.
func New(cfg Config) (*Link, error) {
	if cfg.Network == "" {
		cfg.Network = "tcp"
	}
	if cfg.TargetNetwork == "" {
		cfg.TargetNetwork = "tcp"
	}
	switch {
	case cfg.Network != "tcp" && cfg.Network != "unix":
		return nil, fmt.Errorf(`proxy: Config.Network is %q; it must be "tcp" or "unix"`, cfg.Network)
	case cfg.TargetNetwork != "tcp" && cfg.TargetNetwork != "unix":
		return nil, fmt.Errorf(`proxy: Config.TargetNetwork is %q; it must be "tcp" or "unix"`, cfg.TargetNetwork)
	case (cfg.Network == "unix") != (cfg.Path != ""):
		return nil, errors.New("proxy: Config.Path is only for a UNIX socket")
	case cfg.Target == "":
		return nil, errors.New("proxy: Config.Target is empty")
	}
	l := &Link{cfg: cfg, gate: make(chan struct{}), conns: make(map[*conn]struct{})}
	close(l.gate)
	if cfg.Network == "tcp" {
		port, err := loopback.ReserveNumber(cfg.Port)
		if err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
		l.port = port
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.listenLocked(); err != nil {
		if l.port != nil {
			err = errors.Join(err, l.port.Release())
		}
		return nil, err
	}
	return l, nil
}

// Address returns the address on which the link listens: "127.0.0.1:port", or the
// path of its socket. A cut link keeps its address.
func (l *Link) Address() string {
	if l == nil {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addressLocked()
}

func (l *Link) addressLocked() string {
	if l.cfg.Network == "unix" {
		return l.cfg.Path
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(l.port.Number()))
}

// Stats returns what has passed through the link so far.
func (l *Link) Stats() Stats {
	if l == nil {
		return Stats{}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	stats := l.stats
	stats.Open = len(l.conns)
	return stats
}

// SetDelay delays bytes: those to the target by toTarget, and those from it by
// fromTarget. It applies to bytes that arrive at the link from now on. Zero or
// less means no delay.
func (l *Link) SetDelay(toTarget, fromTarget time.Duration) error {
	return l.change(func() error {
		l.delays = [2]time.Duration{toTarget, fromTarget}
		return nil
	})
}

// SetLine limits how many bytes per second pass, together with all other links
// that use the same line. Nil means no limit, which is the default. A line is a
// property of the connection and not a fault, so Heal does not remove it.
func (l *Link) SetLine(line *Line) error {
	return l.change(func() error {
		l.line = line
		if line != nil {
			for c := range l.conns {
				c.shrink()
			}
		}
		return nil
	})
}

// Blackhole makes the link swallow every byte. Connections stay open, new ones
// are accepted, and neither side learns that the other has closed. Bytes that are
// being forwarded may still arrive.
func (l *Link) Blackhole() error {
	return l.change(func() error {
		if l.mode == cut {
			l.resetLocked()
		}
		return l.setLocked(swallowing)
	})
}

// Cut resets every connection and refuses new ones.
func (l *Link) Cut() error {
	return l.change(func() error {
		err := l.setLocked(cut)
		l.resetLocked()
		return err
	})
}

// Reset resets every connection once. New connections are not affected.
func (l *Link) Reset() error {
	return l.change(func() error {
		l.resetLocked()
		return nil
	})
}

// Heal undoes Blackhole, Cut and SetDelay: swallowed bytes arrive now, and new
// connections are forwarded.
func (l *Link) Heal() error {
	return l.change(func() error {
		l.delays = [2]time.Duration{}
		return l.setLocked(forwarding)
	})
}

// SetTargetAway tells the link whether its target is gone. While it is, the link
// refuses new connections, as the target's own machine would. A black hole still
// accepts them: a network that transmits nothing does not transmit refusals.
func (l *Link) SetTargetAway(away bool) error {
	return l.change(func() error {
		l.away = away
		return l.listenLocked()
	})
}

// Move makes the link listen on another TCP port; 0 means any free port. From
// then on the old port refuses connections. Open connections stay.
func (l *Link) Move(port uint16) error {
	return l.change(func() error {
		if l.cfg.Network != "tcp" {
			return errors.New("proxy: only a TCP link can move to another port")
		}
		next, err := loopback.ReserveNumber(port)
		if err != nil {
			return fmt.Errorf("proxy: %w", err)
		}
		err = errors.Join(l.unlistenLocked(), l.port.Release())
		l.port = next
		return errors.Join(err, l.listenLocked())
	})
}

// Close resets every connection, stops listening and waits for every goroutine of
// the link. Further calls also wait, and return nil.
func (l *Link) Close() error {
	if l == nil {
		return ErrNoLink
	}
	l.mu.Lock()
	var err error
	if !l.closed {
		l.closed = true
		err = l.unlistenLocked()
		l.resetLocked()
		if l.port != nil {
			err = errors.Join(err, l.port.Release())
		}
	}
	l.mu.Unlock()
	l.wg.Wait()
	return err
}

// change calls f while holding mu.
func (l *Link) change(f func() error) error {
	if l == nil {
		return ErrNoLink
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	return f()
}

// setLocked switches to a mode.
func (l *Link) setLocked(m mode) error {
	if (m == forwarding) != (l.mode == forwarding) {
		if m == forwarding {
			close(l.gate)
		} else {
			l.gate = make(chan struct{})
		}
	}
	l.mode = m
	return l.listenLocked()
}

// resetLocked resets every connection.
func (l *Link) resetLocked() {
	for c := range l.conns {
		c.end(true)
	}
}

// listenLocked opens or closes the listener as the state requires.
func (l *Link) listenLocked() error {
	if l.mode == cut || l.mode == forwarding && l.away {
		return l.unlistenLocked()
	}
	if l.listener != nil {
		return nil
	}
	var listener net.Listener
	var err error
	if l.cfg.Network == "unix" {
		listener, err = net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: l.cfg.Path})
	} else {
		listener, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(l.port.AddrPort()))
	}
	if err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	l.listener = listener
	l.wg.Go(func() { l.accept(listener) })
	return nil
}

// unlistenLocked closes the listener, which ends its goroutine.
func (l *Link) unlistenLocked() error {
	if l.listener == nil {
		return nil
	}
	err := l.listener.Close()
	l.listener = nil
	return err
}

// way returns the current limit of one direction, or nil if there is none.
func (l *Link) way(d direction) *way {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.line.way(d)
}

// accept accepts connections until the listener is closed.
func (l *Link) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Probably out of file descriptors; open connections may close.
			time.Sleep(10 * time.Millisecond)
			continue
		}
		c := &conn{link: l, client: client, done: make(chan struct{})}
		l.mu.Lock()
		// A connection that was accepted while the listener was being closed is
		// dropped.
		current := l.listener == listener && !l.closed
		if current {
			l.conns[c] = struct{}{}
			l.stats.Accepted++
			if l.line != nil {
				c.shrink() // before the first byte, since an advertised window cannot shrink
			}
			l.wg.Go(c.run)
		}
		l.mu.Unlock()
		if !current {
			c.end(true)
		}
	}
}

// pass waits until bytes may pass. It returns false if done is closed first.
func (l *Link) pass(done <-chan struct{}) bool {
	for {
		l.mu.Lock()
		gate := l.gate
		l.mu.Unlock()
		select {
		case <-done:
			return false
		case <-gate:
		}
		l.mu.Lock()
		same := gate == l.gate
		l.mu.Unlock()
		if same {
			return true
		}
	}
}
