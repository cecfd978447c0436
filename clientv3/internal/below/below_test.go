package below_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/getcd/getcd/clientv3"
	"github.com/getcd/getcd/clientv3/internal/below"
	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/watch"
)

// present is a store whose reads return the revisions of a list, one after
// another.
type present struct {
	clientv3.KV
	revisions []int64
	read      []string
}

func (p *present) Do(_ context.Context, op clientv3.Op) (clientv3.OpResponse, error) {
	p.read = append(p.read, string(op.KeyBytes())+"-"+string(op.RangeBytes()))
	if len(p.revisions) == 0 {
		return clientv3.OpResponse{}, errors.New("unavailable")
	}
	rev := p.revisions[0]
	p.revisions = p.revisions[1:]
	return (&clientv3.GetResponse{Header: &pb.ResponseHeader{Revision: rev}}).OpResponse(), nil
}

// script is a watch service whose responses are scripted.
type script struct {
	clientv3.Watcher
	watches [][]clientv3.WatchResponse
	from    []int64
}

func (s *script) Watch(_ context.Context, key string, opts ...clientv3.OpOption) clientv3.WatchChan {
	s.from = append(s.from, clientv3.OpWatch(key, opts...).Rev())
	out := make(chan clientv3.WatchResponse, 10)
	for _, r := range s.watches[0] {
		out <- r
	}
	s.watches = s.watches[1:]
	close(out)
	return out
}

func at(rev int64) clientv3.WatchResponse {
	return clientv3.WatchResponse{
		Header: &pb.ResponseHeader{Revision: rev},
		Events: []*clientv3.Event{{Kv: &mvccpb.KeyValue{Key: []byte("k"), ModRevision: rev}}},
	}
}

// Follow reads, watches from there, and reads again if changes were lost.
func TestFollow(t *testing.T) {
	store := &present{revisions: []int64{5, 20}}
	w := &script{watches: [][]clientv3.WatchResponse{
		{{Created: true, Header: &pb.ResponseHeader{Revision: 5}}, at(7), {Header: &pb.ResponseHeader{Revision: 9}}, {Canceled: true, CompactRevision: 15}},
		{at(21), {Canceled: true, CancelReason: "etcdserver: permission denied"}},
	}}
	var revisions []int64
	var snapshots []int64
	var last error
	for u, err := range below.Watcher(w, store).Follow(t.Context(), "k", kv.WithPrefix()) {
		if last = err; err != nil {
			break
		}
		revisions = append(revisions, u.Revision)
		if u.Snapshot != nil {
			snapshots = append(snapshots, u.Revision)
			if again := len(snapshots) > 1; errors.Is(u.Snapshot.Cause, rpctypes.ErrCompacted) != again {
				t.Errorf("the snapshot at %d is because of %v", u.Revision, u.Snapshot.Cause)
			}
		}
	}
	if want := []int64{5, 7, 9, 20, 21}; !slices.Equal(revisions, want) {
		t.Errorf("the revisions are %v, want %v", revisions, want)
	}
	if want := []int64{5, 20}; !slices.Equal(snapshots, want) {
		t.Errorf("the snapshots are at %v, want %v", snapshots, want)
	}
	if want := []int64{6, 21}; !slices.Equal(w.from, want) {
		t.Errorf("it has watched from %v, want %v", w.from, want)
	}
	if want := []string{"k-l", "k-l"}; !slices.Equal(store.read, want) {
		t.Errorf("it has read %q, want %q", store.read, want)
	}
	if !errors.Is(last, rpctypes.ErrPermissionDenied) {
		t.Errorf("it has ended with %v, want %v", last, rpctypes.ErrPermissionDenied)
	}
}

func TestFollowEnds(t *testing.T) {
	end := func(w clientv3.Watcher, store clientv3.KV) (last error) {
		for _, err := range below.Watcher(w, store).Follow(t.Context(), "k") {
			last = err
		}
		return last
	}
	if err := end(&script{}, nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("without a store: %v, want %v", err, errors.ErrUnsupported)
	}
	if err := end(&script{}, &present{}); err == nil {
		t.Error("a read that fails is no error")
	}
	w := &script{watches: [][]clientv3.WatchResponse{{}}}
	if err := end(w, &present{revisions: []int64{1}}); !errors.Is(err, watch.ErrClosed) {
		t.Errorf("a watch that closes: %v, want %v", err, watch.ErrClosed)
	}
}

func TestEvents(t *testing.T) {
	w := &script{watches: [][]clientv3.WatchResponse{{at(3), at(4)}, {at(5)}}}
	var got []int64
	for e, err := range below.Watcher(w, nil).Events(t.Context(), "k") {
		if err != nil {
			break
		}
		got = append(got, e.Kv.ModRevision)
	}
	if want := []int64{3, 4}; !slices.Equal(got, want) {
		t.Errorf("the events are of %v, want %v", got, want)
	}
	for e, err := range below.Watcher(w, nil).Events(t.Context(), "k") {
		if err != nil || e.Kv.ModRevision != 5 {
			t.Errorf("%v, %v; want the event of revision 5", e, err)
		}
		break
	}
}
