package client

import (
	"context"
	"testing"

	"github.com/getcd/getcd/internal/attempt"
	"github.com/getcd/getcd/internal/policy"
)

// place is a connection.
type place string

func (p place) Endpoint() string    { return string(p) }
func (p place) Address() string     { return string(p) }
func (place) Life() context.Context { return context.Background() }
func (place) Arrived() uint64       { return 0 }
func (place) Proven() bool          { return false }
func (place) Received()             {}
func (place) Expect()               {}
func (place) Observe(_, _ uint64)   {}

// An election loses both copies of a write. The policy may say so of the second one first. That is
// sent anywhere then: the member that had the first one may be the only one that serves.
func TestALostSecondCopyMayGoAnywhere(t *testing.T) {
	a := &attempt.Attempt{Cancel: func() {}}
	a.Pick(place("former"))
	a.Send()
	a.GiveUp(policy.ErrLostWrite)
	copied := try{
		conn: &Conn{}, ctx: t.Context(), call: call{class: repeatable},
		avoid: []string{"first"}, elsewhere: true, beside: &hedge{attempt: &attempt.Attempt{}},
	}
	if done, err := copied.judge(givenUpError{policy.ErrLostWrite}, a, nil); done {
		t.Fatalf("got %v, want another try", err)
	}
	if copied.elsewhere || copied.avoid != nil {
		t.Errorf("the next try avoids %q, elsewhere is %t; want it to avoid none", copied.avoid, copied.elsewhere)
	}
}
