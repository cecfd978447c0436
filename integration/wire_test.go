package integration_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/getcd/getcd/client"
	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/wire"
)

// For every RPC of etcd, the bytes of a listing, joined in order, are those that
// went over the socket in each direction, and all of them are understood.
func TestListingIsWhatWentOverTheSocket(t *testing.T) {
	t.Run("plain", func(t *testing.T) {
		c := startCluster(t, cluster.Config{Size: 1})
		need(t, c, "3.7", "some of these RPCs")
		rec := &recorder{}
		listing := listingOf(t, c.Members()[0].Endpoint(), insecure.NewCredentials(), grpc.WithContextDialer(rec.dial))
		compareListing(t, listing, rec)
	})
	t.Run("TLS", func(t *testing.T) {
		c, ca := secured(t, false, "localhost", "127.0.0.1")
		need(t, c, "3.7", "some of these RPCs")
		// What TLS carries is only visible above it.
		rec := &recorder{}
		creds := recordedCreds{credentials.NewTLS(tlsConfig(t, ca)), rec}
		compareListing(t, listingOf(t, c.Members()[0].Endpoint(), creds), rec)
	})
	t.Run("client", func(t *testing.T) {
		c := startCluster(t, cluster.Config{Size: 1})
		need(t, c, "3.7", "some of these RPCs")
		rec, out := &recorder{}, &safeBuffer{}
		cl := dial(t, client.Config{
			Endpoints: c.Endpoints(), Trace: wire.New(out, wire.Options{Secrets: true}),
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(rec.dial)},
		})
		callAll(t, cl.Conn())
		if err := cl.Close(); err != nil {
			t.Error(err)
		}
		compareListing(t, out.String(), rec)
	})
}

// listingOf makes all calls on a plain gRPC connection.
func listingOf(t *testing.T, target string, creds credentials.TransportCredentials, opts ...grpc.DialOption) string {
	t.Helper()
	out := &safeBuffer{}
	tracer := wire.New(out, wire.Options{Secrets: true})
	cc, err := grpc.NewClient("passthrough:///"+target, append(opts, tracer.DialOptions(creds)...)...)
	if err != nil {
		t.Fatal(err)
	}
	callAll(t, cc)
	if err := cc.Close(); err != nil {
		t.Error(err)
	}
	if !tracer.Flush(limit) {
		t.Error("the listing was not written in time")
	}
	return out.String()
}

