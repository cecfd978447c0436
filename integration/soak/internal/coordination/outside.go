package coordination

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/getcd/getcd/kv"
	"github.com/getcd/getcd/lease"
)

// outside inspects the cluster, and revokes leases, without the workers' clients.
type outside struct {
	members []outsideMember
	last    atomic.Int64 // the member that answered last
}

type outsideMember struct {
	kv     kv.KV
	leases lease.Lease
}

func newOutside(conns []grpc.ClientConnInterface) *outside {
	o := &outside{}
	for _, cc := range conns {
		o.members = append(o.members, outsideMember{kv.New(cc), lease.New(cc)})
	}
	return o
}

func (o *outside) close() {
	for _, m := range o.members {
		_ = m.leases.Close() // it keeps no lease alive
	}
}

// perMember limits one query to one member.
const perMember = 2 * time.Second

// ask asks one member after another until one answers or ctx ends.
func ask[T any](ctx context.Context, o *outside, f func(context.Context, outsideMember) (T, error)) (T, error) {
	// gRPC connects an idle connection, such as one to a member that was restarted, on
	// goroutines of the call that finds it so. These are not the workers' clients', and stay.
	pprof.SetGoroutineLabels(context.Background()) //nolint:contextcheck // it stands for no labels
	defer pprof.SetGoroutineLabels(ctx)
	var zero T
	for n := o.last.Load(); ; n++ {
		i := int(n) % len(o.members)
		actx, cancel := context.WithTimeout(ctx, perMember)
		v, err := f(actx, o.members[i])
		cancel()
		if err == nil {
			o.last.Store(int64(i))
			return v, nil
		}
		if !pause(ctx, 50*time.Millisecond) {
			return zero, fmt.Errorf("coordination: looking from outside: %w", err)
		}
	}
}

func (o *outside) get(ctx context.Context, key string, opts ...kv.OpOption) (*kv.GetResponse, error) {
	return ask(ctx, o, func(ctx context.Context, m outsideMember) (*kv.GetResponse, error) {
		return m.kv.Get(ctx, key, opts...)
	})
}

func (o *outside) leases(ctx context.Context) ([]lease.ID, error) {
	return ask(ctx, o, func(ctx context.Context, m outsideMember) ([]lease.ID, error) {
		// A member answers this from its own state, so make sure that it has
		// caught up.
		if _, err := m.kv.Get(ctx, "\x00"); err != nil {
			return nil, err
		}
		resp, err := m.leases.Leases(ctx)
		if err != nil {
			return nil, err
		}
		ids := make([]lease.ID, len(resp.Leases))
		for i, l := range resp.Leases {
			ids[i] = l.ID
		}
		return ids, nil
	})
}

// revoke revokes a lease, and reports whether it existed.
func (o *outside) revoke(ctx context.Context, id lease.ID) (bool, error) {
	return ask(ctx, o, func(ctx context.Context, m outsideMember) (bool, error) {
		_, err := m.leases.Revoke(ctx, id)
		if err != nil && strings.Contains(err.Error(), "lease not found") {
			return false, nil
		}
		return err == nil, err
	})
}

// lives reports whether a lease lives, and whether a key is attached to it.
func (o *outside) lives(ctx context.Context, id lease.ID, key string) (lives, attached bool, keys []string, err error) {
	resp, err := ask(ctx, o, func(ctx context.Context, m outsideMember) (*lease.TimeToLiveResponse, error) {
		return m.leases.TimeToLive(ctx, id, lease.WithAttachedKeys())
	})
	if err != nil || resp.TTL <= 0 {
		return false, false, nil, err
	}
	for _, k := range resp.Keys {
		keys = append(keys, string(k))
		attached = attached || string(k) == key
	}
	return true, attached, keys, nil
}

const goroutineLabel = "coordination"

// goroutinesLeft returns the stacks of goroutines with the label that do not end
// soon.
func goroutinesLeft(label string) string {
	const patience = 10 * time.Second
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		var all bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
			return err.Error()
		}
		var left []string
		for stack := range strings.SplitSeq(all.String(), "\n\n") {
			if strings.Contains(stack, label) {
				left = append(left, stack)
			}
		}
		if len(left) == 0 {
			return ""
		}
		if time.Since(began) > patience {
			return strings.Join(left, "\n\n")
		}
	}
}
