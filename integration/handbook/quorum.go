package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/getcd/getcd/wire"
)

// leaderDies provokes what requests of a follower get when its leader falls silent: a read
// is told that the leader has changed, and a write waits for an answer in vain. The write's
// answer depends on when the election was (parseProposeCtxErr of etcd's server.go): the
// write must come less than two election timeouts before it, and before the follower knows
// that it has no leader. So several are sent, and all of it is tried again if none fits.
func (p *page) leaderDies() (string, error) {
	const tries = 15 // on a busy machine an election may take too long for the second error
	var last error
	for range tries {
		if err := p.lead(); err != nil {
			return "", err
		}
		leader := p.cluster.Members()[0]
		p.member = p.cluster.Members()[1]
		if err := leader.Pause(); err != nil {
			return "", err
		}
		read, writes, err := p.askWithoutLeader()
		if err := errors.Join(err, leader.Continue()); err != nil {
			return "", err
		}
		p.member = leader
		for _, w := range writes {
			if is(read, "LeaderChanged") && is(w, "TimeoutDueToLeaderFail") {
				p.row("LeaderChanged", "KV/Range", `key:"foo"`, "Asked of a follower whose leader was stopped (SIGSTOP) the moment before.", read)
				p.row("TimeoutDueToLeaderFail", "KV/Put", `key:"foo"`, "The same. The follower had passed it on to the leader, which was stopped. The answer comes after 5 s and two election timeouts.", w)
				return "", nil
			}
		}
		last = errors.Join(append(writes, errOrOK(read))...)
	}
	return "", fmt.Errorf("a leader that dies was not noticed as expected in %d tries: %w", tries, last)
}

// askWithoutLeader sends a follower a read and some writes from 400 ms after its leader
// was stopped. For one election timeout, 500 ms, it takes the leader for alive; it waits
// for up to two before it stands for election.
func (p *page) askWithoutLeader() (read error, writes []error, err error) {
	const first, pace = 400 * time.Millisecond, 50 * time.Millisecond
	writes = make([]error, 8)
	failed := make([]error, len(writes)+1) // to send them
	var sent sync.WaitGroup
	ask := func(method string, answer, failed *error, after time.Duration) {
		sent.Go(func() {
			select {
			case <-time.After(after):
			case <-p.ctx.Done():
				*failed = p.ctx.Err()
				return
			}
			a, err := p.invoke(method, `key:"foo"`, wire.Options{})
			if err != nil {
				*failed = err
				return
			}
			*answer = a.err
		})
	}
	ask("KV/Range", &read, &failed[len(writes)], first)
	for i := range writes {
		ask("KV/Put", &writes[i], &failed[i], first+time.Duration(i)*pace)
	}
	sent.Wait()
	return read, writes, errors.Join(failed...)
}

func is(err error, name string) bool {
	return status.Convert(err).Message() == status.Convert(rpcErrors[name]).Message()
}

// badVersion provokes ErrGRPCInvalidClientAPIVersion. gRPC's implementation for Go does
// not send such a value; any other client of HTTP/2 may.
func (p *page) badVersion() (string, error) {
	t := &http.Transport{Protocols: new(http.Protocols)}
	t.Protocols.SetUnencryptedHTTP2(true)
	defer t.CloseIdleConnections()
	body, err := proto.Marshal(&pb.RangeRequest{Key: []byte("foo")})
	if err != nil {
		return "", err
	}
	framed := append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(body))), body...) //nolint:gosec // a few bytes
	req, err := http.NewRequestWithContext(p.ctx, http.MethodPost, "http://"+p.member.Endpoint()+pb.KV_Range_FullMethodName, bytes.NewReader(framed))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	req.Header.Set("Client-Api-Version", "\xff")
	resp, err := t.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return "", err
	}
	get := func(name string) string { return resp.Trailer.Get(name) + resp.Header.Get(name) }
	n, _ := strconv.ParseUint(get("Grpc-Status"), 10, 32)
	text, _ := url.PathUnescape(get("Grpc-Message"))
	got := status.Error(codes.Code(n), text) //nolint:gosec // 32 bits
	if !is(got, "InvalidClientAPIVersion") {
		return "", fmt.Errorf("got %w", got)
	}
	p.row("InvalidClientAPIVersion", "KV/Range", `key:"foo"`, "The metadata client-api-version is one byte, ff, which is no UTF-8.", got)
	return "", nil
}