// everyRPC has the request of each RPC, in the order of the calls. A call counts
// even if the server refuses it.
var everyRPC = []struct {
	method  string
	request proto.Message
}{
	{pb.KV_Put_FullMethodName, &pb.PutRequest{Key: []byte("foo"), Value: []byte("bar")}},
	{pb.KV_Put_FullMethodName, &pb.PutRequest{Key: []byte("large"), Value: bytes.Repeat([]byte("0123456789"), 10_000)}},
	{pb.KV_Range_FullMethodName, &pb.RangeRequest{Key: []byte("\x00"), RangeEnd: []byte("\x00")}},
	{pb.KV_RangeStream_FullMethodName, &pb.RangeRequest{Key: []byte("\x00"), RangeEnd: []byte("\x00")}},
	{pb.KV_Txn_FullMethodName, &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: []byte("foo"), Target: pb.Compare_VALUE, TargetUnion: &pb.Compare_Value{Value: []byte("bar")}}},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte("foo"), PrevKv: true}}}},
	}},
	{pb.KV_DeleteRange_FullMethodName, &pb.DeleteRangeRequest{Key: []byte("none")}},
	{pb.KV_Compact_FullMethodName, &pb.CompactionRequest{Revision: 1}},
	{pb.Watch_Watch_FullMethodName, &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: &pb.WatchCreateRequest{Key: []byte("foo"), StartRevision: 2, PrevKv: true}}}},
	{pb.Lease_LeaseGrant_FullMethodName, &pb.LeaseGrantRequest{ID: 1000, TTL: 100}},
	{pb.Lease_LeaseKeepAlive_FullMethodName, &pb.LeaseKeepAliveRequest{ID: 1000}},
	{pb.Lease_LeaseTimeToLive_FullMethodName, &pb.LeaseTimeToLiveRequest{ID: 1000, Keys: true}},
	{pb.Lease_LeaseLeases_FullMethodName, &pb.LeaseLeasesRequest{}},
	{pb.Lease_LeaseRevoke_FullMethodName, &pb.LeaseRevokeRequest{ID: 1000}},
	{v3lockpb.Lock_Lock_FullMethodName, &v3lockpb.LockRequest{Name: []byte("lock")}},
	{v3lockpb.Lock_Unlock_FullMethodName, &v3lockpb.UnlockRequest{Key: []byte("lock/1")}},
	{v3electionpb.Election_Campaign_FullMethodName, &v3electionpb.CampaignRequest{Name: []byte("e"), Value: []byte("me")}},
	{v3electionpb.Election_Leader_FullMethodName, &v3electionpb.LeaderRequest{Name: []byte("e")}},
	{v3electionpb.Election_Observe_FullMethodName, &v3electionpb.LeaderRequest{Name: []byte("e")}},
	{v3electionpb.Election_Proclaim_FullMethodName, &v3electionpb.ProclaimRequest{Leader: &v3electionpb.LeaderKey{Name: []byte("e")}, Value: []byte("you")}},
	{v3electionpb.Election_Resign_FullMethodName, &v3electionpb.ResignRequest{Leader: &v3electionpb.LeaderKey{Name: []byte("e"), Lease: 5}}},
	{pb.Cluster_MemberList_FullMethodName, &pb.MemberListRequest{Linearizable: true}},
	{pb.Cluster_MemberAdd_FullMethodName, &pb.MemberAddRequest{PeerURLs: []string{"nonsense"}}},
	{pb.Cluster_MemberRemove_FullMethodName, &pb.MemberRemoveRequest{ID: 1}},
	{pb.Cluster_MemberUpdate_FullMethodName, &pb.MemberUpdateRequest{ID: 1, PeerURLs: []string{"http://localhost:1"}}},
	{pb.Cluster_MemberPromote_FullMethodName, &pb.MemberPromoteRequest{ID: 1}},
	{pb.Maintenance_Status_FullMethodName, &pb.StatusRequest{}},
	{pb.Maintenance_Alarm_FullMethodName, &pb.AlarmRequest{}},
	{pb.Maintenance_Defragment_FullMethodName, &pb.DefragmentRequest{}},
	{pb.Maintenance_Hash_FullMethodName, &pb.HashRequest{}},
	{pb.Maintenance_HashKV_FullMethodName, &pb.HashKVRequest{}},
	{pb.Maintenance_Snapshot_FullMethodName, &pb.SnapshotRequest{}},
	{pb.Maintenance_MoveLeader_FullMethodName, &pb.MoveLeaderRequest{TargetID: 1}},
	{pb.Maintenance_Downgrade_FullMethodName, &pb.DowngradeRequest{Action: pb.DowngradeRequest_VALIDATE, Version: "3.6.0"}},
	{pb.Auth_AuthEnable_FullMethodName, &pb.AuthEnableRequest{}}, // refused: there is no root yet
	{pb.Auth_AuthDisable_FullMethodName, &pb.AuthDisableRequest{}},
	{pb.Auth_AuthStatus_FullMethodName, &pb.AuthStatusRequest{}},
	{pb.Auth_Authenticate_FullMethodName, &pb.AuthenticateRequest{Name: "root", Password: "hunter2"}},
	{pb.Auth_UserAdd_FullMethodName, &pb.AuthUserAddRequest{Name: "root", Password: "hunter2"}},
	{pb.Auth_UserGet_FullMethodName, &pb.AuthUserGetRequest{Name: "root"}},
	{pb.Auth_UserList_FullMethodName, &pb.AuthUserListRequest{}},
	{pb.Auth_UserChangePassword_FullMethodName, &pb.AuthUserChangePasswordRequest{Name: "root", Password: "hunter3"}},
	{pb.Auth_RoleAdd_FullMethodName, &pb.AuthRoleAddRequest{Name: "r"}},
	{pb.Auth_UserGrantRole_FullMethodName, &pb.AuthUserGrantRoleRequest{User: "root", Role: "r"}},
	{pb.Auth_RoleGet_FullMethodName, &pb.AuthRoleGetRequest{Role: "r"}},
	{pb.Auth_RoleList_FullMethodName, &pb.AuthRoleListRequest{}},
	{pb.Auth_RoleGrantPermission_FullMethodName, &pb.AuthRoleGrantPermissionRequest{Name: "r"}},
	{pb.Auth_RoleRevokePermission_FullMethodName, &pb.AuthRoleRevokePermissionRequest{Role: "r"}},
	{pb.Auth_UserRevokeRole_FullMethodName, &pb.AuthUserRevokeRoleRequest{Name: "root", Role: "r"}},
	{pb.Auth_RoleDelete_FullMethodName, &pb.AuthRoleDeleteRequest{Role: "r"}},
	{pb.Auth_UserDelete_FullMethodName, &pb.AuthUserDeleteRequest{Name: "root"}},
}

