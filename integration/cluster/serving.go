package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// The state of a member that runs another binary comes from HTTP pages that every
// etcd has: /version on the peer port and /debug/vars on the client port. Neither
// needs a token.

// page reads a page of a member's HTTP server over a new connection.
func page(ctx context.Context, network, address, path string) ([]byte, error) {
	var d net.Dialer
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, address)
		},
	}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://etcd"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("cluster: GET %s: %s", path, resp.Status)
	}
	return io.ReadAll(resp.Body)
}

// awaitServing asks the member at its peer address repeatedly whether it serves,
// and then closes p.serving. It returns then, or when ctx ends.
func (m *Member) awaitServing(ctx context.Context, p *process) {
	network, address := "tcp", m.peer.Address()
	if m.c.cfg.Links {
		network, address = "unix", m.socket(peerSocket)
	}
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		once, done := context.WithTimeout(ctx, checkTimeout)
		_, err := page(once, network, address, "/version")
		done()
		if err == nil {
			close(p.serving)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// raftStatus returns the member's raft status, which etcd publishes among its
// variables.
func (m *Member) raftStatus(ctx context.Context) (raftState, error) {
	text, err := page(ctx, "unix", m.socket(controlSocket), "/debug/vars")
	if err != nil {
		return raftState{}, err
	}
	var vars struct {
		Raft struct {
			ID, Lead string // hexadecimal
			Term     uint64
		} `json:"raft.status"`
	}
	if err := json.Unmarshal(text, &vars); err != nil {
		return raftState{}, err
	}
	member, err := strconv.ParseUint(vars.Raft.ID, 16, 64)
	if err != nil {
		return raftState{}, fmt.Errorf("cluster: raft.status of %s: %w", m.name, err)
	}
	leader, err := strconv.ParseUint(vars.Raft.Lead, 16, 64)
	if err != nil {
		return raftState{}, fmt.Errorf("cluster: raft.status of %s: %w", m.name, err)
	}
	return raftState{Member: member, Leader: leader, Term: vars.Raft.Term}, nil
}
