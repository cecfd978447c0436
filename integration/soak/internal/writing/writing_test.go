package writing_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/goleak"

	"github.com/getcd/getcd/integration/cluster"
	"github.com/getcd/getcd/integration/soak/internal/writing"
)

func TestMain(m *testing.M) {
	cluster.Main()
	goleak.VerifyTestMain(m)
}

var slots = []byte("writing-once/")

// guard returns the comparison that guards a write; nil for other transactions.
func guard(r *pb.TxnRequest) *pb.Compare {
	if len(r.GetCompare()) == 1 && r.GetCompare()[0].GetTarget() == pb.Compare_MOD && bytes.HasPrefix(r.GetCompare()[0].GetKey(), slots) {
		return r.GetCompare()[0]
	}
	return nil
}

// eachPut calls f for each put of a slot.
func eachPut(ops []*pb.RequestOp, f func(*pb.PutRequest)) {
	for _, op := range ops {
		if p := op.GetRequestPut(); p != nil && bytes.HasPrefix(p.GetKey(), slots) {
			f(p)
		}
		eachPut(op.GetRequestTxn().GetSuccess(), f)
		eachPut(op.GetRequestTxn().GetFailure(), f)
	}
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
		want   string
	}{
		{"nothing", nil, ""},
		{"the comparison is left out", func(r *pb.TxnRequest) {
			if guard(r) != nil {
				r.Compare = nil
			}
		}, "twice"},
		{"any revision will do", func(r *pb.TxnRequest) {
			if g := guard(r); g != nil {
				g.Result, g.TargetUnion = pb.Compare_GREATER, &pb.Compare_ModRevision{}
			}
		}, "twice"},
		{"the slot is not advanced", func(r *pb.TxnRequest) {
			if guard(r) != nil {
				eachPut(r.GetSuccess(), func(p *pb.PutRequest) {
					p.Key, p.IgnoreLease = append([]byte("beside/"), p.GetKey()...), false
				})
			}
		}, "twice"},
		{"both branches say the same", func(r *pb.TxnRequest) {
			eachPut(r.GetSuccess(), func(p *pb.PutRequest) {
				if len(p.GetValue()) > 0 {
					p.Value = []byte("+")
				}
			})
		}, "should have been"},
	} {
		t.Run(broken.name, func(t *testing.T) {
			var report writing.Report
			var all string
			// A busy machine may do too little in that time for the rare cases: more is done then.
			for seed := uint64(1); seed <= 5; seed++ {
				stop := make(chan struct{})
				timer := time.AfterFunc(3*time.Second, func() { close(stop) })
				defer timer.Stop()
				var err error
				report, err = writing.Run(t.Context(), writing.Config{Endpoints: c.Endpoints(), Seed: seed, Stop: stop, Mangle: broken.mangle, Log: t.Logf})
				if err != nil {
					t.Fatal(err)
				}
				t.Log(report)
				if all = strings.Join(report.Violations, "\n"); strings.Contains(all, broken.want) {
					break
				}
			}
			switch {
			case broken.want == "" && all != "":
				t.Errorf("got %s", all)
			case !strings.Contains(all, broken.want):
				t.Errorf("got %d violations, and none with %q: %.2000s", len(report.Violations), broken.want, all)
			case broken.want != "":
				t.Logf("%d violations, such as: %s", len(report.Violations), report.Violations[0])
			}
		})
	}
}
