package integration_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/wire"
)

// With the environment variable GETCD_CHECK_WIRE set, the traffic of all clients is
// traced, and a test fails when a part of it is not decoded.
func checksWire() bool { return os.Getenv("GETCD_CHECK_WIRE") != "" }

// checked is cfg for a client whose traffic is checked, if it is to be. Over the JSON
// gateway there is nothing to check.
func checked(tb testing.TB, cfg client.Config) client.Config {
	tb.Helper()
	if checksWire() && cfg.Trace == nil && !overGateway() {
		cfg.Trace = checkedTrace(tb)
	}
	return cfg
}

// checkedPlain is for plain connections of gRPC's and clientv3's.
func checkedPlain(tb testing.TB) []grpc.DialOption {
	tb.Helper()
	if !checksWire() {
		return []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	}
	return checkedTrace(tb).DialOptions(insecure.NewCredentials())
}

func checkedTrace(tb testing.TB) *wire.Tracer {
	tb.Helper()
	// The servers of this test are none: what they answer is decoded as what it is.
	c := &wireCheck{liars: strings.HasPrefix(tb.Name(), "TestLyingDNS"), carried: make(map[int]*[2]int64), ends: make(map[int]*[2]int64)}
	t := wire.New(c, wire.Options{Format: wire.JSON, Secrets: true, Memory: 256 << 20})
	tb.Cleanup(func() {
		if !t.Flush(limit) {
			tb.Error("the trace was not written in time")
		}
		for _, p := range c.finish() {
			tb.Error(p)
		}
	})
	return t
}

// wireCheck reads a trace in JSON.
type wireCheck struct {
	liars bool // some servers speak no HTTP/2

	mu       sync.Mutex
	count    wireCount
	problems []string
	carried  map[int]*[2]int64 // bytes of a connection that are in the trace, by direction
	ends     map[int]*[2]int64 // that it has carried, once it has ended
}

// wireCount is how much was decoded.
type wireCount struct {
	conns, frames, messages int
	bytes                   int64 // that connections have carried
	bad                     int   // frames and messages that were not decoded
	lost                    int64 // bytes that are not in the trace
	cut                     int   // frames and messages of which the connection's end is the end
}

// Write processes one line.
func (c *wireCheck) Write(line []byte) (int, error) {
	var r struct {
		Connection     int
		Method         string
		Event          string
		Sent, Received int64
		Late           bool
		Frames         []struct {
			From, Type, Error string
			Parts             []struct {
				N                 int
				Name, Value, Note string
			}
		}
		Dropped struct{ Frames int }
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := json.Unmarshal(line, &r); err != nil {
		c.problem("%v in %.200s", err, line)
	}
	if c.count.bad += r.Dropped.Frames; r.Dropped.Frames > 0 {
		c.problem("%d frames were left out", r.Dropped.Frames)
	}
	switch {
	case r.Event == "opened":
		c.carried[r.Connection] = &[2]int64{}
	case strings.HasPrefix(r.Event, "closed"):
		c.ends[r.Connection] = &[2]int64{r.Sent, r.Received}
	}
	for _, f := range r.Frames {
		c.count.frames++
		if f.Error != "" || f.Type == "no HTTP/2" && !c.liars || f.Type == "unframed" || strings.HasPrefix(f.Type, "UNKNOWN") {
			c.count.bad++
			c.problem("%s: a frame of type %s: %s", r.Method, f.Type, f.Error)
		}
		for _, p := range f.Parts {
			if n := c.carried[r.Connection]; n != nil {
				i := 0
				if f.From == "server" {
					i = 1
				}
				n[i] += int64(p.N)
			}
			if p.Name == "message" && p.Note == "" {
				c.count.messages++
			}
			bad := strings.HasPrefix(p.Note, "malformed") || strings.HasPrefix(p.Note, "not decoded") || p.Name == "unknown field"
			// It is fine if the end of the connection cuts off a frame, or if the
			// client's cancellation cuts a message in two.
			cut := strings.HasSuffix(p.Note, "not all of it is here") || r.Late && strings.HasSuffix(p.Note, "the beginning of the message is not here")
			switch {
			case bad && cut:
				c.count.cut++
			case bad:
				c.count.bad++
				c.problem("%s: %s %s %s", r.Method, p.Name, p.Value, p.Note)
			}
		}
	}
	return len(line), nil
}

func (c *wireCheck) problem(format string, args ...any) {
	if len(c.problems) < 10 {
		c.problems = append(c.problems, fmt.Sprintf(format, args...))
	}
}

// finish adds what was decoded to the suite's, and returns what was not.
func (c *wireCheck) finish() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n, got := range c.carried {
		end := c.ends[n]
		if end == nil {
			c.problem("connection %d has not ended", n)
			end = got
		}
		c.count.conns++
		for i := range end {
			c.count.bytes += end[i]
			if missing := end[i] - got[i]; missing != 0 {
				c.count.lost += missing
				c.problem("connection %d: of %d bytes in direction %d, %d are not in the trace", n, end[i], i, missing)
			}
		}
	}
	suite.mu.Lock()
	defer suite.mu.Unlock()
	suite.add(c.count)
	return c.problems
}

// suite is how much of all tests' traffic was decoded.
var suite struct {
	mu sync.Mutex
	wireCount
}

func (c *wireCount) add(more wireCount) {
	c.conns += more.conns
	c.frames += more.frames
	c.messages += more.messages
	c.bytes += more.bytes
	c.bad += more.bad
	c.lost += more.lost
	c.cut += more.cut
}

// reportWire says how much was decoded, for a person who runs the suite to learn that.
func reportWire(w io.Writer) {
	if !checksWire() {
		return
	}
	suite.mu.Lock()
	defer suite.mu.Unlock()
	c := suite.wireCount
	all := max(1, c.frames+c.messages)
	_, _ = fmt.Fprintf(w, "wire: %d connections, %d frames, %d messages, %d bytes: %.4f %% decoded; %d frames and messages not decoded, %d bytes missing, %d cut off by the end of a connection or call\n",
		c.conns, c.frames, c.messages, c.bytes, 100*float64(all-c.bad)/float64(all), c.bad, c.lost, c.cut)
}
