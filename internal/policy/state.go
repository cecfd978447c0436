package policy

import (
	"errors"
	"time"

	"github.com/getcd/getcd/internal/etcderr"
)

// reason is why a connected member is passed over. Each reason ends by itself, so several
// can hold at the same time. The first one in this order counts.
type reason uint8

const (
	usable     reason = iota
	doubted           // slower to answer than another one, until its probe ends
	demoted           // can't serve, until it does or its penalty ends
	notServing        // reports NOT_SERVING, until it reports SERVING
	muted             // as silent as the member that it was compared with, for muteTime
)

var (
	errDoubted    = errors.New("doubted: it is slower to answer than another member")
	errNotServing = errors.New("it reports NOT_SERVING")
)

// passedOver returns why m is passed over, or would be if it were connected.
func (m *member) passedOver(now time.Time) reason {
	switch {
	case m.conn != nil && m.conn.doubted:
		return doubted
	case m.demotion.lasts(now):
		return demoted
	case m.conn != nil && m.conn.notServing:
		return notServing
	case now.Before(m.mutedUntil):
		return muted
	}
	return usable
}

// usable reports whether m, if connected, may be expected to serve.
func (m *member) usable(now time.Time) bool { return m.passedOver(now) == usable }

// fault returns why m does not serve, for users; nil if m is usable or is nil.
func (m *member) fault(now time.Time) error {
	if m == nil {
		return nil
	}
	switch m.passedOver(now) {
	case doubted:
		return errDoubted
	case demoted:
		return m.demotion.cause
	case notServing:
		return errNotServing
	case muted:
		return ErrSilent
	default:
	}
	if !m.ready() {
		return m.lastErr
	}
	return nil
}

// refusesLocked reports whether m has said that it can't serve, and nothing since.
func (m *member) refusesLocked(now time.Time) bool {
	return m.demotion.lasts(now) && etcderr.CantServe(m.demotion.cause)
}

// demotion is a member's last one.
type demotion struct {
	cause   error     // nil when the member has served since
	changed time.Time // when it began, or was lifted
	until   time.Time // when it ends by itself
	penalty time.Duration
}

const (
	// How long a demotion lasts unless the member serves earlier. It doubles
	// while the member goes on refusing.
	minPenalty = 250 * time.Millisecond
	maxPenalty = 10 * time.Second
)

func (d *demotion) lasts(now time.Time) bool { return d.cause != nil && now.Before(d.until) }

// begin begins a demotion, or lengthens it.
func (d *demotion) begin(cause error, now time.Time) {
	d.penalty = min(max(2*d.penalty, minPenalty), maxPenalty)
	until := now.Add(d.penalty)
	if d.lasts(now) && d.until.After(until) {
		until = d.until
	}
	d.cause, d.changed, d.until = cause, now, until
}

// lift ends a demotion.
func (d *demotion) lift(now time.Time) { d.cause, d.changed, d.penalty = nil, now, 0 }
