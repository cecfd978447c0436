// Package mockserver mirrors go.etcd.io/etcd/client/v3/mock/mockserver. Its
// servers answer each request of the key-value and lease services with an empty
// response. They are meant for tests of how a client uses its connections.
package mockserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/resolver"
)

// MockServer is one server.
type MockServer struct {
	// Network is tcp or unix.
	Network string
	// Address is the address on which the server listens, even after a restart.
	Address string
	// GRPCServer is nil while the server is stopped.
	GRPCServer *grpc.Server

	served chan struct{} // closed when GRPCServer has ended
	dir    string        // of the socket; Stop removes it
}

// ResolverAddress returns the server's address in the form of gRPC's resolvers.
func (ms *MockServer) ResolverAddress() resolver.Address {
	if ms.Network == "unix" {
		return resolver.Address{Addr: "unix://" + ms.Address}
	}
	return resolver.Address{Addr: ms.Address}
}

// MockServers is a group of servers. The caller must call Stop. Its methods are
// safe for concurrent use.
type MockServers struct {
	// Servers are in the order of the indexes for StartAt and StopAt.
	Servers []*MockServer

	mu sync.Mutex // guards the servers that Servers points to
}

// StartMockServers starts servers on free ports of the loopback interface.
func StartMockServers(count int) (*MockServers, error) {
	return StartMockServersOnNetwork(count, "tcp")
}

// StartMockServersOnNetwork starts servers: with "tcp" on free ports, with "unix"
// on new sockets in the directory for temporary files.
func StartMockServersOnNetwork(count int, network string) (*MockServers, error) {
	if network != "tcp" && network != "unix" {
		return nil, fmt.Errorf("mockserver: the network is %q: use tcp or unix", network)
	}
	ms := &MockServers{}
	for i := range count {
		s := &MockServer{Network: network, Address: "localhost:0"}
		ms.Servers = append(ms.Servers, s)
		if network == "unix" {
			dir, err := os.MkdirTemp("", "mockserver")
			if err != nil {
				ms.Stop()
				return nil, fmt.Errorf("mockserver: %w", err)
			}
			s.dir, s.Address = dir, filepath.Join(dir, "socket")
		}
		if err := ms.StartAt(i); err != nil {
			ms.Stop()
			return nil, err
		}
	}
	return ms, nil
}

// StartAt restarts a stopped server at its former address. It does nothing if the
// server is running.
func (ms *MockServers) StartAt(idx int) error {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	s := ms.Servers[idx]
	if s.GRPCServer != nil {
		return nil
	}
	listener, err := net.Listen(s.Network, s.Address) //nolint:noctx // clientv3's signature
	if err != nil {
		return fmt.Errorf("mockserver: %w", err)
	}
	s.Address = listener.Addr().String()
	server, served := grpc.NewServer(), make(chan struct{})
	pb.RegisterKVServer(server, keyValues{})
	pb.RegisterLeaseServer(server, leases{})
	s.GRPCServer, s.served = server, served
	go func() {
		defer close(served)
		if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			server.Stop() // nothing else can be done; requests fail
		}
	}()
	return nil
}

// StopAt breaks a server's connections and returns when the server has ended. It
// does nothing if the server is stopped.
func (ms *MockServers) StopAt(idx int) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	s := ms.Servers[idx]
	if s.GRPCServer == nil {
		return
	}
	s.GRPCServer.Stop()
	<-s.served
	s.GRPCServer = nil
}

// Stop stops all servers permanently.
func (ms *MockServers) Stop() {
	for i, s := range ms.Servers {
		ms.StopAt(i)
		if s.dir != "" {
			_ = os.RemoveAll(s.dir) // a temporary directory
		}
	}
}

// The services. RangeStream is Unimplemented, as on an older server.
type (
	keyValues struct{ pb.UnimplementedKVServer }
	leases    struct{ pb.UnimplementedLeaseServer }
)

func (keyValues) Range(context.Context, *pb.RangeRequest) (*pb.RangeResponse, error) {
	return &pb.RangeResponse{}, nil
}

func (keyValues) Put(context.Context, *pb.PutRequest) (*pb.PutResponse, error) {
	return &pb.PutResponse{}, nil
}

func (keyValues) DeleteRange(context.Context, *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error) {
	return &pb.DeleteRangeResponse{}, nil
}

func (keyValues) Txn(context.Context, *pb.TxnRequest) (*pb.TxnResponse, error) {
	return &pb.TxnResponse{}, nil
}

func (keyValues) Compact(context.Context, *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	return &pb.CompactionResponse{}, nil
}

func (leases) LeaseGrant(context.Context, *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	return &pb.LeaseGrantResponse{}, nil
}

func (leases) LeaseRevoke(context.Context, *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error) {
	return &pb.LeaseRevokeResponse{}, nil
}

func (leases) LeaseKeepAlive(pb.Lease_LeaseKeepAliveServer) error { return nil }

func (leases) LeaseTimeToLive(context.Context, *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error) {
	return &pb.LeaseTimeToLiveResponse{}, nil
}

func (leases) LeaseLeases(context.Context, *pb.LeaseLeasesRequest) (*pb.LeaseLeasesResponse, error) {
	return &pb.LeaseLeasesResponse{}, nil
}
