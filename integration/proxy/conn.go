package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// chunkSize is the maximum size of one read.
	chunkSize = 64 << 10
	// chunksInFlight is how many chunks may wait in one direction before the link
	// stops reading and TCP makes the sender wait.
	chunksInFlight = 256
)

// direction is an index for values that exist once per direction.
type direction int

const (
	toTarget direction = iota
	fromTarget
)

// conn is one connection through a link.
type conn struct {
	link   *Link
	client net.Conn

	once sync.Once
	done chan struct{} // closed by end

	mu     sync.Mutex // locked after the link's
	target net.Conn   // nil until it is dialed
}

// chunk is the data of one read, or the end of a direction.
type chunk struct {
	data []byte
	due  time.Time
	err  error // io.EOF, or why the connection broke
	// passed, if not nil, is closed when the chunk was forwarded.
	passed chan struct{}
}

// run forwards until both directions have ended or end is called.
func (c *conn) run() {
	defer func() {
		c.end(false)
		c.link.mu.Lock()
		delete(c.link.conns, c)
		c.link.mu.Unlock()
	}()
	if !c.link.pass(c.done) {
		return
	}
	target, err := c.dial()
	if err != nil {
		c.end(true)
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { c.forward(target, c.client, toTarget) })
	wg.Go(func() { c.forward(c.client, target, fromTarget) })
	wg.Wait()
}

// dial connects to the target. A call of end cancels it.
func (c *conn) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	watcher := make(chan struct{})
	go func() {
		defer close(watcher)
		select {
		case <-c.done:
			cancel()
		case <-ctx.Done():
		}
	}()
	defer func() {
		cancel()
		<-watcher
	}()
	var d net.Dialer
	target, err := d.DialContext(ctx, c.link.cfg.TargetNetwork, c.link.cfg.Target)
	if err != nil {
		return nil, err
	}
	// Lock the link before the connection. If a line is set between the two, the
	// target keeps large buffers; the small pieces make up for that.
	c.link.mu.Lock()
	slow := c.link.line != nil
	c.link.mu.Unlock()
	if slow {
		shrink(target)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.target = target
	select {
	case <-c.done:
		closeConn(target, true)
		return nil, net.ErrClosed
	default:
		return target, nil
	}
}

// end closes both sides. With reset, the peers see a broken connection instead of
// an orderly end. Only the first call has an effect.
func (c *conn) end(reset bool) {
	c.once.Do(func() {
		close(c.done)
		closeConn(c.client, reset)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.target != nil {
			closeConn(c.target, reset)
		}
	})
}

// shrink makes the buffers of both sides as small as those of a link with a line.
func (c *conn) shrink() {
	shrink(c.client)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.target != nil {
		shrink(c.target)
	}
}

func shrink(nc net.Conn) {
	if b, ok := nc.(interface {
		SetReadBuffer(bytes int) error
		SetWriteBuffer(bytes int) error
	}); ok {
		// These fail if the connection is closed, which does not matter.
		_, _ = b.SetReadBuffer(lineBuffer), b.SetWriteBuffer(lineBuffer)
	}
}

func closeConn(nc net.Conn, reset bool) {
	if tcp, ok := nc.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0) // makes Close send a reset; fails if the peer has sent one
	}
	_ = nc.Close() // nothing can be done about this error
}

// forward forwards the bytes of one direction, and then its end.
func (c *conn) forward(dst, src net.Conn, d direction) {
	chunks := make(chan chunk, chunksInFlight)
	var reader sync.WaitGroup
	reader.Go(func() { c.read(src, chunks, d) })
	defer reader.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var next chunk
		select {
		case next = <-chunks:
		case <-c.done:
			return
		}
		if !c.sleep(timer, next.due) {
			return
		}
		if !c.link.pass(c.done) {
			return
		}
		if next.err != nil {
			if !errors.Is(next.err, io.EOF) {
				c.end(true)
				return
			}
			// The other direction may continue, as TCP allows.
			if half, ok := dst.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
				c.end(true)
			}
			return
		}
		n, err := dst.Write(next.data)
		c.link.mu.Lock()
		if d == toTarget {
			c.link.stats.ToTarget += int64(n)
		} else {
			c.link.stats.FromTarget += int64(n)
		}
		c.link.mu.Unlock()
		if err != nil {
			c.end(true)
			return
		}
		if next.passed != nil {
			close(next.passed)
		}
	}
}

// sleep waits until due. It returns false if the connection has ended before
// that.
func (c *conn) sleep(timer *time.Timer, due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return true
	}
	timer.Reset(wait)
	select {
	case <-timer.C:
		return true
	case <-c.done:
		return false
	}
}

// read turns arriving data into chunks, until the end.
func (c *conn) read(src net.Conn, chunks chan<- chunk, d direction) {
	buffer := make([]byte, chunkSize)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		way := c.link.way(d)
		into := buffer
		if way != nil {
			into = buffer[:way.piece()]
		}
		n, err := src.Read(into)
		way = c.link.way(d) // the line may have been set while nothing arrived
		if way != nil && n > 0 && !c.sleep(timer, way.accept(n)) {
			return
		}
		c.link.mu.Lock()
		delay := c.link.delays[d]
		c.link.mu.Unlock()
		next := chunk{data: append([]byte(nil), into[:n]...)} // due at once
		if delay > 0 {
			next.due = time.Now().Add(delay)
		} else if way != nil {
			next.passed = make(chan struct{})
		}
		if n > 0 && !c.send(chunks, next) {
			return
		}
		if err != nil {
			c.send(chunks, chunk{err: err, due: next.due})
			return
		}
		if next.passed == nil {
			continue
		}
		// If the target does not read, the data must stay with the sender, and
		// not here.
		select {
		case <-next.passed:
		case <-c.done:
			return
		}
	}
}

// send returns false if the connection has ended.
func (c *conn) send(chunks chan<- chunk, next chunk) bool {
	select {
	case chunks <- next:
		return true
	case <-c.done:
		return false
	}
}
