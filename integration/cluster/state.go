package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver"
)

// stateSocket is the UNIX socket, in a member's working directory, on which the
// member reports its raft state to anyone who connects. While authentication is
// on, etcd's own Status needs a token.
const stateSocket = "state"

// raftState is the member's report, as JSON.
type raftState struct {
	Member, Leader, Term uint64
}

// serveState serves stateSocket in the working directory, as long as the process
// lives.
func serveState(server *etcdserver.EtcdServer) error {
	// The member's previous process may have left its socket behind.
	if err := os.Remove(stateSocket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: stateSocket})
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				time.Sleep(checkInterval) // out of file descriptors
				continue
			}
			state := raftState{Member: uint64(server.MemberID()), Leader: server.Lead(), Term: server.Term()}
			// The report is too short to block, and it does not matter if the
			// caller has left.
			_ = json.NewEncoder(conn).Encode(state)
			_ = conn.Close()
		}
	}()
	return nil
}

// state asks the member for its raft state.
func (m *Member) state(ctx context.Context) (raftState, error) {
	var state raftState
	if !m.Running() {
		return state, fmt.Errorf("cluster: %s does not run", m.name)
	}
	if m.c.server.path != "" {
		return m.raftStatus(ctx)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", m.socket(stateSocket))
	if err != nil {
		return state, err
	}
	defer func() { _ = conn.Close() }() // it was only read
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return state, err
		}
	}
	err = json.NewDecoder(conn).Decode(&state)
	return state, err
}
