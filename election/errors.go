package election

import (
	"errors"
	"fmt"

	"github.com/getcd/getcd/internal/holder"
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

// kind is what the elections' holders have in common.
var kind = &holder.Kind{Package: "election", Lost: ErrLost, GivenUp: ErrResigned, Contended: ErrContended}
