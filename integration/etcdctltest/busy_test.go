package etcdctltest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"

	"github.com/getcd/getcd/integration/cluster"
)

// patient is a connection of the tests' own, on which a request is sent again when
// its member was too busy for it.
type patient struct {
	grpc.ClientConnInterface

	again int // requests that were sent again since disturbed was called last
}

func (p *patient) Invoke(ctx context.Context, method string, req, reply any, opts ...grpc.CallOption) error {
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		err := p.ClientConnInterface.Invoke(ctx, method, req, reply, opts...)
		if err == nil || ctx.Err() != nil || !cluster.Busy(err.Error()) || time.Since(began) > time.Minute {
			return err
		}
		p.again++ // and it may have been applied
	}
}

// disturbed reports whether the members have elected a leader, or were too busy for a
// request, since it was called last: results may differ then, if only by the term. So
// may those of a tool that has exceeded a time limit.
func (b *bench) disturbed(t *testing.T, results ...result) bool {
	t.Helper()
	if b.cluster == nil {
		return false
	}
	was := b.control.again > 0
	b.control.again = 0
	// With authentication it may be refused, which says nothing.
	if r, err := pb.NewMaintenanceClient(b.control).Status(t.Context(), &pb.StatusRequest{}); err == nil {
		was = was || r.GetRaftTerm() != b.term
		b.term = r.GetRaftTerm()
	}
	for _, r := range results {
		was = was || r.late || cluster.Busy(r.stderr)
	}
	if was && len(results) > 0 {
		t.Log("the members were disturbed")
	}
	return was
}

// unlock ends authentication if a scenario has left it behind: the members were too busy
// to end it.
func (b *bench) unlock(t *testing.T) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		_, err := b.lease.LeaseLeases(t.Context(), &pb.LeaseLeasesRequest{})
		if !errors.Is(rpctypes.Error(err), rpctypes.ErrUserEmpty) {
			return
		}
		if time.Since(began) > time.Minute {
			t.Fatal("authentication cannot be disabled")
		}
		for _, password := range []string{"pw", "root"} { // of all scenarios
			b.etcdctlRun(t, at(sh("--user root:"+password+" auth disable")))
		}
		b.control.again++
	}
}

// promised calls check, which returns what getcd has not kept of its promises: once
// more if the members were disturbed meanwhile.
func (b *bench) promised(t *testing.T, check func() (broken []string)) {
	t.Helper()
	const rounds = 5
	var broken []string
	for range rounds {
		b.disturbed(t) // from here on
		broken = check()
		if t.Failed() || len(broken) == 0 || !b.disturbed(t, result{stderr: strings.Join(broken, "\n")}) {
			break
		}
	}
	for _, text := range broken {
		t.Error(text)
	}
}
