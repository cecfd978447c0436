package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"golang.org/x/net/http2"

	"github.com/getcd/getcd/wire"
)

// traffic is what a connection carried, frame by frame.
type traffic struct{ frames []listedFrame }

type listedFrame struct {
	from   string // ">" is the client
	offset int64
	kind   string
	lines  []string
}

// Of a line of a listing: the direction, the offset, and the meaning, which is indented in
// a frame.
var listedLine = regexp.MustCompile(`^([<>]) ([0-9a-f]{8})  .{48}  (\S.*)$`)

// trafficOf takes a listing apart.
func trafficOf(trace string) *traffic {
	t := &traffic{}
	for _, r := range records(trace) {
		for _, line := range r.lines {
			if m := listedLine.FindStringSubmatch(line); m != nil {
				offset, _ := strconv.ParseInt(m[2], 16, 64) // it is hexadecimal
				kind, _, _ := strings.Cut(m[3], "  ")
				t.frames = append(t.frames, listedFrame{from: m[1], offset: offset, kind: kind})
			}
			if n := len(t.frames); n > 0 {
				t.frames[n-1].lines = append(t.frames[n-1].lines, line)
			}
		}
	}
	slices.SortStableFunc(t.frames, func(a, b listedFrame) int { return int(a.offset - b.offset) })
	return t
}

func (t *traffic) find(from, kind string) []listedFrame {
	var out []listedFrame
	for _, f := range t.frames {
		if f.from == from && f.kind == kind {
			out = append(out, f)
		}
	}
	return out
}

// Frame is the n-th frame of that kind, counted from 0, that the client (">") or the
// server ("<") has sent.
func (t *traffic) Frame(from, kind string, n int) (string, error) {
	found := t.find(from, kind)
	if n >= len(found) {
		return "", fmt.Errorf("there are %d frames %s %s, and not %d", len(found), from, kind, n+1)
	}
	return fence("text", strings.Join(elide(found[n].lines), "\n")), nil
}

// calls makes two puts, one after the other, on one connection, and opens a watch that it
// cancels.
func (p *page) calls() (*traffic, error) {
	l, err := p.dial(wire.Options{})
	if err != nil {
		return nil, err
	}
	ctx, done := p.context()
	defer done()
	kv := pb.NewKVClient(l.cc)
	for _, value := range []string{"bar", "baz"} {
		if _, err := kv.Put(ctx, &pb.PutRequest{Key: []byte("foo"), Value: []byte(value)}); err != nil {
			return nil, err
		}
	}
	if _, err := p.watching(ctx, l); err != nil {
		return nil, err
	}
	done()
	if err := p.awaitFrames(l, 1, ">", "RST_STREAM"); err != nil {
		return nil, err
	}
	trace, err := l.close()
	return trafficOf(trace), err
}

// awaitFrames waits until n frames of that kind have passed: a connection that is closed
// does not wait for what is still to be sent.
func (p *page) awaitFrames(l *line, n int, from, kind string) error {
	for began := time.Now(); ; {
		l.tracer.Flush(callLimit)
		if len(trafficOf(l.out.String()).find(from, kind)) >= n {
			return nil
		}
		if time.Since(began) > patience {
			return fmt.Errorf("no %d frames %s %s in:\n%s", n, from, kind, l.out.String())
		}
		if err := p.moment(); err != nil {
			return err
		}
	}
}

// watching opens a watch, which lives as long as ctx.
func (p *page) watching(ctx context.Context, l *line) (pb.Watch_WatchClient, error) {
	w, err := pb.NewWatchClient(l.cc).Watch(ctx)
	if err != nil {
		return nil, err
	}
	if err := w.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("foo")}}}); err != nil {
		return nil, err
	}
	_, err = w.Recv()
	return w, err
}

// big puts a value that is larger than a frame may be.
func (p *page) big() (*traffic, error) {
	l, err := p.dial(wire.Options{HideValues: []string{"big"}})
	if err != nil {
		return nil, err
	}
	ctx, done := p.context()
	defer done()
	if _, err := pb.NewKVClient(l.cc).Put(ctx, &pb.PutRequest{Key: []byte("big"), Value: bytes.Repeat([]byte("x"), 20000)}); err != nil {
		return nil, err
	}
	trace, err := l.close()
	return trafficOf(trace), err
}

// goodbye tells the member to terminate while a watch is open on a connection.
func (p *page) goodbye() (*traffic, error) {
	l, err := p.dial(wire.Options{})
	if err != nil {
		return nil, err
	}
	ctx, done := p.context()
	defer done()
	w, err := p.watching(ctx, l)
	if err != nil {
		return nil, err
	}
	over := make(chan error, 1)
	go func() { over <- p.member.Terminate() }()
	if err := p.awaitFrames(l, 2, "<", "GOAWAY"); err != nil {
		return nil, err
	}
	done()
	_, _ = w.Recv() // it was canceled
	trace, err := l.close()
	if err := <-over; err != nil {
		return nil, err
	}
	return trafficOf(trace), err
}

// rude sends pings until the server has enough.
func (p *page) rude() (*traffic, error) {
	conn, err := (&net.Dialer{}).DialContext(p.ctx, "tcp", p.member.Endpoint())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // the server has closed it
	if err := conn.SetDeadline(time.Now().Add(callLimit)); err != nil {
		return nil, err
	}
	var sent, received bytes.Buffer
	sent.WriteString(http2.ClientPreface)
	w := http2.NewFramer(&sent, nil)
	if err := w.WriteSettings(); err != nil {
		return nil, err
	}
	for i := range 4 {
		if err := w.WritePing(false, [8]byte{7: byte(i)}); err != nil {
			return nil, err
		}
	}
	if _, err := conn.Write(sent.Bytes()); err != nil {
		return nil, err
	}
	_, _ = received.ReadFrom(conn) // until the server closes it, which may be with an RST
	var out bytes.Buffer
	if err := wire.DecodeHTTP2(&out, wire.Options{}, &sent, &received); err != nil {
		return nil, err
	}
	return trafficOf(out.String()), nil
}