// allMethods returns the RPCs of rpc.proto, v3lock.proto and v3election.proto.
func allMethods() []protoreflect.MethodDescriptor {
	var out []protoreflect.MethodDescriptor
	for _, file := range []protoreflect.FileDescriptor{pb.File_rpc_proto, v3lockpb.File_v3lock_proto, v3electionpb.File_v3election_proto} {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				out = append(out, methods.Get(j))
			}
		}
	}
	return out
}

func pathOf(d protoreflect.MethodDescriptor) string {
	return fmt.Sprintf("/%s/%s", d.Parent().FullName(), d.Name())
}

// callAll calls every RPC.
func callAll(t *testing.T, cc grpc.ClientConnInterface) {
	t.Helper()
	byPath := make(map[string]protoreflect.MethodDescriptor)
	for _, d := range allMethods() {
		byPath[pathOf(d)] = d
	}
	for _, r := range everyRPC {
		d := byPath[r.method]
		answer := func() proto.Message {
			m, err := protoregistry.GlobalTypes.FindMessageByName(d.Output().FullName())
			if err != nil {
				t.Fatal(err)
			}
			return m.New().Interface()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if d.IsStreamingServer() || d.IsStreamingClient() {
			callStream(ctx, t, cc, d, r.request, answer)
		} else {
			_ = cc.Invoke(ctx, r.method, r.request, answer()) // a refusal is a response, too
		}
		cancel()
	}
}

// callStream sends one request and reads one response, or all responses of a
// stream that ends.
func callStream(ctx context.Context, t *testing.T, cc grpc.ClientConnInterface, d protoreflect.MethodDescriptor, request proto.Message, answer func() proto.Message) {
	t.Helper()
	s, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: d.IsStreamingClient()}, pathOf(d))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SendMsg(request); err != nil {
		t.Fatal(err)
	}
	if !d.IsStreamingClient() {
		if err := s.CloseSend(); err != nil {
			t.Fatal(err)
		}
	}
	for {
		if err := s.RecvMsg(answer()); err != nil || d.IsStreamingClient() || d.Name() == "Observe" {
			return
		}
	}
}

