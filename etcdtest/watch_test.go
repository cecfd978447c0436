package etcdtest_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/getcd/getcd/etcdtest"
)

// watchFrom creates a watch of everything and returns what it gets.
func watchFrom(t *testing.T, c *etcdtest.Cluster, r *pb.WatchCreateRequest) func() *pb.WatchResponse {
	t.Helper()
	stream, err := pb.NewWatchClient(c.Conn(t)).Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.Key, r.RangeEnd = []byte{0}, []byte{0}
	if err := stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: r}}); err != nil {
		t.Fatal(err)
	}
	recv := func() *pb.WatchResponse {
		t.Helper()
		resp, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	if resp := recv(); !resp.Created || resp.Canceled {
		t.Fatalf("create: got %v", resp)
	}
	return recv
}

func TestWatchBatchAndFragment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		conn := c.Conn(t)
		put(t, conn, "a", "1")
		put(t, conn, "b", "1")
		put(t, conn, "c", "1")
		if _, err := pb.NewKVClient(conn).DeleteRange(t.Context(), &pb.DeleteRangeRequest{Key: []byte{0}, RangeEnd: []byte{0}}); err != nil {
			t.Fatal(err)
		}
		c.SetWatchBatch(3)
		c.SetWatchFragment(2)
		for _, tt := range []struct {
			fragment bool
			want     []int // events in each message
		}{{false, []int{3, 3}}, {true, []int{2, 1, 2, 1}}} {
			recv := watchFrom(t, c, &pb.WatchCreateRequest{StartRevision: 2, Fragment: tt.fragment})
			var got []int
			for total := 0; total < 6; {
				resp := recv()
				if more := tt.fragment && len(resp.Events) == 2; resp.Fragment != more || resp.Header.Revision != 5 {
					t.Errorf("got %v, want fragment %v at revision 5", resp, more)
				}
				got = append(got, len(resp.Events))
				total += len(resp.Events)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("fragment %v: got messages of %v events, want %v", tt.fragment, got, tt.want)
			}
		}
	})
}

func TestWatchProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		c.SetProgressInterval(time.Minute)
		start := time.Now()
		recv := watchFrom(t, c, &pb.WatchCreateRequest{ProgressNotify: true})
		if resp := recv(); len(resp.Events) != 0 || resp.Header.Revision != 1 || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v, want progress at revision 1 after a minute", resp, time.Since(start))
		}
	})
}

func TestBackupAndRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := etcdtest.Start(t, 1)
		put(t, c.Conn(t), "k", "1")
		leases := pb.NewLeaseClient(c.Conn(t))
		grant := func(id int64) {
			if _, err := leases.LeaseGrant(t.Context(), &pb.LeaseGrantRequest{ID: id, TTL: 60}); err != nil {
				t.Fatal(err)
			}
		}
		grant(1)
		if _, err := pb.NewKVClient(c.Conn(t)).Put(t.Context(), &pb.PutRequest{Key: []byte("leased"), Lease: 1}); err != nil {
			t.Fatal(err)
		}
		backup := c.Backup()
		put(t, c.Conn(t), "k", "2")
		time.Sleep(45 * time.Second)
		grant(2)
		c.Elect(c.Member(0))
		c.Member(0).Kill()
		c.Restore(backup)
		c.SetClusterID(7)
		c.Member(0).Start()
		conn := c.Conn(t)
		if got := get(t, conn, "k"); string(got.Value) != "1" {
			t.Errorf("got %v, want what was backed up", got)
		}
		put(t, conn, "k", "3")
		recv := watchFrom(t, c, &pb.WatchCreateRequest{StartRevision: 4})
		resp := recv()
		if h := resp.Header; len(resp.Events) != 1 || resp.Events[0].Type != mvccpb.Event_PUT || string(resp.Events[0].Kv.Value) != "3" ||
			h.Revision != 4 || h.ClusterId != 7 || h.RaftTerm != 2 {
			t.Errorf("got %v, want revision 4 written anew, in cluster 7 and term 2", resp)
		}
		start := time.Now()
		if resp := recv(); len(resp.Events) != 1 || string(resp.Events[0].Kv.Key) != "leased" || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v, want the leased key deleted when the lease of the backup has all its time again", resp, time.Since(start))
		}
		if list, err := pb.NewLeaseClient(conn).LeaseLeases(t.Context(), &pb.LeaseLeasesRequest{}); err != nil || len(list.Leases) != 0 {
			t.Errorf("got %v, %v, want no lease of the lost history", list, err)
		}
	})
}
