package lease

import (
	"context"
	"sync"

	"github.com/getcd/getcd/internal/attempt"
)

// withOwnID marks a request of which a copy, however late, can't meet another lease
// than the one that it is about: the connection may repeat it.
func withOwnID(ctx context.Context) context.Context {
	if ctx == nil {
		return nil // the connection's to complain of
	}
	own := &attempt.Attempt{OwnID: true}
	if a := attempt.FromContext(ctx); a != nil {
		own.Avoid = a.Avoid
	}
	return attempt.NewContext(ctx, own)
}

// drawn has the IDs that this process has drawn, by which it knows them again.
var drawn ids

// remembered is how many of them at least are known, if as many were drawn. What is
// forgotten is treated as anybody's.
const remembered = 1 << 16

// ids remembers IDs in two generations, the older of which makes room.
type ids struct {
	mu         sync.Mutex
	young, old map[ID]bool // whether a lease was asked for by it
}

func (s *ids) add(id ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young == nil || len(s.young) >= remembered {
		s.young, s.old = make(map[ID]bool), s.young
	}
	s.young[id] = false
}

// use is told of a grant by the ID, and reports whether the ID was drawn and this is
// the first. After a second one it stands for several leases, and is nobody's own.
func (s *ids) use(id ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range [...]map[ID]bool{s.young, s.old} {
		used, ok := m[id]
		switch {
		case !ok:
		case used:
			delete(m, id)
			return false
		default:
			m[id] = true
			return true
		}
	}
	return false
}

// has reports whether the ID was drawn, and used for no more than one lease.
func (s *ids) has(id ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, young := s.young[id]
	_, old := s.old[id]
	return young || old
}