// compareListing compares a listing with the recorded bytes, and checks that it
// has each RPC and that all of it is understood.
func compareListing(t *testing.T, listing string, rec *recorder) {
	t.Helper()
	got := joined(t, listing)
	want := rec.sides(got)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the listing has %d connections, %d were recorded, or their bytes differ", len(got), len(want))
		for i := range min(len(got), len(want)) {
			t.Logf("%d: %d bytes listed, %d recorded, equal: %t", i, len(got[i]), len(want[i]), got[i] == want[i])
		}
	}
	for _, d := range allMethods() {
		if !strings.Contains(listing, ", "+pathOf(d)+", attempt 1") {
			t.Errorf("%s is not in the listing", pathOf(d))
		}
		if !strings.Contains(listing, "message: "+string(d.Input().FullName())) {
			t.Errorf("no %s is in the listing", d.Input().FullName())
		}
	}
	for _, bad := range []string{"not decoded", "malformed", "unknown", "cut off", "left out", "no HTTP/2", "is here", "are here", "**"} {
		if i := strings.Index(listing, bad); i >= 0 {
			t.Errorf("the listing has %q in\n%s", bad, listing[max(0, i-500):min(len(listing), i+100)])
		}
	}
}

var (
	connectionLine = regexp.MustCompile(`^# .*\bconnection (\d+)\b`)
	bytesLine      = regexp.MustCompile(`^([<>]) ([0-9a-f]{8,})  (.*)$`)
)

// joined returns the bytes of both directions of each connection in a listing, in
// the order of their offsets.
func joined(t *testing.T, listing string) []string {
	t.Helper()
	type direction struct {
		conn, arrow string
	}
	runs := make(map[direction]map[int64][]byte)
	conn := ""
	for line := range strings.Lines(listing) {
		if m := connectionLine.FindStringSubmatch(line); m != nil {
			conn = m[1]
		}
		m := bytesLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		at, err := strconv.ParseInt(m[2], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		b, err := hex.DecodeString(strings.ReplaceAll(m[3][:min(47, len(m[3]))], " ", ""))
		if err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		d := direction{conn, m[1]}
		if runs[d] == nil {
			runs[d] = make(map[int64][]byte)
		}
		runs[d][at] = b
	}
	both := make(map[string]string)
	for _, arrow := range []string{">", "<"} {
		for d, run := range runs {
			if d.arrow != arrow {
				continue
			}
			var all []byte
			for b, ok := run[0]; ok; b, ok = run[int64(len(all))] {
				all = append(all, b...)
			}
			both[d.conn] += arrow + string(all)
		}
	}
	var out []string
	for _, b := range both {
		out = append(out, b)
	}
	return out
}

// recorder records connections.
type recorder struct {
	mu    sync.Mutex
	conns []*recorded
}

type recorded struct {
	net.Conn

	rec            *recorder
	sent, received []byte
	last           int // the length of what was received last
}

func (r *recorder) add(c net.Conn) net.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	rc := &recorded{Conn: c, rec: r}
	r.conns = append(r.conns, rc)
	return rc
}

func (r *recorder) dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return r.add(c), nil
}

// sides returns both directions of each connection, in the form of joined. What the last
// read has returned while the connection was being closed need not be in the listing: it
// comes after the connection's end.
func (r *recorder) sides(listed []string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, c := range r.conns {
		all := ">" + string(c.sent) + "<" + string(c.received)
		if before := all[:len(all)-c.last]; !slices.Contains(listed, all) && slices.Contains(listed, before) {
			all = before
		}
		out = append(out, all)
	}
	return out
}

func (c *recorded) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	c.received = append(c.received, p[:n]...)
	if n > 0 {
		c.last = n
	}
	return n, err
}

func (c *recorded) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.rec.mu.Lock()
	defer c.rec.mu.Unlock()
	c.sent = append(c.sent, p[:n]...)
	return n, err
}

// recordedCreds records what passes above TLS.
type recordedCreds struct {
	credentials.TransportCredentials

	rec *recorder
}

func (c recordedCreds) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err == nil {
		conn = c.rec.add(conn)
	}
	return conn, info, err
}

func (c recordedCreds) Clone() credentials.TransportCredentials {
	return recordedCreds{c.TransportCredentials.Clone(), c.rec}
}

// safeBuffer is a buffer that is safe for concurrent use.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
