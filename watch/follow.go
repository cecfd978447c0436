package watch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/getcd/getcd/internal/etcderr"
	"github.com/getcd/getcd/kv"
)

// Update is one step of Follow: a Snapshot, or what has changed since the one
// before.
type Update struct {
	// Snapshot, if not nil, replaces everything that was known.
	Snapshot *Snapshot
	// Events are changes, in the order of revisions; empty with a Snapshot, and
	// when the update only tells progress.
	Events []*Event
	// Revision is the store's revision that the follower's knowledge stands
	// for: with everything up to this update applied, it has seen every change
	// of the keys up to there.
	Revision int64
}

// Snapshot is the state of the keys at a revision.
type Snapshot struct {
	// KVs are in the order of their keys.
	KVs []*mvccpb.KeyValue
	// Header is the server's, with the revision of the snapshot.
	Header *pb.ResponseHeader
	// Cause is nil for the first snapshot, and else why there has to be another
	// one: a *CompactedError, *ClusterChangedError, *RevisionRegressedError, or a
	// *ProtocolError for an event that came when its revision was complete.
	// The changes in between are not known.
	Cause error
	// Part is the number of this part of the snapshot, and More says that another one
	// follows: see WithParts. Part 0 begins a snapshot, also when the one before is not
	// complete, because it was compacted while it was read.
	Part int
	More bool
}

// errLeft says that the loop over Follow has ended.
var errLeft = errors.New("watch: nobody takes the snapshot")

func (s *service) Follow(ctx context.Context, key string, opts ...kv.OpOption) iter.Seq2[Update, error] {
	return func(yield func(Update, error) bool) {
		if ctx == nil {
			yield(Update{}, errNoContext("Follow"))
			return
		}
		op := kv.OpWatch(key, opts...)
		if err := s.checkFollow(&op); err != nil {
			yield(Update{}, err)
			return
		}
		var cause error
		for {
			told := func(part *Snapshot) bool {
				part.Cause = cause
				return yield(Update{Snapshot: part, Revision: part.Header.GetRevision()}, nil)
			}
			snap, err := s.snapshot(ctx, &op, told)
			switch {
			case errors.Is(err, errLeft):
				return
			case err != nil:
				yield(Update{}, err)
				return
			}
			snap.Cause = cause
			if !yield(Update{Snapshot: snap, Revision: snap.Header.GetRevision()}, nil) {
				return
			}
			if cause = s.changes(ctx, op, snap, yield); cause == nil {
				return
			}
		}
	}
}

// changes yields what follows a snapshot. It returns why another one is needed,
// or nil when the iteration has ended.
func (s *service) changes(ctx context.Context, op kv.Op, snap *Snapshot, yield func(Update, error) bool) error {
	kv.WithRev(snap.Header.GetRevision() + 1)(&op)
	for resp, err := range s.responses(ctx, op, identityOf(snap.Header)) {
		if err != nil {
			if resync(err) {
				return err
			}
			yield(Update{}, err)
			return nil
		}
		u := Update{Events: resp.Events, Revision: resp.Header.GetRevision()}
		if n := len(resp.Events); n > 0 {
			u.Revision = resp.Events[n-1].Kv.ModRevision
		}
		if !yield(u, nil) {
			return nil
		}
	}
	return nil
}

func (s *service) checkFollow(op *kv.Op) error {
	if s.cfg.err != nil {
		return s.cfg.err
	}
	if err := op.Err(); err != nil {
		return err
	}
	if op.Rev() != 0 {
		return &kv.UsageError{Package: "watch", Op: "Follow", Option: "WithRev", Reason: "it begins with the present state; leave it out, or use Watch"}
	}
	if op.IsCreatedNotify() {
		return &kv.UsageError{Package: "watch", Op: "Follow", Option: "WithCreatedNotify", Reason: "its first snapshot says as much; leave it out"}
	}
	return nil
}

// resync reports an end of a watch after which a new snapshot helps.
func resync(err error) bool {
	if broken, ok := errors.AsType[*ProtocolError](err); ok {
		return broken.late
	}
	return isCompacted(err) || errors.Is(err, ErrClusterChanged) || errors.Is(err, ErrRevisionRegressed)
}

// snapshot reads the keys that op watches, at one revision, in parts. The revision is
// the latest. A failure that another try may mend is waited out. WithParts all parts
// but the last are told.
func (s *service) snapshot(ctx context.Context, op *kv.Op, told func(*Snapshot) bool) (*Snapshot, error) {
	for try := 0; ; try++ {
		snap, err := s.pages(ctx, op, told)
		switch {
		case err == nil:
			return snap, nil
		case errors.Is(err, errLeft):
			return nil, err
		case ctx.Err() != nil:
			return nil, contextCause(ctx)
		case !s.transient(err):
			return nil, err
		}
		t := time.NewTimer(pause(try))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, contextCause(ctx)
		case <-s.m.closing:
			t.Stop()
			return nil, ErrClosed
		}
	}
}

// transient reports a failure of a read that another try may mend: of the way to
// the server, or of a snapshot that was compacted while it was read.
func (s *service) transient(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.FailedPrecondition, codes.Aborted:
		return true
	case codes.ResourceExhausted:
		return !etcderr.TooLarge(err)
	default:
		return isCompacted(rpctypes.Error(err)) || isCompacted(err) || refusesToken(err)
	}
}

// pages reads the keys at the revision that a read of one key tells, as the server streams them.
// A page of many would have etcd count all of them.
func (s *service) pages(ctx context.Context, op *kv.Op, told func(*Snapshot) bool) (*Snapshot, error) {
	key, end := string(op.KeyBytes()), kv.WithRange(string(op.RangeBytes()))
	latest, err := s.kv.Get(ctx, key, kv.WithKeysOnly())
	if err != nil {
		return nil, err
	}
	snap := &Snapshot{Header: latest.Header}
	for part, err := range s.streamer.Parts(ctx, key, end, kv.WithRev(snap.Header.GetRevision())) {
		if err != nil {
			return nil, asTooLarge(err)
		}
		if s.cfg.parts && len(snap.KVs) > 0 && len(part.Kvs) > 0 {
			snap.More = true
			if !told(snap) {
				return nil, errLeft
			}
			snap = &Snapshot{Header: snap.Header, Part: snap.Part + 1}
		}
		snap.KVs = append(snap.KVs, part.Kvs...)
	}
	return snap, nil
}

// asTooLarge makes ErrTooLarge of gRPC's error.
func asTooLarge(err error) error {
	if etcderr.TooLarge(err) {
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return err
}
