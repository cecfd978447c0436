package swapping_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/soak/internal/swapping"
)

func TestMain(m *testing.M) {
	cluster.Main()
	goleak.VerifyTestMain(m)
}

func isMarker(key []byte) bool { return bytes.HasPrefix(key, []byte("swapping-markers/")) }

// divert makes r put its marker somewhere else.
func divert(r *pb.TxnRequest) {
	for _, op := range r.GetSuccess() {
		if p := op.GetRequestPut(); p != nil && isMarker(p.GetKey()) {
			p.Key = append([]byte("beside/"), p.GetKey()...)
		}
	}
}

// changes reports whether r writes more than a marker.
func changes(r *pb.TxnRequest) bool {
	return slices.ContainsFunc(r.GetSuccess(), func(op *pb.RequestOp) bool {
		return op.GetRequestPut() != nil && !isMarker(op.GetRequestPut().GetKey()) || op.GetRequestDeleteRange() != nil || op.GetRequestTxn() != nil
	})
}

// The check finds nothing wrong with what is right, and notices each fence that is broken.
func TestNotices(t *testing.T) {
	c, err := cluster.Start(t.Context(), cluster.Config{Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, broken := range []struct {
		name   string
		mangle func(*pb.TxnRequest)
		wrong  bool
	}{
		{"nothing", nil, false},
		{"the marker is not compared", func(r *pb.TxnRequest) {
			r.Compare = slices.DeleteFunc(r.GetCompare(), func(c *pb.Compare) bool { return isMarker(c.GetKey()) })
		}, true},
		{"a change does not put the marker", func(r *pb.TxnRequest) {
			if changes(r) {
				divert(r)
			}
		}, true},
		{"Settle does not put the marker", func(r *pb.TxnRequest) {
			if !changes(r) {
				divert(r)
			}
		}, true},
	} {
		t.Run(broken.name, func(t *testing.T) {
			stop := make(chan struct{})
			timer := time.AfterFunc(2*time.Second, func() { close(stop) })
			defer timer.Stop()
			report, err := swapping.Run(t.Context(), swapping.Config{Endpoints: c.Endpoints(), Seed: 1, Stop: stop, Mangle: broken.mangle})
			if err != nil {
				t.Fatal(err)
			}
			t.Log(report)
			switch {
			case !broken.wrong && len(report.Violations) > 0:
				t.Errorf("got %s", strings.Join(report.Violations, "\n"))
			case broken.wrong && len(report.Violations) == 0:
				t.Error("nothing was noticed")
			case broken.wrong:
				t.Logf("%d violations, such as: %s", len(report.Violations), report.Violations[0])
			}
		})
	}
}
