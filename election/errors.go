package election

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrNotLeader is the answer of what only the leader can do, to others. Its
	// text is that of etcd's election service.
	ErrNotLeader = errors.New("election: not leader")
	// ErrNoLeader is Leader's answer when nobody leads. Its text is that of
	// etcd's election service.
	ErrNoLeader = errors.New("election: no leader")
	// ErrLost is the cause when leadership can no longer be proven: the lease was
	// not renewed in time or is gone, or the key was deleted. errors.Is finds
	// ErrNotLeader too, and the lease's cause.
	ErrLost = fmt.Errorf("%w: lost", ErrNotLeader)
	// ErrResigned is the answer of a Campaign that Resign has ended.
	ErrResigned = fmt.Errorf("%w: resigned", ErrNotLeader)
	// ErrCampaigning is the answer of a Campaign while another Campaign or Resign
	// of the same Election is under way.
	ErrCampaigning = errors.New("election: another Campaign or Resign of this Election is under way; use one Election per candidate")
	// ErrContended is TryCampaign's answer when there is another candidate who came
	// before.
	ErrContended = errors.New("election: another candidate came before")
)

// lost is ErrLost with its cause.
func lost(name string, cause error) error {
	return fmt.Errorf("%w: %q: %w", ErrLost, name, cause)
}

// ended is the error of a call that its context has ended, with the last failure
// if that tells more.
func ended(ctx context.Context, name string, last error) error {
	err := fmt.Errorf("election: %q: %w", name, ctx.Err())
	if last == nil || last.Error() == ctx.Err().Error() {
		return err
	}
	return fmt.Errorf("%w (last failure: %w)", err, last)
}
